//! Planning: every device of the fleet is looked at once, and is either in the plan or left out for
//! one reason. What comes out is a rollout to approve, each device's part in it, and the preview
//! that people read before they do.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::{DeviceId, IncidentId, OperatorName, RolloutId};
use lazaret_protocol::operator::{GroupState, RolloutState};
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::time::Timestamp;

use super::approval::statement;
use super::plan::{Plan, check_emergency};
use super::policy::{GroupPolicy, Policy};
use super::preview::{LeftOut, Preview, preview};
use super::state::{
    Assignment, AssignmentState, Conduct, Direction, Group, Rollout, RolloutRelease, Thresholds,
};
use crate::device::Device;
use crate::filter::Filter;
use crate::refused::Refused;

/// What somebody wants to plan.
#[derive(Debug, Clone)]
pub struct Draft {
    /// What to install.
    pub release: RolloutRelease,
    /// Length of its image in bytes.
    pub image_bytes: u64,
    /// Its deltas: digest of the base, and length in bytes.
    pub deltas: Vec<(Sha256Digest, u64)>,
    /// Releases that devices below them must run first, by rising counter.
    pub steps: Vec<RolloutRelease>,
    /// Onwards or back.
    pub direction: Direction,
    /// How.
    pub policy: Policy,
    /// Whom: none for every device of the model.
    pub filter: Option<Filter>,
    /// Whom: none for no list.
    pub devices: Option<BTreeSet<DeviceId>>,
    /// Floors of known releases by the digest of their image: what a device that runs one may not
    /// go below.
    pub floors: BTreeMap<Sha256Digest, u64>,
    /// Why.
    pub reason: String,
    /// The incident that it cures.
    pub cures: Option<IncidentId>,
}

impl Draft {
    /// As [`Rollout::leaves_out`], of a rollout that is still being planned.
    fn leaves_out(&self, device: &Device) -> bool {
        let cures = self.cures.is_some() && self.direction == Direction::Newer;
        device.level().is_some_and(|level| match cures {
            true => !level.lets_cures_in(),
            false => level.holds_rollouts(),
        })
    }

    /// As [`Rollout::next_for`], of a rollout that is still being planned.
    fn next_for(&self, counter: u64) -> &RolloutRelease {
        let below = |step: &&RolloutRelease| counter < step.counter;
        match self.direction {
            Direction::Newer => self.steps.iter().find(below).unwrap_or(&self.release),
            Direction::Back { .. } => &self.release,
        }
    }
}

/// A device that is in the plan, as far as planning needs it.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) id: DeviceId,
    pub(super) cohort: String,
    pub(super) running: Option<(Sha256Digest, u64)>,
    pub(super) other: Option<Sha256Digest>,
    pub(super) place: u16,
    pub(super) last_seen: Option<Timestamp>,
    /// The first group that it is in by filter or list.
    pub(super) named: Option<usize>,
}

/// A plan that is being made.
#[derive(Debug)]
pub struct Survey {
    draft: Draft,
    groups: Vec<Members>,
    members: Vec<Member>,
    left_out: BTreeMap<LeftOut, u64>,
    matched: u64,
    now: Timestamp,
}

#[derive(Debug)]
enum Members {
    Share(u32),
    Filter(Filter),
    List(BTreeSet<DeviceId>),
    Rest,
}

impl Survey {
    /// Begins.
    ///
    /// # Errors
    /// The policy is not usable, or an emergency without the role's signature; or no reason.
    pub fn new(draft: Draft, now: Timestamp) -> Result<Self, Refused> {
        let problems = draft.policy.check();
        if !problems.is_empty() {
            let list: Vec<String> = problems.iter().map(ToString::to_string).collect();
            let detail = format!("policy {}: {}", draft.policy.name, list.join("; "));
            return Err(bad(detail));
        }
        if draft.reason.trim().is_empty() {
            return Err(bad("expected a reason, got none"));
        }
        check_emergency(&Conduct::from(&draft.policy), &draft.release, now)?;
        let groups = draft.policy.groups.iter().map(members).collect::<Result<_, _>>()?;
        let (members, left_out) = (Vec::new(), BTreeMap::new());
        Ok(Self { draft, groups, members, left_out, matched: 0, now })
    }

