//! A device's part in a rollout, among those that its poll rests on.

use lazaret_protocol::id::RolloutId;
use lazaret_protocol::operator::RolloutState;

use super::{PollView, RolloutPart};
use crate::device::OpenOrder;
use crate::rollout::cord::Cord;

pub(super) fn is_part_of(part: &RolloutPart, rollout: &RolloutId) -> bool {
    part.assignment.value.as_ref().is_some_and(|assignment| assignment.rollout == *rollout)
}

pub(super) fn current_part(view: &PollView) -> Option<&RolloutPart> {
    let assigned = view.assigned.value.as_ref()?;
    view.parts.iter().find(|part| is_part_of(part, &assigned.rollout))
}

/// Whether the rollout of an install order is no longer wanted of this device: it halted, or
/// another has taken its place.
pub(super) fn is_stopped(open: &OpenOrder, view: &PollView) -> bool {
    let Some(rollout) = &open.rollout else { return false };
    let replaced = view.assigned.value.as_ref().is_some_and(|a| a.rollout != *rollout);
    let part = view.parts.iter().find(|part| is_part_of(part, rollout));
    let halted = part
        .and_then(|part| part.rollout.value.as_ref())
        .is_some_and(|rollout| rollout.state == RolloutState::Halted);
    replaced || halted || view.cord.value.as_ref().is_some_and(Cord::holds)
}
