//! What to tell a device that polls. Everything written here is that device's own.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::{BundleId, RolloutId};
use lazaret_protocol::limits::ORDERS_PER_POLL_MAX;
use lazaret_protocol::operator::BundleState;
use lazaret_protocol::order::{Order, OrderKind, Outcome};
use lazaret_protocol::poll::PollRequest;
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::signed::{FromDevice, Verified};
use lazaret_protocol::time::Timestamp;

use crate::clone::{Sign, suspect};
use crate::device::{Device, ORDER_VALID_MS, order_in_words};
use crate::event::{Event, Fact};
use crate::number::{self, Bindings, Holder, Said};
use crate::record::{Decision, Found};
use crate::refused::Refused;
use crate::rollout::cord::Cord;
use crate::rollout::hold::{Candidate, Hold, hold};
use crate::rollout::pace::READY_POLL_MS;
use crate::rollout::state::{Assigned, Assignment, AssignmentState, Direction, Rollout};
use crate::witness::{Witnessed, Witnessing, Word, enter_heads, witness};

use part::{current_part, is_part_of};

/// All that a poll rests on.
#[derive(Debug, Clone)]
pub struct PollView {
    /// The device.
    pub device: Found<Device>,
    /// The latest rollout it is in.
    pub assigned: Found<Assigned>,
    /// Its part in that rollout and in those of its open orders.
    pub parts: Vec<RolloutPart>,
    /// The fleet-wide cord.
    pub cord: Found<Cord>,
    /// What the server has witnessed of the device's log.
    pub witnessed: Found<Witnessed>,
    /// Numbers of its modem and SIM that it says.
    pub numbers: Vec<Said>,
    /// The evidence that the incident which its rollout cures wants of it. It goes one way only, so
    /// no decision rests on its version.
    pub evidence: Option<(BundleId, BundleState)>,
}

/// A rollout and a device's part in it.
#[derive(Debug, Clone)]
pub struct RolloutPart {
    /// The rollout.
    pub rollout: Found<Rollout>,
    /// The device's part.
    pub assignment: Found<Assignment>,
}

/// What holds for every poll at this moment.
#[derive(Debug, Clone, Copy)]
pub struct PollContext {
    /// The server's time.
    pub now: Timestamp,
    /// The version of `timestamp.json` that is served.
    pub tuf_timestamp_version: u64,
    /// The usual time between polls, in milliseconds.
    pub poll_interval_ms: u64,
    /// The usual life of a device certificate, in milliseconds: past half of it, renewal is asked
    /// for.
    pub certificate_life_ms: u64,
    /// Fresh randomness, which the device brings back at its next poll.
    pub nonce: Sha256Digest,
    /// The certificate that the device shows.
    pub shown: Option<Sha256Digest>,
    /// What becomes of numbers that are not those that were bound.
    pub bindings: Bindings,
}

/// The answer, its orders still to be sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PollPlan {
    /// The server's time.
    pub time: Timestamp,
    /// The version of `timestamp.json`.
    pub tuf_timestamp_version: u64,
    /// Orders to seal and send.
    pub orders: Vec<Order>,
    /// Milliseconds until the next poll.
    pub next_poll_ms: u64,
    /// Whether to renew.
    pub renew: bool,
    /// The next nonce.
    pub nonce: Sha256Digest,
    /// What came of the growth of its log, to be cosigned and sent.
    pub witnessed: Vec<Word>,
    /// Whether reconcilers have something to do.
    pub bearing: Bearing,
}

/// What an answer means for others than the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bearing {
    /// Nothing.
    Quiet,
    /// Its part in a rollout changed: a poll that is held back is answered, so that this gets on
    /// disk, and reconcilers are woken.
    Moves,
}

/// What a poll comes to.
#[derive(Debug)]
pub enum Polled {
    /// It is answered.
    Answered(Decision<PollPlan>),
    /// It is refused, and that is recorded first.
    Recorded(Decision<Refused>),
}