    /// Looks at one device, which is in `busy` where another rollout goes on with it.
    pub fn look(&mut self, device: &Device, latest: Option<&RolloutId>, busy: Option<&Rollout>) {
        if let Some(reason) = self.not_meant(device, latest) {
            self.leave_out(reason);
            return;
        }
        self.matched = self.matched.saturating_add(1);
        if let Some(reason) = self.not_able(device, busy) {
            self.leave_out(reason);
            return;
        }
        let named = self.groups.iter().position(|group| match group {
            Members::Filter(filter) => filter.matches(device, latest, self.now),
            Members::List(ids) => ids.contains(&device.id),
            Members::Share(_) | Members::Rest => false,
        });
        self.members.push(Member {
            id: device.id.clone(),
            cohort: device.cohort(),
            running: device.running.as_ref().map(|running| (running.sha256, running.counter)),
            other: device.other_release.as_ref().map(|other| other.sha256),
            place: self.draft.release.schedule.place(&device.id),
            last_seen: device.last_seen,
            named,
        });
    }

    /// The plan, and what it looks like.
    ///
    /// # Errors
    /// No device is in it, or its first group is empty.
    pub fn finish(self, (id, by): (RolloutId, &OperatorName)) -> Result<(Plan, Preview), Refused> {
        let Self { draft, groups, mut members, left_out, matched, now } = self;
        if members.is_empty() {
            let list: Vec<String> =
                left_out.iter().map(|(why, count)| format!("{count} {}", why.in_words())).collect();
            return Err(conflict(format!("no device is in the plan: {}", list.join(", "))));
        }
        members.sort_by(|a, b| (a.place, &a.id).cmp(&(b.place, &b.id)));
        let grouped = divide(members, &groups);
        if grouped.first().is_none_or(Vec::is_empty) {
            let name = draft.policy.groups.first().map_or("", |group| group.name.as_str());
            let detail =
                format!("the first group, {name}, is empty: it would open the next untried");
            return Err(conflict(detail));
        }
        let mut rollout = planned(&draft, &grouped, (id, by, now));
        let parts = assignments(&rollout.id, &grouped);
        let hash = statement(&rollout, &parts).hash();
        let hash = hash.map_err(|err| bad(format!("the plan has no canonical form: {err}")))?;
        rollout.plan = Some(hash);
        let preview = preview(&draft, &grouped, (matched, left_out, hash, now));
        Ok((Plan { rollout, assignments: parts }, preview))
    }

    fn leave_out(&mut self, reason: LeftOut) {
        let count = self.left_out.entry(reason).or_insert(0);
        *count = count.saturating_add(1);
    }

    fn not_meant(&self, device: &Device, latest: Option<&RolloutId>) -> Option<LeftOut> {
        let draft = &self.draft;
        if device.model != draft.release.model {
            return Some(LeftOut::OtherModel);
        }
        if draft.devices.as_ref().is_some_and(|ids| !ids.contains(&device.id)) {
            return Some(LeftOut::NotListed);
        }
        let filter = draft.filter.as_ref();
        let fits = filter.is_none_or(|filter| filter.matches(device, latest, self.now));
        (!fits).then_some(LeftOut::NotInFilter)
    }

    fn not_able(&self, device: &Device, busy: Option<&Rollout>) -> Option<LeftOut> {
        let release = &self.draft.release;
        let running = device.running.as_ref();
        if running.is_some_and(|running| running.sha256 == release.sha256) {
            return Some(LeftOut::AlreadyRunning);
        }
        if device.retired.is_some() {
            return Some(LeftOut::Retired);
        }
        if self.draft.leaves_out(device) {
            return Some(LeftOut::Quarantined);
        }
        if let Some(running) = running {
            let newer =
                self.draft.direction == Direction::Newer && running.counter > release.counter;
            if newer && release.counter > 0 {
                return Some(LeftOut::Newer);
            }
        }
        // By its own word where it has given it; otherwise as what it runs was signed.
        let signed = running.and_then(|running| self.draft.floors.get(&running.sha256));
        let floor = device.release_floor.max(signed.copied());
        if floor.is_some_and(|floor| floor > release.counter) {
            return Some(LeftOut::BelowFloor);
        }
        if running
            .is_some_and(|running| self.draft.next_for(running.counter).needs > running.counter)
        {
            return Some(LeftOut::NeedsStep);
        }
        if release.opens_for(&device.id, self.now).is_none() {
            return Some(LeftOut::ScheduleNever);
        }
        let conduct = Conduct::from(&self.draft.policy);
        let taken = busy
            .is_some_and(|busy| super::plan::takes(busy, &conduct, &self.draft.direction).is_err());
        taken.then_some(LeftOut::Busy)
    }
}

