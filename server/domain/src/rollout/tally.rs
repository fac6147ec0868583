//! The counts of a rollout: where each device stands, group by group and cohort by cohort. One
//! function, [`place`], says where a device stands, so that it stands in exactly one place and the
//! sums add up by construction.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use lazaret_protocol::id::RolloutId;
use lazaret_protocol::operator::{ProgressPoint, ReasonCount, RolloutState};
use lazaret_protocol::order::Outcome;
use lazaret_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::state::{Assignment, AssignmentState, Rollout, SILENCE_MS};
use crate::device::Device;
use crate::record::Record;

/// Cohorts that are told apart in one rollout; the rest is counted as one.
pub const COHORTS_MAX: usize = 32;

/// The counts of a rollout, group by group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// The rollout.
    pub rollout: RolloutId,
    /// Its groups' counts, in order.
    pub groups: Vec<GroupTally>,
    /// The counts by hardware revision, in the order of their names.
    #[serde(default)]
    pub cohorts: Vec<CohortTally>,
}

/// The counts of a group. Those up to `unreachable` add up to its size.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GroupTally {
    /// Not offered yet.
    pub waiting: u64,
    /// Called and waits for its turn.
    #[serde(default)]
    pub ready: u64,
    /// It is its turn.
    #[serde(default)]
    pub admitted: u64,
    /// Offered, no outcome yet.
    pub offered: u64,
    /// Confirmed by the new image itself.
    pub done: u64,
    /// Tried and failed, at once or late.
    pub failed: u64,
    /// Refused by a rule on the device or of the server.
    pub refused: u64,
    /// Lapsed or taken back.
    pub expired: u64,
    /// Silent since it took the offer or the image.
    #[serde(default)]
    pub unknown: u64,
    /// Did not call for as long as the policy waits.
    #[serde(default)]
    pub unreachable: u64,
    /// Of the unknown: confirmed, and silent for so long that nobody waits for them.
    #[serde(default)]
    pub lost: u64,
    /// Of all these: an offer is open, and may still be installed.
    #[serde(default)]
    pub outstanding: u64,
    /// Of all these: the offer was taken back.
    #[serde(default)]
    pub taken_back: u64,
    /// Devices of this group and of those before it that have run the image for the whole soak of
    /// this group, and have said so since.
    #[serde(default)]
    pub soaked: u64,
    /// Codes of failures and refusals.
    pub reasons: Vec<ReasonCount>,
    /// Codes of failures alone, with `silent` for the unknown: what a resume has to name.
    #[serde(default)]
    pub failures: Vec<ReasonCount>,
}

/// The counts of one hardware revision, over all groups.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CohortTally {
    /// The hardware revision, empty where none is reported.
    pub cohort: String,
    /// Devices that were offered the image and may have it: at work, done, failed, silent.
    pub tried: u64,
    /// Of those, failed.
    pub failed: u64,
    /// Of those, silent.
    pub unknown: u64,
    /// Devices that wait and were heard of since the rollout began: the ones to compare with.
    pub control: u64,
    /// Of those, silent.
    pub control_silent: u64,
    /// Of those, with a probe that does not pass.
    pub control_sick: u64,
}

/// What is known of a device beside its part in a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// Its last poll.
    pub last_seen: Option<Timestamp>,
    /// A probe of it does not pass.
    pub sick: bool,
}

impl From<&Device> for Heard {
    fn from(device: &Device) -> Self {
        Self { last_seen: device.last_seen, sick: device.probes.values().any(|passed| !passed) }
    }
}

/// Where a device stands: exactly one for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the fields of GroupTally say what they are")]
pub enum Place {
    Waiting,
    Ready,
    Admitted,
    Offered,
    Done,
    Failed,
    Refused,
    Expired,
    Unknown,
    Unreachable,
}

impl Record for Tally {
    const KIND: &'static str = "tally";
    fn name(&self) -> String {
        self.rollout.to_string()
    }
}

