//! The next step of a rollout from its counts, and what people do to it. Rollouts change state only
//! in `step`.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use lazaret_protocol::operator::{GroupState, ReasonCount, RolloutState};
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::time::Timestamp;

use super::approval;
use super::gate::{Verdict, has_soaked, judge};
use super::pace;
use super::state::{Accepted, Approval, Rollout};
use super::statistics;
use super::tally::Tally;
use crate::event::{Event, Fact};
use crate::record::{Decision, Found};
use crate::refused::Refused;

/// What moves a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Somebody approved the plan.
    Approve(Approval),
    /// Somebody starts the approved plan.
    Start {
        /// Who.
        by: String,
    },
    /// Somebody gives the plan up.
    Withdraw {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// A group passed: open the one after it.
    Pass(usize),
    /// Hold on.
    Pause {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// Stop.
    Halt {
        /// Who: a person, `error threshold` or `statistics`.
        by: String,
        /// Why.
        reason: String,
    },
    /// Go on, with these failures accepted.
    Resume {
        /// Who.
        by: String,
        /// Why.
        reason: String,
        /// The failures that were named.
        accepted: Vec<ReasonCount>,
        /// All counts at that moment.
        tally: Tally,
    },
    /// Every device has ended.
    Finish,
}

/// Whether the fleet-wide cord holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CordState {
    /// It does not.
    Free,
    /// It does: no group opens and no turn is handed out, and failures still halt.
    Pulled,
}

/// Takes the steps that the counts call for, and says how many turns each group may hand out now.
/// Changes nothing where nothing follows.
pub fn advance(
    rollout: &Found<Rollout>,
    tally: &Found<Tally>,
    counted: &Tally,
    (cord, now): (CordState, Timestamp),
) -> Decision<Vec<u64>> {
    let mut decision = Decision::reply(Vec::new());
    if tally.value.as_ref() != Some(counted) {
        decision = decision.replace(tally, counted);
    }
    let Some(before) = &rollout.value else { return decision };
    let (after, facts, turns) = advanced(before, counted, (cord, now));
    if after != *before {
        decision = decision.replace(rollout, &after);
    }
    for fact in facts {
        decision = decision.event(Event { at: now, fact });
    }
    decision.with_reply(turns)
}

/// The rollout after all steps that the counts call for, what happened, and the turns to hand out.
#[must_use]
pub fn advanced(
    before: &Rollout,
    counted: &Tally,
    (cord, now): (CordState, Timestamp),
) -> (Rollout, Vec<Fact>, Vec<u64>) {
    let mut after = before.clone();
    let mut facts = Vec::new();
    while let Some(next) = next_step(&after, counted, cord) {
        facts.extend(step(&mut after, &next, now));
    }
    let turns = hand_out(&mut after, counted, (cord, now));
    (after, facts, turns)
}

/// Takes the turns out of each group's tokens.
fn hand_out(
    rollout: &mut Rollout,
    counted: &Tally,
    (cord, now): (CordState, Timestamp),
) -> Vec<u64> {
    let goes_on = rollout.state == RolloutState::Running && cord == CordState::Free;
    let groups = rollout.groups.iter_mut().zip(&counted.groups);
    let turns = groups.map(|(group, counts)| {
        let open = matches!(group.state, GroupState::Open | GroupState::Passed);
        if !goes_on || !open || !group.rules.takes_turns() || counts.ready == 0 {
            return 0;
        }
        let (most, tokens) = pace::budget(group, counts, now);
        let turns = most.min(counts.ready);
        if turns > 0 {
            group.tokens = pace::spent(tokens, turns);
        }
        turns
    });
    turns.collect()
}

