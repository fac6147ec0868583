//! What a plan looks like before anybody approves it: who is in it and who is not and why, what it
//! costs, and how long it takes at best. Its figures are of the moment; what is approved is the
//! plan's hash.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::VersionName;
use lazaret_protocol::time::{DAY_MS, MINUTE_MS, Timestamp};
use serde::{Deserialize, Serialize};

use super::policy::GroupRules;
use super::state::Direction;
use super::survey::{Draft, Member};

/// Assumed from the offer to the word of the new image, in milliseconds: a poll interval of five
/// minutes and ten minutes of download, restart and probes.
pub const CYCLE_MS: u64 = 15 * MINUTE_MS;

/// Why a device is not in a plan.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum LeftOut {
    /// It is of another hardware model.
    OtherModel,
    /// It is not on the list.
    NotListed,
    /// The filter does not match it.
    NotInFilter,
    /// It runs the image.
    AlreadyRunning,
    /// It runs something newer.
    Newer,
    /// It is out of service for good.
    Retired,
    /// It is in quarantine.
    Quarantined,
    /// Its floor is above the release.
    BelowFloor,
    /// The release lets in only what runs another one first, and there is none in between.
    NeedsStep,
    /// The signed schedule never reaches it.
    ScheduleNever,
    /// Another rollout goes on with it.
    Busy,
}

impl LeftOut {
    /// For people.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::OtherModel => "of another model",
            Self::NotListed => "not on the list",
            Self::NotInFilter => "not matched by the filter",
            Self::AlreadyRunning => "running it already",
            Self::Newer => "running something newer",
            Self::Retired => "retired",
            Self::Quarantined => "in quarantine",
            Self::BelowFloor => "with a floor above it",
            Self::NeedsStep => "too far below it, with no release in between",
            Self::ScheduleNever => "never reached by the signed schedule",
            Self::Busy => "busy in another rollout",
        }
    }
}

/// A plan before it is approved.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// The plan's canonical hash.
    pub plan: Sha256Digest,
    /// Devices that model, filter and list mean.
    pub matched: u64,
    /// Devices that are in the plan.
    pub planned: u64,
    /// The others, each for one reason, in the order in which reasons are asked.
    pub left_out: Vec<LeftOutCount>,
    /// Of those, in quarantine.
    pub quarantined: u64,
    /// The groups, in order.
    pub groups: Vec<GroupPreview>,
    /// Devices by hardware revision: the blast radius.
    pub cohorts: BTreeMap<String, u64>,
    /// Devices that must run another release first, by that release.
    pub steps: Vec<StepPreview>,
    /// Devices that can go back to their other slot without a download.
    pub from_other_slot: u64,
    /// Bytes to fetch if every device takes the full image.
    pub bytes_full: u64,
    /// Bytes to fetch with the deltas that there are.
    pub bytes_with_deltas: u64,
    /// Devices that a delta serves.
    pub delta_devices: u64,
    /// Planned devices that were not heard of for a day.
    pub not_seen_for_a_day: u64,
    /// Milliseconds until the last group is through at the caps, were every device online.
    pub expected_ms: u64,
}

/// How many are left out for one reason.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOutCount {
    /// Why.
    pub reason: LeftOut,
    /// How many.
    pub count: u64,
}

/// A group of a plan.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupPreview {
    /// Its name.
    pub name: String,
    /// Devices in it.
    pub devices: u64,
    /// Milliseconds after the start at which it can open.
    pub opens_ms: u64,
    /// Milliseconds after the start at which all of it can be through.
    pub through_ms: u64,
}

/// A step that floors or the author force in between.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepPreview {
    /// The release in between.
    pub version: VersionName,
    /// Devices below it.
    pub devices: u64,
}

