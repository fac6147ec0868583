//! The releases in between that signers asked for: which ones devices far behind must run, and in
//! which order, on their way to a release. Nothing here looks at devices.

use alloc::vec::Vec;

use super::state::RolloutRelease;

/// The steps to `release` among what is `published`, by rising counter. A release that names a
/// counter which must run first is reached from the lowest one of at least that counter to which
/// there is a way for every device, or else from the lowest one: then the way begins above devices
/// that are further behind, and these cannot come up.
#[must_use]
pub fn steps_to(release: &RolloutRelease, published: &[RolloutRelease]) -> Vec<RolloutRelease> {
    let below = published.iter().filter(|one| one.counter < release.counter);
    let mut rising: Vec<&RolloutRelease> = below.collect();
    rising.sort_by_key(|one| one.counter);
    rising.dedup_by_key(|one| one.counter);
    // Of each, in rising order, the way to it; none of the earlier ones can need a later one.
    let mut ways: Vec<Way> = Vec::new();
    for one in rising {
        let way = way_to(one, &ways);
        ways.push(way);
    }
    let mut steps = way_to(release, &ways).steps;
    steps.pop();
    steps
}

/// How a release is reached: the steps to it, itself the last.
struct Way {
    steps: Vec<RolloutRelease>,
    reach: Reach,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    Everybody,
    Some,
}

fn way_to(release: &RolloutRelease, earlier: &[Way]) -> Way {
    let alone = || alloc::vec![release.clone()];
    if release.needs == 0 {
        return Way { steps: alone(), reach: Reach::Everybody };
    }
    let counter = |way: &Way| way.steps.last().map_or(0, |last| last.counter);
    let leads = |way: &&Way| counter(way) >= release.needs;
    let whole = earlier.iter().filter(leads).find(|way| way.reach == Reach::Everybody);
    let Some(before) = whole.or_else(|| earlier.iter().find(leads)) else {
        return Way { steps: alone(), reach: Reach::Some };
    };
    let steps = before.steps.iter().cloned().chain(alone()).collect();
    Way { steps, reach: before.reach }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::fixture::release;
    use alloc::format;
    use proptest::prelude::*;

    fn needing(counter: u64, needs: u64) -> RolloutRelease {
        RolloutRelease { needs, ..release(&format!("{counter}.0"), counter) }
    }

    fn counters(steps: &[RolloutRelease]) -> Vec<u64> {
        steps.iter().map(|step| step.counter).collect()
    }

    #[test]
    fn what_must_run_first_is_found_in_what_is_signed() {
        let all = [needing(1, 0), needing(2, 0), needing(3, 2), needing(4, 3), needing(5, 3)];
        assert_eq!(counters(&steps_to(&all[4], &all)), [2, 3]);
        assert_eq!(counters(&steps_to(&all[2], &all)), [2]);
        assert!(steps_to(&all[1], &all).is_empty());
    }

    #[test]
    fn the_next_one_above_stands_in_for_a_step_that_is_not_listed_any_more() {
        let all = [needing(1, 0), needing(4, 0), needing(5, 3)];
        assert_eq!(counters(&steps_to(&all[2], &all)), [4]);
        assert!(steps_to(&all[2], &[needing(1, 0), needing(5, 3)]).is_empty());
    }

    proptest! {
        #[test]
        fn steps_rise_and_each_lets_in_what_the_one_before_brings(
            signed in proptest::collection::btree_map(0u64..20, 0u64..20, 1..12),
        ) {
            let all: Vec<RolloutRelease> = signed
                .iter()
                .map(|(counter, needs)| needing(counter + 1, (*needs).min(*counter)))
                .collect();
            let last = all.iter().max_by_key(|one| one.counter).unwrap();
            let mut before = None;
            let steps = steps_to(last, &all);
            let everybody = |one: &RolloutRelease| one.needs == 0 && one.counter < last.counter;
            if last.needs > 0 && all.iter().any(|one| everybody(one) && one.counter >= last.needs) {
                prop_assert_eq!(steps.first().map(|first| first.needs), Some(0));
            }
            for step in steps.iter().chain([last]) {
                if let Some(before) = before {
                    prop_assert!(step.counter > before);
                    prop_assert!(step.needs <= before);
                }
                before = Some(step.counter);
            }
        }
    }
}