fn members(group: &GroupPolicy) -> Result<Members, Refused> {
    if let Some(permille) = group.permille {
        return Ok(Members::Share(permille));
    }
    if let Some(text) = &group.filter {
        return text.parse().map(Members::Filter).map_err(|err| bad(format!("{err}")));
    }
    match &group.devices {
        Some(devices) => Ok(Members::List(devices.iter().cloned().collect())),
        None => Ok(Members::Rest),
    }
}

/// Divides devices, which stand in the order of the signed schedule, into groups. Named groups take
/// theirs first; shares are of all devices of the plan and are rounded up, so that a canary group
/// of some permille is never nobody.
fn divide(members: Vec<Member>, groups: &[Members]) -> Vec<Vec<Member>> {
    let total = members.len();
    let mut grouped: Vec<Vec<Member>> = groups.iter().map(|_| Vec::new()).collect();
    let (named, free): (Vec<Member>, Vec<Member>) =
        members.into_iter().partition(|member| member.named.is_some());
    for member in named {
        if let Some(group) = member.named.and_then(|at| grouped.get_mut(at)) {
            group.push(member);
        }
    }
    let mut free = free.into_iter();
    let mut permille = 0usize;
    let mut taken = 0usize;
    for (group, kind) in grouped.iter_mut().zip(groups) {
        match kind {
            Members::Share(share) => {
                permille = permille.saturating_add(usize::try_from(*share).unwrap_or(0));
                let bound = total.saturating_mul(permille).div_ceil(1000);
                group.extend(free.by_ref().take(bound.saturating_sub(taken)));
                taken = taken.saturating_add(group.len());
            }
            Members::Rest => group.extend(free.by_ref()),
            Members::Filter(_) | Members::List(_) => {}
        }
    }
    // Shares of 1000 together leave nobody; where rounding or names do, the last share has them.
    let last = groups.iter().rposition(|kind| matches!(kind, Members::Share(_)));
    if let Some(group) = last.and_then(|at| grouped.get_mut(at)) {
        group.extend(free);
    }
    grouped
}

fn planned(
    draft: &Draft,
    grouped: &[Vec<Member>],
    (id, by, now): (RolloutId, &OperatorName, Timestamp),
) -> Rollout {
    let groups = draft.policy.groups.iter().zip(grouped).map(|(group, members)| Group {
        state: GroupState::Closed,
        size: u64::try_from(members.len()).unwrap_or(u64::MAX),
        rules: group.rules(),
        ..Group::default()
    });
    let conduct = Conduct::from(&draft.policy);
    let state = if conduct.approvals == 0 { RolloutState::Approved } else { RolloutState::Planned };
    Rollout {
        id,
        release: draft.release.clone(),
        state,
        halt_reason: None,
        groups: groups.collect(),
        thresholds: Thresholds { success_percent: 100, error_percent: 1 },
        started_by: by.clone(),
        started: now,
        reason: draft.reason.clone(),
        steps: draft.steps.clone(),
        direction: draft.direction.clone(),
        conduct,
        plan: None,
        approvals: Vec::new(),
        accepted: Vec::new(),
        cures: draft.cures.clone(),
    }
}

fn assignments(rollout: &RolloutId, grouped: &[Vec<Member>]) -> Vec<Assignment> {
    let groups = (0u64..).zip(grouped);
    let parts =
        groups.flat_map(|(group, members)| members.iter().map(move |member| (group, member)));
    parts
        .map(|(group, member)| Assignment {
            rollout: rollout.clone(),
            device: member.id.clone(),
            group,
            state: AssignmentState::Waiting,
            cohort: member.cohort.clone(),
            preserving_since: None,
        })
        .collect()
}

fn bad(detail: impl Into<String>) -> Refused {
    Refused::because(RefusalCode::BadRequest, detail)
}

fn conflict(detail: String) -> Refused {
    Refused::because(RefusalCode::Conflict, detail)
}

#[cfg(test)]
mod tests;
