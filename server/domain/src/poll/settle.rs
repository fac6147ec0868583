//! Orders that a poll ends or takes back.

use lazaret_protocol::containment::Level;
use lazaret_protocol::order::{OrderKind, Outcome};
use lazaret_protocol::time::Timestamp;

use super::part::is_stopped;
use super::{PollView, Turn, refused_by_server};
use crate::device::OpenOrder;
use crate::rollout::state::SILENCE_MS;

impl Turn {
    /// Ends orders that the device has not taken and shall not take any more, and takes back
    /// installs that it has taken but that are no longer wanted.
    pub(super) fn settle_orders(&mut self, view: &PollView, accepted: u64, now: Timestamp) {
        for open in self.device.open_orders.clone() {
            let sequence = open.order.sequence;
            if sequence > accepted {
                // The device says durably that it has not taken it, so it can still be taken back
                // silently.
                if let Some(outcome) = self.why_not(&open, view, now) {
                    self.end(sequence, outcome, now);
                }
            } else if open.order.expires.plus_ms(SILENCE_MS) <= now {
                self.end(sequence, Outcome::Expired, now);
            } else if open.order.kind.installs()
                && is_stopped(&open, view)
                && !open.halted
                && self.order(OrderKind::Halt { install: sequence }, None, now).is_some()
            {
                self.device.mark_halted(sequence);
            }
        }
    }

    fn why_not(&self, open: &OpenOrder, view: &PollView, now: Timestamp) -> Option<Outcome> {
        if open.order.expires <= now {
            return Some(Outcome::Expired);
        }
        if !open.order.kind.installs() {
            return None;
        }
        let reaches = |kind: &OrderKind| match kind {
            OrderKind::Cure { .. } => self.device.level().is_none_or(Level::lets_cures_in),
            _ => !self.device.is_held(),
        };
        if !reaches(&open.order.kind) {
            return Some(refused_by_server("quarantined", "the device is in quarantine"));
        }
        is_stopped(open, view)
            .then(|| refused_by_server("halted", "the offer was taken back before it was taken"))
    }
}
