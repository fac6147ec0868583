//! Whether a group is good, trips or goes on. Pure arithmetic over confirmed results.

use alloc::format;
use alloc::string::String;

use super::state::{Group, Thresholds};
use super::tally::GroupTally;

/// What a group's counts say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Wait for more results.
    Hold,
    /// It has what it needs. Once it has soaked too the next group may open.
    Pass,
    /// The rollout halts.
    Trip {
        /// Why, in words.
        reason: String,
    },
}

/// Judges a group.
///
/// Failure is looked at before success. A group can pass both thresholds at once (success at 80 %
/// and errors at 15 % with limits of 80 and 10), and then the safe answer is to halt.
///
/// Where the group's rules name a minimum sample, percentages are of the devices that said how it
/// went, and only *done* devices count towards the sample: if failures counted, one more of them
/// could open the next group. Without one, percentages are of the whole group.
#[must_use]
pub fn judge(counts: &GroupTally, group: &Group, thresholds: Thresholds) -> Verdict {
    let failed = counts.failed.saturating_sub(group.accepted);
    let total = counts.total();
    // Devices that were refused, lapsed or cannot be reached can never be done; at least one must
    // be.
    let able = counts.able().saturating_add(counts.failed);
    let sample = if group.rules.minimum_sample == 0 || total == 0 {
        0
    } else {
        group.rules.minimum_sample.min(able).max(1)
    };
    let tried = counts.done.saturating_add(failed);
    let basis = if sample == 0 { total } else { tried.max(sample) };
    if failed > 0 && reaches(failed, thresholds.error_percent, basis) {
        let reason = format!(
            "{failed} of {basis} devices failed, the limit is {} %",
            thresholds.error_percent
        );
        return Verdict::Trip { reason };
    }
    if counts.done >= sample && reaches(counts.done, thresholds.success_percent, basis) {
        return Verdict::Pass;
    }
    let still = counts.able();
    if still == 0 && sample > 0
        || (sample == 0 && !reaches(still, thresholds.success_percent, total))
    {
        let wanted = match sample {
            0 => format!("{} %", thresholds.success_percent),
            sample => format!("{sample}"),
        };
        let reason = format!(
            "{} of {total} devices are done and at most {still} can be, {wanted} are wanted",
            counts.done
        );
        return Verdict::Trip { reason };
    }
    if counts.over() == total && total > 0 {
        let reason = format!(
            "{} of {basis} devices are done and none is left, {} % are wanted",
            counts.done, thresholds.success_percent
        );
        return Verdict::Trip { reason };
    }
    Verdict::Hold
}

/// Whether enough devices have run the image for the whole soak of a group. `so_far` are the counts
/// of the groups up to and with it: devices of earlier groups have had it for longer, and count.
/// What matters is not how long the group looked good but how long the image was at work: a poison
/// that shows within the soak has shown in every device that is counted here, so that not one of
/// them is still counted.
#[must_use]
pub fn has_soaked(so_far: &[GroupTally], group: &Group) -> bool {
    if group.rules.soak_ms == 0 {
        return true;
    }
    let able = so_far.iter().map(GroupTally::able).fold(0, u64::saturating_add);
    let wanted = group.rules.soak_sample.min(able).max(1);
    so_far.last().is_some_and(|counts| counts.soaked >= wanted)
}

/// Whether `part` of `total` is at least `percent`. An empty group reaches everything.
fn reaches(part: u64, percent: u8, total: u64) -> bool {
    u128::from(part).saturating_mul(100) >= u128::from(percent).saturating_mul(u128::from(total))
}

#[cfg(test)]
mod tests;