/// Decides a poll.
///
/// # Errors
/// Unknown device, or a hardware model other than the one provisioned.
pub fn decide(
    view: &PollView,
    request: &Verified<FromDevice<PollRequest>>,
    context: PollContext,
) -> Result<Polled, Refused> {
    let request = &request.message().message;
    let unknown = || Refused::because(RefusalCode::Unauthenticated, "no such device");
    let device = view.device.value.as_ref().ok_or_else(unknown)?;
    if request.model != device.model {
        let detail = format!("{} is of model {}, not {}", device.id, device.model, request.model);
        return Err(Refused::because(RefusalCode::BadRequest, detail));
    }
    if request.sequence <= device.poll_sequence {
        return Ok(Polled::Recorded(replayed(view, device, request, context.now)));
    }
    let mut turn = Turn {
        device: device.clone(),
        facts: Vec::new(),
        moved: Vec::new(),
        sick: None,
        witnessing: witness(
            view.witnessed.value.as_ref(),
            (&device.id, &device.key),
            &request.logs,
        ),
        bound: Vec::new(),
        preserving: None,
    };
    turn.look_for_copies(request, context);
    turn.take_in(request, context.now);
    turn.hold_against(&view.numbers, context);
    turn.watch(view, context.now);
    turn.settle_orders(view, request.order_sequence, context.now);
    turn.repeat_quarantine(request, context.now);
    turn.offer(view, context.now);
    Ok(Polled::Answered(turn.decision(view, request, context)))
}

fn replayed(
    view: &PollView,
    device: &Device,
    request: &PollRequest,
    now: Timestamp,
) -> Decision<Refused> {
    let detail = format!(
        "poll {} from {} is a replay: {} was already accepted",
        request.sequence, device.id, device.poll_sequence
    );
    let fact = Fact::PollReplayed {
        device: device.id.clone(),
        expected_above: device.poll_sequence,
        got: request.sequence,
    };
    let mut suspected = device.clone();
    let sign = suspect(&mut suspected, Sign::SequenceReused, detail.clone(), now);
    let refused = Refused::because(RefusalCode::Replay, detail);
    let mut decision = Decision::reply(refused).replace(&view.device, &suspected);
    for fact in core::iter::once(fact).chain(sign) {
        decision = decision.event(Event { at: now, fact });
    }
    decision
}

/// A poll being answered: the device as it will be, and what happened.
struct Turn {
    device: Device,
    facts: Vec<Fact>,
    /// Rollouts whose part of this device changed, with its new state.
    moved: Vec<(RolloutId, AssignmentState)>,
    /// A probe that passed at the last poll and does not any more.
    sick: Option<String>,
    /// What the server makes of the growth of the device's log.
    witnessing: Witnessing,
    /// Numbers that it is bound to from here on.
    bound: Vec<Holder>,
    /// A rollout that begins to wait for its evidence.
    preserving: Option<RolloutId>,
}

impl Turn {
    fn take_in(&mut self, request: &PollRequest, now: Timestamp) {
        let device = &mut self.device;
        device.poll_sequence = request.sequence;
        device.polls = device.polls.saturating_add(1);
        device.last_seen = Some(now);
        device.running.clone_from(&request.running);
        device.update_state = request.update_state.chars().take(64).collect();
        if let Some(posture) = &request.posture {
            let before = core::mem::take(&mut device.probes);
            device.take_posture(posture);
            let fresh =
                |(name, passed): &(&String, &bool)| !**passed && before.get(*name) != Some(&false);
            self.sick = device.probes.iter().find(fresh).map(|(name, _)| name.clone());
        }
        let known = device.log_head.as_ref().map_or(0, |head| head.size);
        if request.log_head.size < known {
            let (id, got) = (device.id.clone(), request.log_head.size);
            self.facts.push(Fact::LogRegressed { device: id, known, got });
        }
        device.log_head = Some(request.log_head.clone());
        self.facts.append(&mut self.witnessing.facts);
        self.take_containment(request);
    }

    fn hold_against(&mut self, said: &[Said], context: PollContext) {
        let mut judged = number::judge(&mut self.device, said, context.bindings, context.now);
        self.facts.append(&mut judged.facts);
        self.bound = judged.bound;
    }

    /// A device that had confirmed the image of its rollout and runs something else, or whose probe
    /// went bad within the watch, is a failure after all.
    fn watch(&mut self, view: &PollView, now: Timestamp) {
        let Some(part) = current_part(view) else { return };
        let (Some(rollout), Some(assignment)) = (&part.rollout.value, &part.assignment.value)
        else {
            return;
        };
        let AssignmentState::Ended { outcome: Outcome::Done, at } = assignment.state else {
            return;
        };
        if now.since_ms(at) >= rollout.conduct.watch_ms {
            return;
        }
        let runs = self.device.running.as_ref().map(|running| running.sha256);
        let bad = match &self.sick {
            _ if runs != Some(rollout.release.sha256) => {
                let runs = self.device.running.as_ref().map(|running| running.version.as_str());
                Some(("rolled-back-late", format!("it runs {} again", runs.unwrap_or("nothing"))))
            }
            Some(probe) => {
                Some(("probe-regressed", format!("its probe {probe} does not pass any more")))
            }
            None => None,
        };
        let Some((code, reason)) = bad else { return };
        let late = AssignmentState::Late { code: code.into(), reason: reason.clone(), at: now };
        self.moved.push((rollout.id.clone(), late));
        self.facts.push(Fact::Regressed {
            device: self.device.id.clone(),
            rollout: rollout.id.clone(),
            code: code.into(),
            reason,
        });
    }

