//! Caps hold, grow with successes only, and are never made up for.

use super::*;
use crate::rollout::policy::{GroupRules, Growing, Growth};
use proptest::prelude::*;

fn group(concurrency: Option<Growing>, rate: Option<Growing>) -> Group {
    let rules = GroupRules { concurrency, rate, ..GroupRules::default() };
    Group { rules, opened: Some(Timestamp::from_ms(1)), ..Group::default() }
}

fn growing() -> impl Strategy<Value = Growing> {
    let growth = prop_oneof![
        (0u64..500).prop_map(|percent| Growth::Linear { percent }),
        (100u64..400, 1u64..50).prop_map(|(percent, every)| Growth::Exponential { percent, every }),
    ];
    (1u64..100, 0u64..1000, growth).prop_map(|(start, more, growth)| Growing {
        start,
        most: start + more,
        growth,
    })
}

#[test]
fn a_cap_counts_those_that_are_at_work() {
    let cap = Growing { start: 5, most: 100, growth: Growth::Linear { percent: 200 } };
    let group = group(Some(cap), None);
    let now = Timestamp::from_ms(1000);
    let turns = |counts: &GroupTally| budget(&group, counts, now).0;
    assert_eq!(turns(&GroupTally::default()), 5);
    assert_eq!(turns(&GroupTally { offered: 3, admitted: 1, ..GroupTally::default() }), 1);
    assert_eq!(turns(&GroupTally { offered: 5, done: 2, ..GroupTally::default() }), 4);
    assert_eq!(turns(&GroupTally { offered: 5, failed: 9, ..GroupTally::default() }), 0);
}

proptest! {
    #[test]
    fn more_done_never_lowers_a_cap_and_it_never_passes_its_most(
        cap in growing(), done in 0u64..5000, more in 0u64..5000,
    ) {
        prop_assert!(cap.at(done) <= cap.at(done + more));
        prop_assert!(cap.at(done) >= cap.start && cap.at(done) <= cap.most);
    }

    #[test]
    fn never_more_offers_than_the_rate_allows(
        rate in 1u64..600, waits in proptest::collection::vec(0u64..120_000, 1..60),
    ) {
        let cap = Growing { start: rate, most: rate, growth: Growth::Linear { percent: 0 } };
        let mut group = group(None, Some(cap));
        let (mut now, mut given) = (Timestamp::from_ms(1), 0);
        for wait in waits {
            now = now.plus_ms(wait);
            let (turns, tokens) = budget(&group, &GroupTally::default(), now);
            if turns > 0 {
                group.tokens = spent(tokens, turns);
                given += turns;
            }
        }
        // One for the beginning, and what fits into the time.
        let most = 1 + now.as_ms() * rate / 60_000 + 1;
        prop_assert!(given <= most, "{given} turns, {most} allowed");
    }

    #[test]
    fn one_more_failure_never_gives_a_turn(
        cap in growing(), offered in 0u64..50, done in 0u64..50, failed in 0u64..50,
    ) {
        let group = group(Some(cap), None);
        let counts = GroupTally { offered: offered + 1, done, failed, ..GroupTally::default() };
        let now = Timestamp::from_ms(5);
        let before = budget(&group, &counts, now).0;
        let worse = GroupTally { done: done.saturating_sub(1), failed: failed + 1, ..counts };
        prop_assert!(budget(&group, &worse, now).0 <= before);
    }
}