/// Draws up a preview.
pub(super) fn preview(
    draft: &Draft,
    grouped: &[Vec<Member>],
    (matched, left_out, plan, now): (u64, BTreeMap<LeftOut, u64>, Sha256Digest, Timestamp),
) -> Preview {
    let all = || grouped.iter().flatten();
    let count =
        |holds: &dyn Fn(&Member) -> bool| size(all().filter(|member| holds(member)).count());
    let mut cohorts = BTreeMap::new();
    for member in all() {
        let of = cohorts.entry(member.cohort.clone()).or_insert(0u64);
        *of = of.saturating_add(1);
    }
    let back = draft.direction != Direction::Newer;
    let kept = |member: &Member| back && member.other == Some(draft.release.sha256);
    let delta = |member: &Member| {
        let base = member.running.map(|(sha256, _)| sha256);
        draft.deltas.iter().find(|(of, _)| Some(*of) == base && !kept(member)).map(|(_, len)| *len)
    };
    let fetched = all().filter(|member| !kept(member));
    let with_deltas = fetched.map(|member| delta(member).unwrap_or(draft.image_bytes));
    let planned = size(all().count());
    let from_other_slot = count(&|member| kept(member));
    let groups = schedule(draft, grouped);
    let steps = draft.steps.iter().map(|step| StepPreview {
        version: step.version.clone(),
        devices: count(&|member| member.running.is_some_and(|(_, counter)| counter < step.counter)),
    });
    Preview {
        plan,
        matched,
        planned,
        quarantined: left_out.get(&LeftOut::Quarantined).copied().unwrap_or(0),
        left_out: left_out
            .into_iter()
            .map(|(reason, count)| LeftOutCount { reason, count })
            .collect(),
        cohorts,
        steps: steps.collect(),
        from_other_slot,
        bytes_full: planned.saturating_sub(from_other_slot).saturating_mul(draft.image_bytes),
        bytes_with_deltas: with_deltas.fold(0, u64::saturating_add),
        delta_devices: count(&|member| delta(member).is_some()),
        not_seen_for_a_day: count(&|member| {
            member.last_seen.is_none_or(|seen| now.since_ms(seen) > DAY_MS)
        }),
        expected_ms: groups.iter().map(|group| group.through_ms).max().unwrap_or(0),
        groups,
    }
}

fn schedule(draft: &Draft, grouped: &[Vec<Member>]) -> Vec<GroupPreview> {
    let mut opens_ms = 0u64;
    let (mut rows, mut opened) = (Vec::new(), Vec::new());
    for (policy, members) in draft.policy.groups.iter().zip(grouped) {
        let (rules, devices) = (policy.rules(), size(members.len()));
        let through_ms = opens_ms.saturating_add(time_for(&rules, devices));
        rows.push(GroupPreview { name: policy.name.to_string(), devices, opens_ms, through_ms });
        let sample = rules.minimum_sample.min(devices);
        let good_ms = opens_ms.saturating_add(time_for(&rules, sample));
        opened.push((opens_ms, rules.clone(), devices));
        opens_ms = match rules.soak_ms {
            0 => good_ms,
            soak_ms => good_ms.max(first_done(&opened, rules.soak_sample).saturating_add(soak_ms)),
        };
    }
    rows
}

/// When the first `sample` devices of the groups that have opened are done, in milliseconds.
fn first_done(opened: &[(u64, GroupRules, u64)], sample: u64) -> u64 {
    let mut left = sample;
    let mut at_ms = 0u64;
    for (opens_ms, rules, devices) in opened {
        let of_these = left.min(*devices);
        at_ms = at_ms.max(opens_ms.saturating_add(time_for(rules, of_these)));
        left = left.saturating_sub(of_these);
    }
    at_ms
}

/// Milliseconds until so many devices of a group are done at its caps, in rounds of [`CYCLE_MS`].
fn time_for(rules: &GroupRules, devices: u64) -> u64 {
    let mut done = 0u64;
    let mut ms = 0u64;
    // A cap that does not grow takes as many rounds as there are devices: past some, multiply.
    for _ in 0..ROUNDS_MAX {
        if done >= devices {
            return ms;
        }
        let room = rules.concurrency.map_or(u64::MAX, |cap| cap.at(done));
        let minutes = CYCLE_MS.checked_div(MINUTE_MS).unwrap_or(1);
        let rate = rules.rate.map_or(u64::MAX, |rate| rate.at(done).saturating_mul(minutes));
        let round = room.min(rate).max(1);
        done = done.saturating_add(round);
        ms = ms.saturating_add(CYCLE_MS);
        if ms >= ROUNDS_MAX.saturating_sub(1).saturating_mul(CYCLE_MS) {
            let left = devices.saturating_sub(done).div_ceil(round);
            return ms.saturating_add(left.saturating_mul(CYCLE_MS));
        }
    }
    ms
}

const ROUNDS_MAX: u64 = 1000;

fn size(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