    /// Offers the release of the device's rollout, where everything allows it.
    fn offer(&mut self, view: &PollView, now: Timestamp) {
        let Some(part) = current_part(view) else { return };
        let (Some(rollout), Some(assignment)) = (&part.rollout.value, &part.assignment.value)
        else {
            return;
        };
        let both = (rollout, assignment);
        let cord = view.cord.value.as_ref();
        let candidate = Candidate::from(&self.device).with_evidence(view.evidence.as_ref());
        let held = hold(candidate, both, cord, now);
        match held {
            Hold::AlreadyRunning { .. } => {
                let ended = AssignmentState::Ended { outcome: Outcome::Done, at: now };
                self.moved.push((rollout.id.clone(), ended));
                self.facts.push(Fact::AlreadyRunning {
                    device: self.device.id.clone(),
                    rollout: rollout.id.clone(),
                });
            }
            Hold::Quarantined => {
                self.leave_out(rollout, ("quarantined", "the device is in quarantine"), now);
            }
            Hold::ScheduleNever { .. } => {
                let code = "schedule-not-reached";
                self.leave_out(rollout, (code, "the signed schedule never reaches it"), now);
            }
            // The device would say the same: what its signers ruled out stays out.
            Hold::Floor { of, .. } => {
                self.leave_out(rollout, (of.refusal(), &held.in_words()), now);
            }
            Hold::Evidence { since: None, incident, .. } => {
                self.preserving = Some(rollout.id.clone());
                let (device, rollout) = (self.device.id.clone(), rollout.id.clone());
                self.facts.push(Fact::EvidenceAwaited { device, rollout, incident });
            }
            Hold::Turn { since: None } => {
                self.moved.push((rollout.id.clone(), AssignmentState::Ready { since: now }));
                let (device, rollout) = (self.device.id.clone(), rollout.id.clone());
                self.facts.push(Fact::TurnAwaited { device, rollout });
            }
            Hold::Nothing { .. } => self.make_offer(rollout, now),
            // It was ready, and is not any more: its turn is for another.
            Hold::Window { .. }
            | Hold::WindowUnknown
            | Hold::Battery { .. }
            | Hold::Probe { .. }
            | Hold::NumberChanged
                if assignment.state != AssignmentState::Waiting =>
            {
                self.moved.push((rollout.id.clone(), AssignmentState::Waiting));
            }
            _ => {}
        }
    }

    fn leave_out(&mut self, rollout: &Rollout, (code, reason): (&str, &str), now: Timestamp) {
        let outcome = refused_by_server(code, reason);
        self.moved.push((rollout.id.clone(), AssignmentState::Ended { outcome, at: now }));
        self.facts.push(Fact::NotOffered {
            device: self.device.id.clone(),
            rollout: rollout.id.clone(),
            code: code.to_string(),
        });
    }

    fn make_offer(&mut self, rollout: &Rollout, now: Timestamp) {
        let counter = self.device.running.as_ref().map(|running| running.counter);
        let release = rollout.next_for(counter);
        let (id, model, version) =
            (rollout.id.clone(), release.model.clone(), release.version.clone());
        let kind = match (&rollout.direction, rollout.cures.clone()) {
            (Direction::Newer, Some(incident)) => {
                OrderKind::Cure { rollout: id.clone(), model, version, incident }
            }
            (Direction::Newer, None) => OrderKind::Install { rollout: id.clone(), model, version },
            (Direction::Back { .. }, _) => {
                OrderKind::Revert { rollout: id.clone(), model, version }
            }
        };
        let lapses = now.plus_ms(ORDER_VALID_MS);
        if let Some(order) = self.order(kind, Some(id.clone()), now) {
            self.moved.push((id, AssignmentState::Offered { order, lapses, at: now }));
        }
    }

    fn order(
        &mut self,
        kind: OrderKind,
        rollout: Option<RolloutId>,
        now: Timestamp,
    ) -> Option<u64> {
        let what = order_in_words(&kind);
        // Too many open orders: the next poll tries again, there is nobody here to tell.
        let order = self.device.give_order(kind, rollout.clone(), now).ok()?;
        let device = self.device.id.clone();
        self.facts.push(Fact::Ordered { device, order, what, rollout });
        Some(order)
    }