/// Halts a rollout by a person's word. Halting what has halted changes nothing.
///
/// # Errors
/// No such rollout, or it is over or has not begun.
pub fn halt(
    found: &Found<Rollout>,
    by: &str,
    reason: &str,
    now: Timestamp,
) -> Result<Decision<Rollout>, Refused> {
    let step = Step::Halt { by: by.into(), reason: reason.into() };
    said(found, &step, now, |rollout| match rollout.state {
        RolloutState::Halted => Ok(Word::Already),
        RolloutState::Running | RolloutState::Paused => Ok(Word::Counts),
        RolloutState::Planned | RolloutState::Approved => {
            Err(conflict(format!("{} has not begun, withdraw it", rollout.id)))
        }
        _ => Err(conflict(format!("{} has finished, there is nothing left to halt", rollout.id))),
    })
}

/// Pauses a running rollout: nothing new is offered, what was taken goes on.
///
/// # Errors
/// No such rollout, or it does not run.
pub fn pause(
    found: &Found<Rollout>,
    by: &str,
    reason: &str,
    now: Timestamp,
) -> Result<Decision<Rollout>, Refused> {
    let step = Step::Pause { by: by.into(), reason: reason.into() };
    said(found, &step, now, |rollout| match rollout.state {
        RolloutState::Paused => Ok(Word::Already),
        RolloutState::Running => Ok(Word::Counts),
        state => Err(conflict(format!("{} is {state:?}, it does not run", rollout.id))),
    })
}

/// Sets a paused or halted rollout going again. One that halted goes on only when every failure
/// there is was named, code by code, with its count: nobody resumes what they have not looked at.
///
/// # Errors
/// No such rollout, it neither paused nor halted, or failures that were not named.
pub fn resume(
    found: &Found<Rollout>,
    tally: &Tally,
    accepted: &[ReasonCount],
    (by, reason, now): (&str, &str, Timestamp),
) -> Result<Decision<Rollout>, Refused> {
    let next = Step::Resume {
        by: by.into(),
        reason: reason.into(),
        accepted: accepted.to_vec(),
        tally: tally.clone(),
    };
    said(found, &next, now, |rollout| match rollout.state {
        RolloutState::Paused => Ok(Word::Counts),
        RolloutState::Halted => {
            all_named(&tally.failures(), accepted)?;
            Ok(Word::Counts)
        }
        state => Err(conflict(format!("{} is {state:?}, not halted", rollout.id))),
    })
}

fn all_named(failures: &[ReasonCount], accepted: &[ReasonCount]) -> Result<(), Refused> {
    let named =
        |one: &ReasonCount| accepted.iter().any(|it| it.code == one.code && it.count >= one.count);
    if failures.iter().all(named) {
        return Ok(());
    }
    let list: Vec<String> =
        failures.iter().map(|one| format!("{}={}", one.code, one.count)).collect();
    let detail = format!("expected all failures to be accepted by name: {}", list.join(", "));
    Err(conflict(detail))
}

/// Starts a plan that has its approvals.
///
/// # Errors
/// No such rollout, not approved, begun already; or an emergency whose signed schedule has lapsed.
pub fn start(
    found: &Found<Rollout>,
    by: &str,
    now: Timestamp,
) -> Result<Decision<Rollout>, Refused> {
    said(found, &Step::Start { by: by.into() }, now, |rollout| {
        let (have, need) = (approval::counted(rollout), u64::from(rollout.conduct.approvals));
        match rollout.state {
            RolloutState::Running => return Ok(Word::Already),
            RolloutState::Planned | RolloutState::Approved if have < need => {
                return Err(conflict(format!("{} has {have} of {need} approvals", rollout.id)));
            }
            RolloutState::Planned | RolloutState::Approved => {}
            state => {
                return Err(conflict(format!("{} is {state:?}, it cannot begin", rollout.id)));
            }
        }
        super::plan::check_emergency(&rollout.conduct, &rollout.release, now)?;
        Ok(Word::Counts)
    })
}

