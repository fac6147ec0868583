//! Who is in a rollout and in which group. Devices stand in the order of the place that the signed
//! schedule gives them, so that the server's groups open in the order in which the signers let
//! devices in.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use lazaret_protocol::id::{DeviceId, OperatorName, RolloutId};
use lazaret_protocol::limits::ROLLOUT_GROUPS_MAX;
use lazaret_protocol::operator::{GroupState, RolloutRequest, RolloutState};
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::target::Schedule;
use lazaret_protocol::time::Timestamp;

use super::policy::{GroupRules, Urgency};
use super::state::{
    Assignment, AssignmentState, Conduct, Direction, Group, Rollout, RolloutRelease, Thresholds,
};
use crate::refused::Refused;

/// A rollout that can begin, with each device's part in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The rollout.
    pub rollout: Rollout,
    /// One for each device.
    pub assignments: Vec<Assignment>,
}

/// Plans a rollout over `devices`.
///
/// # Errors
/// Groups that do not add up, thresholds that are no percentages, an error threshold of zero, no
/// reason, or no device.
pub fn plan(
    request: &RolloutRequest,
    release: RolloutRelease,
    devices: Vec<DeviceId>,
    (id, by, now): (RolloutId, &OperatorName, Timestamp),
) -> Result<Plan, Refused> {
    check(request)?;
    if devices.is_empty() {
        let detail = format!("no device of model {} is in the scope", request.model);
        return Err(bad(detail));
    }
    let members = divide(devices, &release.schedule, &request.groups_permille);
    let state = |i: usize| if i == 0 { GroupState::Open } else { GroupState::Closed };
    let groups = members
        .iter()
        .enumerate()
        .map(|(i, members)| Group {
            state: state(i),
            size: u64::try_from(members.len()).unwrap_or(u64::MAX),
            opened: (i == 0).then_some(now),
            rules: GroupRules::default(),
            ..Group::default()
        })
        .collect();
    let assignments = members
        .into_iter()
        .zip(0u64..)
        .flat_map(|(members, group)| members.into_iter().map(move |device| (device, group)))
        .map(|(device, group)| Assignment {
            rollout: id.clone(),
            device,
            group,
            state: AssignmentState::Waiting,
            cohort: String::new(),
            preserving_since: None,
        })
        .collect();
    let rollout = Rollout {
        id: id.clone(),
        release,
        state: RolloutState::Running,
        halt_reason: None,
        groups,
        thresholds: Thresholds {
            success_percent: request.success_percent,
            error_percent: request.error_percent,
        },
        started_by: by.clone(),
        started: now,
        reason: request.reason.clone(),
        steps: Vec::new(),
        direction: Direction::Newer,
        conduct: Conduct::default(),
        plan: None,
        approvals: Vec::new(),
        accepted: Vec::new(),
        cures: None,
    };
    Ok(Plan { rollout, assignments })
}

/// Whether a rollout as pressing as `conduct` says may go on at `now`: an emergency needs the
/// signature of the `emergency` role on this very image, and its reason and end with it.
///
/// # Errors
/// There is none, it is of another image, or it has lapsed.
pub fn check_emergency(
    conduct: &Conduct,
    release: &RolloutRelease,
    now: Timestamp,
) -> Result<(), Refused> {
    if conduct.urgency == Urgency::Normal {
        return Ok(());
    }
    let conflict = |detail: String| Err(Refused::because(RefusalCode::Conflict, detail));
    let Some(emergency) = &release.emergency else {
        return conflict(format!(
            "expected emergency/{}/{} signed by the emergency role, found none",
            release.model, release.version
        ));
    };
    if emergency.image_sha256 != release.sha256 {
        return conflict(format!(
            "expected an emergency for the image {}, it is for {}",
            release.sha256, emergency.image_sha256
        ));
    }
    if emergency.expires <= now {
        return conflict(format!("the emergency lapsed at {}", emergency.expires));
    }
    Ok(())
}

