//! The next step of a rollout from its counts, and halting by hand. Rollouts change state only in
//! `step`.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use lazaret_protocol::operator::{GroupState, RolloutState};
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::time::Timestamp;

use super::gate::{Verdict, judge};
use super::state::{Rollout, Tally};
use crate::event::{Event, Fact};
use crate::record::{Decision, Found};
use crate::refused::Refused;

/// What moves a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A group passed: open the one after it.
    Pass(usize),
    /// Stop.
    Halt {
        /// Who: a person or `error threshold`.
        by: String,
        /// Why.
        reason: String,
    },
    /// Every device has ended.
    Finish,
}

/// Counts again, and takes the steps that the counts call for. Changes nothing where nothing
/// follows.
pub fn advance(
    rollout: &Found<Rollout>,
    tally: &Found<Tally>,
    counted: &Tally,
    now: Timestamp,
) -> Decision<()> {
    let mut decision = Decision::reply(());
    if tally.value.as_ref() != Some(counted) {
        decision = decision.replace(tally, counted);
    }
    let Some(before) = &rollout.value else { return decision };
    let mut after = before.clone();
    let mut facts = Vec::new();
    while let Some(next) = next_step(&after, counted) {
        facts.extend(step(&mut after, &next));
    }
    if after == *before {
        return decision;
    }
    decision = decision.replace(rollout, &after);
    for fact in facts {
        decision = decision.event(Event { at: now, fact });
    }
    decision
}

/// Halts a rollout by a person's word. Halting what has halted changes nothing.
///
/// # Errors
/// No such rollout, or it has finished.
pub fn halt(
    found: &Found<Rollout>,
    by: &str,
    reason: &str,
    now: Timestamp,
) -> Result<Decision<Rollout>, Refused> {
    let unknown = || Refused::because(RefusalCode::NotFound, "no such rollout");
    let mut rollout = found.value.clone().ok_or_else(unknown)?;
    match rollout.state {
        RolloutState::Halted => return Ok(Decision::reply(rollout)),
        RolloutState::Running => {}
        _ => {
            let detail = format!("{} has finished, there is nothing left to halt", rollout.id);
            return Err(Refused::because(RefusalCode::Conflict, detail));
        }
    }
    let facts = step(&mut rollout, &Step::Halt { by: by.into(), reason: reason.into() });
    let mut decision = Decision::reply(rollout.clone()).replace(found, &rollout);
    for fact in facts {
        decision = decision.event(Event { at: now, fact });
    }
    Ok(decision)
}

fn next_step(rollout: &Rollout, counted: &Tally) -> Option<Step> {
    if rollout.state != RolloutState::Running {
        return None;
    }
    let groups = rollout.groups.iter().zip(&counted.groups).enumerate();
    // Groups that passed are judged for failures still: late rollbacks count as much as early ones.
    for (at, (group, counts)) in groups {
        let watched = matches!(group.state, GroupState::Open | GroupState::Passed);
        match judge(counts, rollout.thresholds) {
            Verdict::Trip { reason } if watched => {
                let reason = format!("group {}: {reason}", at.saturating_add(1));
                return Some(Step::Halt { by: "error threshold".to_string(), reason });
            }
            Verdict::Pass if group.state == GroupState::Open => return Some(Step::Pass(at)),
            Verdict::Trip { .. } | Verdict::Pass | Verdict::Hold => {}
        }
    }
    let over = counted.groups.iter().all(|counts| counts.ended() == counts.total());
    over.then_some(Step::Finish)
}

/// The one place where a rollout changes state.
fn step(rollout: &mut Rollout, step: &Step) -> Vec<Fact> {
    let id = rollout.id.clone();
    match step {
        Step::Pass(at) => {
            if let Some(group) = rollout.groups.get_mut(*at) {
                group.state = GroupState::Passed;
            }
            let next = at.saturating_add(1);
            match rollout.groups.get_mut(next) {
                Some(group) if group.state == GroupState::Closed => {
                    group.state = GroupState::Open;
                    let group = u64::try_from(next).unwrap_or(u64::MAX);
                    alloc::vec![Fact::GroupOpened { rollout: id, group }]
                }
                _ => Vec::new(),
            }
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
        Step::Finish => {
            rollout.state = RolloutState::Finished;
            alloc::vec![Fact::RolloutFinished { rollout: id }]
        }
    }
}

#[cfg(test)]
mod tests;
