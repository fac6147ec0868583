//! Whether a group passes, trips or goes on. Pure arithmetic over confirmed results.

use alloc::format;
use alloc::string::String;

use super::state::{GroupTally, Thresholds};

/// What a group's counts say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Wait for more results.
    Hold,
    /// The next group may open.
    Pass,
    /// The rollout halts.
    Trip {
        /// Why, in words.
        reason: String,
    },
}

/// Judges an open group.
///
/// Failure is looked at before success. A group can pass both thresholds at once (success at 80 %
/// and errors at 15 % with limits of 80 and 10), and then the safe answer is to halt.
#[must_use]
pub fn judge(counts: &GroupTally, thresholds: Thresholds) -> Verdict {
    let total = counts.total();
    if counts.failed > 0 && reaches(counts.failed, thresholds.error_percent, total) {
        let reason = format!(
            "{} of {total} devices failed, the limit is {} %",
            counts.failed, thresholds.error_percent
        );
        return Verdict::Trip { reason };
    }
    if reaches(counts.done, thresholds.success_percent, total) {
        return Verdict::Pass;
    }
    let still_possible = total.saturating_sub(counts.ended()).saturating_add(counts.done);
    if !reaches(still_possible, thresholds.success_percent, total) {
        let reason = format!(
            "{} of {total} devices are done and at most {still_possible} can be, {} % are wanted",
            counts.done, thresholds.success_percent
        );
        return Verdict::Trip { reason };
    }
    Verdict::Hold
}

/// Whether `part` of `total` is at least `percent`. An empty group reaches everything.
fn reaches(part: u64, percent: u8, total: u64) -> bool {
    u128::from(part).saturating_mul(100) >= u128::from(percent).saturating_mul(u128::from(total))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counts() -> impl Strategy<Value = GroupTally> {
        (0u64..50, 0u64..50, 0u64..50, 0u64..50, 0u64..9, 0u64..9).prop_map(
            |(waiting, offered, done, failed, refused, expired)| GroupTally {
                waiting,
                offered,
                done,
                failed,
                refused,
                expired,
                reasons: alloc::vec![],
            },
        )
    }

    fn thresholds() -> impl Strategy<Value = Thresholds> {
        (0u8..=100, 1u8..=100).prop_map(|(success_percent, error_percent)| Thresholds {
            success_percent,
            error_percent,
        })
    }

    #[test]
    fn a_group_that_passes_both_thresholds_trips() {
        let counts = GroupTally { done: 80, failed: 15, waiting: 5, ..GroupTally::default() };
        let verdict = judge(&counts, Thresholds { success_percent: 80, error_percent: 10 });
        assert!(matches!(verdict, Verdict::Trip { .. }), "{verdict:?}");
    }

    #[test]
    fn silence_is_not_success() {
        let counts = GroupTally { done: 7, offered: 3, ..GroupTally::default() };
        let verdict = judge(&counts, Thresholds { success_percent: 80, error_percent: 10 });
        assert_eq!(verdict, Verdict::Hold);
    }

    proptest! {
        #[test]
        fn one_more_failure_never_lets_a_group_pass(counts in counts(), limits in thresholds()) {
            let mut worse = counts.clone();
            worse.failed += 1;
            worse.waiting = worse.waiting.saturating_sub(1);
            if judge(&counts, limits) != Verdict::Pass {
                prop_assert_ne!(judge(&worse, limits), Verdict::Pass);
            }
        }

        #[test]
        fn nothing_but_results_lets_a_group_pass(counts in counts(), limits in thresholds()) {
            let silent = GroupTally { waiting: counts.total() + 1, ..GroupTally::default() };
            if limits.success_percent > 0 {
                prop_assert_eq!(judge(&silent, limits), Verdict::Hold);
            }
        }

        #[test]
        fn a_group_that_has_ended_is_decided(mut counts in counts(), limits in thresholds()) {
            counts.waiting = 0;
            counts.offered = 0;
            prop_assert_ne!(judge(&counts, limits), Verdict::Hold);
        }
    }
}