/// Where the device of `part` stands at `now`. A device that said nothing for as long as the policy
/// allows is *unknown*, whatever it said before; it leaves that place by calling.
#[must_use]
pub fn place(rollout: &Rollout, part: &Assignment, heard: Heard, now: Timestamp) -> Place {
    let conduct = &rollout.conduct;
    let silent_since = |at: Timestamp| {
        let last = heard.last_seen.map_or(at, |seen| seen.max(at));
        now.since_ms(last) >= conduct.silent_ms
    };
    match &part.state {
        AssignmentState::Offered { at, lapses, .. } => {
            let over = lapses.plus_ms(SILENCE_MS) <= now || now.since_ms(*at) >= conduct.give_up_ms;
            match () {
                // A device that took an order and was never heard of again must not hold the
                // rollout for ever. Should it come back and report, that takes the place of this.
                () if over => Place::Expired,
                () if silent_since(*at) => Place::Unknown,
                () => Place::Offered,
            }
        }
        AssignmentState::Ended { outcome: Outcome::Done, at } => {
            // Only a word after the watch ends it: a device that fell silent inside it does not
            // become a success by staying silent.
            let watched = heard.last_seen.is_some_and(|seen| seen.since_ms(*at) < conduct.watch_ms);
            if watched && silent_since(*at) { Place::Unknown } else { Place::Done }
        }
        AssignmentState::Ended { outcome: Outcome::Failed { .. }, .. }
        | AssignmentState::Late { .. } => Place::Failed,
        state if state.may_be_offered() => untried(rollout, part, heard, now),
        AssignmentState::Ended { outcome: Outcome::Refused { .. }, .. } => Place::Refused,
        _ => Place::Expired,
    }
}

/// Whether a device that confirmed has been silent for so long that no soak waits for it. What it
/// is counted as does not change: its silence is still none of the good.
fn is_lost(rollout: &Rollout, part: &Assignment, heard: Heard, now: Timestamp) -> bool {
    let AssignmentState::Ended { outcome: Outcome::Done, at } = part.state else { return false };
    let last = heard.last_seen.map_or(at, |seen| seen.max(at));
    now.since_ms(last) >= rollout.conduct.lost_ms
}

fn untried(rollout: &Rollout, part: &Assignment, heard: Heard, now: Timestamp) -> Place {
    let goes_on = matches!(rollout.state, RolloutState::Running | RolloutState::Paused);
    if part.state.is_taken_back() && !goes_on {
        return Place::Refused;
    }
    let opened = rollout.group(part.group).and_then(|group| group.opened);
    if opened.is_some_and(|opened| now.since_ms(opened) >= rollout.conduct.give_up_ms) {
        let calls =
            heard.last_seen.is_some_and(|seen| now.since_ms(seen) < rollout.conduct.give_up_ms);
        return if calls { Place::Expired } else { Place::Unreachable };
    }
    match part.state {
        AssignmentState::Ready { .. } => Place::Ready,
        AssignmentState::Admitted { until } if until > now => Place::Admitted,
        _ => Place::Waiting,
    }
}

/// Most points of a rollout's progress.
const PROGRESS_MAX: usize = 64;

/// Devices done over time, from each device's own part. Thinned evenly to 64 points, of which the
/// last is the last.
pub fn progress<'a>(parts: impl IntoIterator<Item = &'a Assignment>) -> Vec<ProgressPoint> {
    let done = parts.into_iter().filter_map(|part| match part.state {
        AssignmentState::Ended { outcome: Outcome::Done, at } => Some(at),
        _ => None,
    });
    let mut done: Vec<Timestamp> = done.collect();
    done.sort_unstable();
    let every = done.len().div_ceil(PROGRESS_MAX).max(1);
    let point = |(before, at): (usize, &Timestamp)| ProgressPoint {
        at: *at,
        done: u64::try_from(before.saturating_add(1)).unwrap_or(u64::MAX),
    };
    let mut points: Vec<ProgressPoint> =
        done.iter().enumerate().rev().step_by(every).map(point).collect();
    points.reverse();
    points
}

impl Tally {
    /// Nothing counted yet.
    #[must_use]
    pub fn empty(rollout: &Rollout) -> Self {
        Self {
            rollout: rollout.id.clone(),
            groups: rollout.groups.iter().map(|_| GroupTally::default()).collect(),
            cohorts: Vec::new(),
        }
    }