/// Gives a plan up.
///
/// # Errors
/// No such rollout, or it has begun.
pub fn withdraw(
    found: &Found<Rollout>,
    by: &str,
    reason: &str,
    now: Timestamp,
) -> Result<Decision<Rollout>, Refused> {
    let step = Step::Withdraw { by: by.into(), reason: reason.into() };
    said(found, &step, now, |rollout| match rollout.state {
        RolloutState::Withdrawn => Ok(Word::Already),
        RolloutState::Planned | RolloutState::Approved => Ok(Word::Counts),
        _ => Err(conflict(format!("{} has begun, halt it", rollout.id))),
    })
}

/// Whether a person's word changes anything.
enum Word {
    /// It is so already.
    Already,
    /// It does.
    Counts,
}

/// Takes the step that somebody asked for, where `may` says that the rollout is in a state for it.
fn said(
    found: &Found<Rollout>,
    next: &Step,
    now: Timestamp,
    may: impl FnOnce(&Rollout) -> Result<Word, Refused>,
) -> Result<Decision<Rollout>, Refused> {
    let mut rollout = known(found)?;
    match may(&rollout)? {
        Word::Already => Ok(Decision::reply(rollout)),
        Word::Counts => {
            let facts = step(&mut rollout, next, now);
            Ok(decided(found, &rollout, facts, now))
        }
    }
}

fn known(found: &Found<Rollout>) -> Result<Rollout, Refused> {
    found.value.clone().ok_or_else(|| Refused::because(RefusalCode::NotFound, "no such rollout"))
}

fn conflict(detail: String) -> Refused {
    Refused::because(RefusalCode::Conflict, detail)
}

pub(super) fn decided(
    found: &Found<Rollout>,
    rollout: &Rollout,
    facts: Vec<Fact>,
    now: Timestamp,
) -> Decision<Rollout> {
    let mut decision = Decision::reply(rollout.clone()).replace(found, rollout);
    for fact in facts {
        decision = decision.event(Event { at: now, fact });
    }
    decision
}

fn next_step(rollout: &Rollout, counted: &Tally, cord: CordState) -> Option<Step> {
    if !matches!(rollout.state, RolloutState::Running | RolloutState::Paused) {
        return None;
    }
    if let Some(halt) = trip(rollout, counted) {
        return Some(halt);
    }
    if rollout.state == RolloutState::Paused {
        return None;
    }
    let groups = rollout.groups.iter().zip(&counted.groups).enumerate();
    for (at, (group, counts)) in groups {
        let so_far = counted.groups.get(..=at).unwrap_or_default();
        if group.state == GroupState::Open
            && cord == CordState::Free
            && judge(counts, group, rollout.thresholds_of(group)) == Verdict::Pass
            && has_soaked(so_far, group)
        {
            return Some(Step::Pass(at));
        }
    }
    // A silent device may still come back, so it does not end its group before it is lost.
    let over = counted.groups.iter().all(|counts| counts.over() == counts.total());
    over.then_some(Step::Finish)
}

/// Whether anything calls for a halt. Groups that passed are judged still: late failures count as
/// much as early ones.
fn trip(rollout: &Rollout, counted: &Tally) -> Option<Step> {
    let groups = rollout.groups.iter().zip(&counted.groups).enumerate();
    for (at, (group, counts)) in groups {
        let watched = matches!(group.state, GroupState::Open | GroupState::Passed);
        if let Verdict::Trip { reason } = judge(counts, group, rollout.thresholds_of(group))
            && watched
        {
            let reason = format!("group {}: {reason}", at.saturating_add(1));
            return Some(Step::Halt { by: "error threshold".to_string(), reason });
        }
    }
    let policy = rollout.conduct.statistics?;
    let found = statistics::judge(&counted.cohorts, &rollout.accepted, policy)?;
    Some(Step::Halt { by: "statistics".to_string(), reason: found.reason })
}