    fn end(&mut self, sequence: u64, outcome: Outcome, now: Timestamp) {
        let Some(open) = self.device.close_order(sequence) else { return };
        self.device.note_containment(&open.order.kind, &outcome);
        self.device.last_outcome = Some(crate::report::in_words(&outcome));
        if let Some(rollout) = &open.rollout {
            let ended = AssignmentState::Ended { outcome: outcome.clone(), at: now };
            self.moved.push((rollout.clone(), ended));
        }
        let device = self.device.id.clone();
        self.facts.push(Fact::OrderEnded {
            device,
            order: sequence,
            outcome,
            rollout: open.rollout,
            bytes_fetched: 0,
        });
    }

    /// Whether this poll is a sign of a copy, which is not held back.
    fn is_suspected(&self) -> bool {
        let is_sign =
            |fact: &Fact| matches!(fact, Fact::CloneSuspected { .. } | Fact::NumberChanged { .. });
        self.facts.iter().any(is_sign)
    }

    /// A device whose turn may come soon is asked to call soon.
    fn next_poll_ms(&self, view: &PollView, more_wait: bool, context: PollContext) -> u64 {
        let part = current_part(view);
        let state = |part: &RolloutPart| {
            let moved = self.moved.iter().rfind(|(id, _)| is_part_of(part, id));
            let now = moved.map(|(_, state)| state);
            let state = now.or(part.assignment.value.as_ref().map(|it| &it.state));
            matches!(state, Some(AssignmentState::Ready { .. } | AssignmentState::Admitted { .. }))
        };
        match part {
            _ if more_wait => 0,
            Some(part) if state(part) => READY_POLL_MS.min(context.poll_interval_ms),
            _ => context.poll_interval_ms,
        }
    }

    fn decision(
        self,
        view: &PollView,
        request: &PollRequest,
        context: PollContext,
    ) -> Decision<PollPlan> {
        let left_ms = self.device.certificate_ends.since_ms(context.now);
        let fresh = self.device.open_orders.iter().map(|open| &open.order);
        let fresh: Vec<Order> =
            fresh.filter(|order| order.sequence > request.order_sequence).cloned().collect();
        let held = self.device.awaits_acceptance();
        let fresh: Vec<Order> =
            fresh.into_iter().filter(|order| !(held && order.kind.installs())).collect();
        let more_wait = fresh.len() > ORDERS_PER_POLL_MAX;
        let plan = PollPlan {
            time: context.now,
            tuf_timestamp_version: context.tuf_timestamp_version,
            orders: fresh.into_iter().take(ORDERS_PER_POLL_MAX).collect(),
            next_poll_ms: self.next_poll_ms(view, more_wait, context),
            bearing: if self.moved.is_empty() && self.preserving.is_none() && !self.is_suspected() {
                Bearing::Quiet
            } else {
                Bearing::Moves
            },
            renew: left_ms < context.certificate_life_ms / 2,
            nonce: context.nonce,
            witnessed: self.witnessing.words,
        };
        let mut decision =
            Decision::reply(plan).replace(&view.device, &self.device).resting_on(&view.assigned);
        decision = decision.resting_on(&view.cord).resting_on(&view.witnessed);
        let mut witnessed = self.witnessing.record.clone().or_else(|| view.witnessed.value.clone());
        let heads = witnessed.as_mut().map(|it| enter_heads(it, context.now, &context.nonce));
        let heads = heads.unwrap_or_default();
        if let Some(record) = &witnessed
            && (self.witnessing.record.is_some() || !heads.is_empty())
        {
            decision = decision.put(record);
        }
        for head in &heads {
            decision = decision.put(head);
        }
        for said in &view.numbers {
            decision = decision.resting_on(&said.holder);
        }
        for holder in &self.bound {
            decision = decision.put(holder);
        }
        for part in &view.parts {
            decision = decision.resting_on(&part.rollout).resting_on(&part.assignment);
            let Some(assignment) = &part.assignment.value else { continue };
            let mut next = assignment.clone();
            if let Some((_, state)) = self.moved.iter().rfind(|(id, _)| is_part_of(part, id)) {
                next.state.clone_from(state);
            }
            if self.preserving.as_ref().is_some_and(|id| is_part_of(part, id)) {
                next.preserving_since = Some(context.now);
            }
            if next != *assignment {
                decision = decision.put(&next);
            }
        }
        for fact in self.facts {
            decision = decision.event(Event { at: context.now, fact });
        }
        decision
    }
}

fn refused_by_server(code: &str, reason: &str) -> Outcome {
    Outcome::Refused { code: code.into(), reason: reason.into() }
}

mod containment;
mod copies;
mod part;
mod settle;
#[cfg(test)]
mod tests;