    /// Counts assignments at `now`. What belongs to no group of the rollout is not counted, so that
    /// the sums stay honest.
    pub fn count<'a>(
        rollout: &Rollout,
        parts: impl IntoIterator<Item = (&'a Assignment, Heard)>,
        now: Timestamp,
    ) -> Self {
        let mut tally = Self::empty(rollout);
        for (part, heard) in parts {
            tally.add(rollout, part, heard, now);
        }
        tally.settle();
        tally
    }

    /// Counts one more device.
    pub fn add(&mut self, rollout: &Rollout, part: &Assignment, heard: Heard, now: Timestamp) {
        let at = usize::try_from(part.group).unwrap_or(usize::MAX);
        let Some(group) = self.groups.get_mut(at) else { return };
        let place = place(rollout, part, heard, now);
        *group.of(place) = group.of(place).saturating_add(1);
        if matches!(part.state, AssignmentState::Offered { .. }) && place != Place::Expired {
            group.outstanding = group.outstanding.saturating_add(1);
        }
        if place == Place::Unknown && is_lost(rollout, part, heard, now) {
            group.lost = group.lost.saturating_add(1);
        }
        if part.state.is_taken_back() {
            group.taken_back = group.taken_back.saturating_add(1);
        }
        if let Some(code) = code_of(part, place) {
            count_reason(&mut group.reasons, code);
        }
        let soaked_ms = soaked_ms(part, place, heard);
        match place {
            Place::Failed => {
                count_reason(&mut group.failures, code_of(part, place).unwrap_or("failed"));
            }
            Place::Unknown => count_reason(&mut group.failures, SILENT),
            _ => {}
        }
        for (group, counts) in rollout.groups.iter().zip(&mut self.groups).skip(at) {
            if soaked_ms.is_some_and(|ms| ms >= group.rules.soak_ms) {
                counts.soaked = counts.soaked.saturating_add(1);
            }
        }
        self.cohort(&part.cohort).add(rollout, place, heard, now);
    }

    /// Puts reasons in the order in which they are shown, at most ten a group.
    fn settle(&mut self) {
        for group in &mut self.groups {
            group.reasons.sort_by(|a, b| b.count.cmp(&a.count).then(a.code.cmp(&b.code)));
            group.reasons.truncate(REASONS_MAX);
            group.failures.sort_by(|a, b| a.code.cmp(&b.code));
        }
    }

    /// All failures by code, over all groups: what a resume has to name.
    #[must_use]
    pub fn failures(&self) -> Vec<ReasonCount> {
        let mut all: Vec<ReasonCount> = Vec::new();
        for one in self.groups.iter().flat_map(|group| &group.failures) {
            match all.iter_mut().find(|known| known.code == one.code) {
                Some(known) => known.count = known.count.saturating_add(one.count),
                None => all.push(one.clone()),
            }
        }
        all.sort_by(|a, b| a.code.cmp(&b.code));
        all
    }

    /// One count over all groups.
    #[must_use]
    pub fn sum(&self, of: impl Fn(&GroupTally) -> u64) -> u64 {
        self.groups.iter().map(of).fold(0, u64::saturating_add)
    }

    /// The counts of one cohort, empty where nothing was counted yet.
    pub fn cohort(&mut self, name: &str) -> &mut CohortTally {
        let at = match self.cohorts.binary_search_by(|known| known.cohort.as_str().cmp(name)) {
            Ok(at) => at,
            Err(_) if self.cohorts.len() >= COHORTS_MAX => self.cohorts.len().saturating_sub(1),
            Err(at) => {
                let fresh = CohortTally { cohort: name.to_string(), ..CohortTally::default() };
                self.cohorts.insert(at, fresh);
                at
            }
        };
        // Both ways out of the match name a place that is there.
        #[allow(clippy::indexing_slicing, reason = "found, inserted, or the last of a full list")]
        &mut self.cohorts[at]
    }
}

/// Codes shown for one group.
const REASONS_MAX: usize = 10;
/// Codes told apart in one group: devices make them up.
const CODES_MAX: usize = 64;
/// What codes beyond that are counted as.
const OTHER: &str = "other";
/// What silence is called among failures.
pub const SILENT: &str = "silent";