/// The one place where a rollout changes state.
pub(super) fn step(rollout: &mut Rollout, step: &Step, now: Timestamp) -> Vec<Fact> {
    let id = rollout.id.clone();
    match step {
        Step::Approve(approval) => {
            rollout.approvals.push(approval.clone());
            let (have, need) = (approval::counted(rollout), u64::from(rollout.conduct.approvals));
            if have >= need {
                rollout.state = RolloutState::Approved;
            }
            let by = approval.by.clone();
            alloc::vec![Fact::RolloutApproved { rollout: id, by, have, need }]
        }
        Step::Start { .. } => {
            rollout.state = RolloutState::Running;
            rollout.started = now;
            open(rollout, 0, now);
            let devices =
                rollout.groups.iter().map(|group| group.size).fold(0, u64::saturating_add);
            alloc::vec![Fact::RolloutStarted {
                rollout: id,
                model: rollout.release.model.clone(),
                version: rollout.release.version.clone(),
                devices,
                by: rollout.started_by.clone(),
                reason: rollout.reason.clone(),
            }]
        }
        Step::Withdraw { by, reason } => {
            rollout.state = RolloutState::Withdrawn;
            let (by, reason) = (by.clone(), reason.clone());
            alloc::vec![Fact::RolloutWithdrawn { rollout: id, by, reason }]
        }
        Step::Pass(at) => pass(rollout, *at, now),
        Step::Pause { by, reason } => {
            rollout.state = RolloutState::Paused;
            let (by, reason) = (by.clone(), reason.clone());
            alloc::vec![Fact::RolloutPaused { rollout: id, by, reason }]
        }
        Step::Halt { by, reason } => {
            rollout.state = RolloutState::Halted;
            rollout.halt_reason = Some(reason.clone());
            for group in &mut rollout.groups {
                if group.state == GroupState::Open {
                    group.state = GroupState::Tripped;
                }
            }
            let (by, reason) = (by.clone(), reason.clone());
            alloc::vec![Fact::RolloutHalted { rollout: id, by, reason }]
        }
        Step::Resume { by, reason, accepted, tally } => {
            if rollout.state == RolloutState::Halted {
                accept(rollout, tally);
            }
            rollout.state = RolloutState::Running;
            rollout.halt_reason = None;
            let (by, reason, accepted) = (by.clone(), reason.clone(), accepted.clone());
            alloc::vec![Fact::RolloutResumed { rollout: id, by, reason, accepted }]
        }
        Step::Finish => {
            rollout.state = RolloutState::Finished;
            alloc::vec![Fact::RolloutFinished { rollout: id }]
        }
    }
}

fn pass(rollout: &mut Rollout, at: usize, now: Timestamp) -> Vec<Fact> {
    let number = |at: usize| u64::try_from(at).unwrap_or(u64::MAX);
    if let Some(group) = rollout.groups.get_mut(at) {
        group.state = GroupState::Passed;
    }
    let next = at.saturating_add(1);
    let rollout_id = rollout.id.clone();
    let mut facts = alloc::vec![Fact::GroupPassed { rollout: rollout_id, group: number(at) }];
    if open(rollout, next, now) {
        facts.push(Fact::GroupOpened { rollout: rollout.id.clone(), group: number(next) });
    }
    facts
}

/// Opens a closed group; says whether there was one.
fn open(rollout: &mut Rollout, at: usize, now: Timestamp) -> bool {
    match rollout.groups.get_mut(at) {
        Some(group) if group.state == GroupState::Closed => {
            group.state = GroupState::Open;
            group.opened = Some(now);
            true
        }
        _ => false,
    }
}

fn accept(rollout: &mut Rollout, tally: &Tally) {
    for (group, counts) in rollout.groups.iter_mut().zip(&tally.groups) {
        group.accepted = counts.failed;
        if group.state == GroupState::Tripped {
            group.state = GroupState::Open;
        }
    }
    let accepted = tally.cohorts.iter().map(|cohort| Accepted {
        cohort: cohort.cohort.clone(),
        failed: cohort.failed,
        unknown: cohort.unknown,
    });
    rollout.accepted = accepted.collect();
}

#[cfg(test)]
mod tests;