/// Whether `new` may take a device that is in `current`.
///
/// # Errors
/// `current` goes on, and `new` neither overtakes nor takes it back.
pub fn may_take(current: &Rollout, new: &Rollout) -> Result<(), Refused> {
    if current.id == new.id {
        return Ok(());
    }
    takes(current, &new.conduct, &new.direction)
}

/// As [`may_take`], of a rollout that is still being planned.
pub(super) fn takes(
    current: &Rollout,
    conduct: &Conduct,
    direction: &Direction,
) -> Result<(), Refused> {
    let goes_on = matches!(current.state, RolloutState::Running | RolloutState::Paused);
    let takes_back = matches!(direction, Direction::Back { of } if *of == current.id);
    let overtakes =
        conduct.urgency == Urgency::Emergency && current.conduct.urgency == Urgency::Normal;
    if !goes_on || takes_back || overtakes {
        return Ok(());
    }
    let detail = format!("{} goes on with it: halt it or wait for its end", current.id);
    Err(Refused::because(RefusalCode::Conflict, detail))
}

fn check(request: &RolloutRequest) -> Result<(), Refused> {
    let groups = &request.groups_permille;
    let sum = groups.iter().fold(0u32, |sum, &permille| sum.saturating_add(u32::from(permille)));
    if groups.len() > ROLLOUT_GROUPS_MAX || sum != 1000 || groups.contains(&0) {
        return Err(bad(format!(
            "expected 1 to {ROLLOUT_GROUPS_MAX} groups of at least 1 permille that add up to \
             1000, got {groups:?}"
        )));
    }
    if request.success_percent > 100 || request.error_percent > 100 || request.error_percent == 0 {
        return Err(bad(format!(
            "expected a success threshold of 0 to 100 and an error threshold of 1 to 100 \
             percent, got {} and {}",
            request.success_percent, request.error_percent
        )));
    }
    Ok(())
}

fn bad(detail: String) -> Refused {
    Refused::because(RefusalCode::BadRequest, detail)
}

/// Divides devices into groups by their share. A group's bound is rounded up, so that the first
/// group is never empty: a canary group of nobody would open the next one untried.
fn divide(
    mut devices: Vec<DeviceId>,
    schedule: &Schedule,
    groups_permille: &[u16],
) -> Vec<Vec<DeviceId>> {
    devices.sort_by_cached_key(|device| (schedule.place(device), device.clone()));
    devices.dedup();
    let total = devices.len();
    let mut rest = devices.into_iter();
    let mut taken = 0usize;
    let mut permille = 0usize;
    let mut groups = Vec::new();
    for share in groups_permille {
        permille = permille.saturating_add(usize::from(*share));
        let bound = total.saturating_mul(permille).div_ceil(1000);
        let group: Vec<DeviceId> = rest.by_ref().take(bound.saturating_sub(taken)).collect();
        taken = taken.saturating_add(group.len());
        groups.push(group);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use proptest::prelude::*;

    fn ids(count: usize) -> Vec<DeviceId> {
        (0..count).map(|i| format!("d-{i}").parse().unwrap()).collect()
    }

    proptest! {
        #[test]
        fn every_device_is_in_exactly_one_group(count in 1usize..200, a in 1u16..500) {
            let schedule = Schedule::everybody_from("s", Timestamp::from_ms(0));
            let groups = divide(ids(count), &schedule, &[a, 500 - a, 500]);
            let all: Vec<&DeviceId> = groups.iter().flatten().collect();
            let distinct: BTreeSet<&DeviceId> = all.iter().copied().collect();
            prop_assert_eq!(all.len(), count);
            prop_assert_eq!(distinct.len(), count);
            prop_assert!(!groups[0].is_empty());
        }

        #[test]
        fn earlier_groups_hold_earlier_places(count in 1usize..200) {
            let schedule = Schedule::everybody_from("x", Timestamp::from_ms(0));
            let groups = divide(ids(count), &schedule, &[100, 900]);
            let last = groups[0].iter().map(|d| schedule.place(d)).max();
            let first = groups[1].iter().map(|d| schedule.place(d)).min();
            prop_assert!(first.is_none() || last <= first);
        }
    }
}