/// For how long a device has run the image by its own word: from its confirmation to the last time
/// that it said anything and nothing bad. Silence is no exposure.
fn soaked_ms(part: &Assignment, place: Place, heard: Heard) -> Option<u64> {
    match part.state {
        AssignmentState::Ended { outcome: Outcome::Done, at } if place == Place::Done => {
            Some(heard.last_seen.map_or(0, |seen| seen.since_ms(at)))
        }
        _ => None,
    }
}

fn code_of(part: &Assignment, place: Place) -> Option<&str> {
    match (&part.state, place) {
        (AssignmentState::Late { code, .. }, _) => Some(code),
        (
            AssignmentState::Ended {
                outcome: Outcome::Failed { code, .. } | Outcome::Refused { code, .. },
                ..
            },
            Place::Failed | Place::Refused,
        ) => Some(code),
        _ => None,
    }
}

fn count_reason(reasons: &mut Vec<ReasonCount>, code: &str) {
    let full = reasons.len() >= CODES_MAX && !reasons.iter().any(|reason| reason.code == code);
    let code = if full { OTHER } else { code };
    match reasons.iter_mut().find(|reason| reason.code == code) {
        Some(reason) => reason.count = reason.count.saturating_add(1),
        None => reasons.push(ReasonCount { code: code.to_string(), count: 1 }),
    }
}

impl GroupTally {
    /// Devices counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        [self.untouched(), self.offered, self.ended(), self.unknown]
            .into_iter()
            .fold(0, u64::saturating_add)
    }

    /// Devices that have not been offered anything.
    #[must_use]
    pub fn untouched(&self) -> u64 {
        self.waiting.saturating_add(self.ready).saturating_add(self.admitted)
    }

    /// Devices whose part is over.
    #[must_use]
    pub fn ended(&self) -> u64 {
        [self.done, self.failed, self.refused, self.expired, self.unreachable]
            .into_iter()
            .fold(0, u64::saturating_add)
    }

    /// Devices that have the image or could come to have it, the lost ones left out.
    #[must_use]
    pub fn able(&self) -> u64 {
        self.total().saturating_sub(self.over()).saturating_add(self.done)
    }

    /// Devices that nobody waits for.
    #[must_use]
    pub fn over(&self) -> u64 {
        self.ended().saturating_add(self.lost)
    }

    /// Devices that may be at work: what a cap on concurrency counts.
    #[must_use]
    pub fn at_work(&self) -> u64 {
        self.admitted.saturating_add(self.offered)
    }

    /// The count of one place.
    pub const fn of(&mut self, place: Place) -> &mut u64 {
        match place {
            Place::Waiting => &mut self.waiting,
            Place::Ready => &mut self.ready,
            Place::Admitted => &mut self.admitted,
            Place::Offered => &mut self.offered,
            Place::Done => &mut self.done,
            Place::Failed => &mut self.failed,
            Place::Refused => &mut self.refused,
            Place::Expired => &mut self.expired,
            Place::Unknown => &mut self.unknown,
            Place::Unreachable => &mut self.unreachable,
        }
    }
}

impl CohortTally {
    fn add(&mut self, rollout: &Rollout, place: Place, heard: Heard, now: Timestamp) {
        let one_more = |count: &mut u64| *count = count.saturating_add(1);
        match place {
            Place::Offered | Place::Done => one_more(&mut self.tried),
            Place::Failed => {
                one_more(&mut self.tried);
                one_more(&mut self.failed);
            }
            Place::Unknown => {
                one_more(&mut self.tried);
                one_more(&mut self.unknown);
            }
            Place::Waiting | Place::Ready | Place::Admitted => {
                // Devices that were gone before the rollout began say nothing about it.
                let lately = heard
                    .last_seen
                    .filter(|seen| seen.plus_ms(rollout.conduct.silent_ms) >= rollout.started);
                let Some(seen) = lately else { return };
                one_more(&mut self.control);
                if now.since_ms(seen) >= rollout.conduct.silent_ms {
                    one_more(&mut self.control_silent);
                }
                if heard.sick {
                    one_more(&mut self.control_sick);
                }
            }
            Place::Refused | Place::Expired | Place::Unreachable => {}
        }
    }
}

#[cfg(test)]
mod tests;
