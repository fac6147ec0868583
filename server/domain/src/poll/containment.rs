//! What a device that polls says of its quarantine, and telling it again until it does.

use lazaret_protocol::containment::{ContainmentWord, Level, MeasureWord};
use lazaret_protocol::order::OrderKind;
use lazaret_protocol::poll::PollRequest;
use lazaret_protocol::time::Timestamp;

use super::Turn;
use crate::device::OpenOrder;
use crate::event::Fact;

/// Measures of which a device's word is kept.
const MEASURES_MAX: usize = 16;

/// Longest word on one of them, in characters.
const MEASURE_CHARS_MAX: usize = 256;

impl Turn {
    /// *Contained* is said on the device's word alone: that it is in quarantine, at the level that
    /// is wanted, with every measure tried. It is taken back with the same ease.
    pub(super) fn take_containment(&mut self, request: &PollRequest) {
        let device = &mut self.device;
        let Some(quarantine) = &mut device.quarantine else { return };
        let before = quarantine.word.as_ref().and_then(ContainmentWord::failure);
        quarantine.word = request.containment.as_ref().map(within_limits);
        let wanted = quarantine.terms.level;
        let holds = request.quarantined
            && match &quarantine.word {
                Some(word) => word.level >= wanted && word.is_proved(),
                // Older agents know no levels, and close nothing.
                None => wanted <= Level::Restrict,
            };
        let failure = quarantine.word.as_ref().and_then(ContainmentWord::failure);
        if let Some(why) = failure
            && before.as_ref() != Some(&why)
        {
            self.facts.push(Fact::NotContained { device: device.id.clone(), why });
        }
        if holds && !quarantine.confirmed {
            self.facts.push(Fact::QuarantineConfirmed { device: device.id.clone() });
        }
        quarantine.confirmed = holds;
    }

    /// A device that is in quarantine here and does not say so itself gets the order again, for as
    /// long as it takes: the one before may have lapsed, or found no room.
    pub(super) fn repeat_quarantine(&mut self, request: &PollRequest, now: Timestamp) {
        let Some(quarantine) = &self.device.quarantine else { return };
        let is_one = |open: &OpenOrder| matches!(open.order.kind, OrderKind::Quarantine { .. });
        // One that lost its order has no nonce, and could never be let out.
        let says_so = request.quarantined
            && match &request.containment {
                Some(word) => word.level >= quarantine.terms.level && word.nonce.is_some(),
                None => true,
            };
        if says_so || self.device.open_orders.iter().any(is_one) {
            return;
        }
        let (reason, terms) = (quarantine.reason.clone(), quarantine.terms.clone());
        self.order(OrderKind::Quarantine { reason, terms }, None, now);
    }
}

/// What a device says of its measures, cut to what is kept.
fn within_limits(word: &ContainmentWord) -> ContainmentWord {
    let measures = word.measures.iter().take(MEASURES_MAX).map(|measure| MeasureWord {
        name: measure.name.chars().take(64).collect(),
        failed: measure.failed.as_ref().map(|why| why.chars().take(MEASURE_CHARS_MAX).collect()),
    });
    ContainmentWord { measures: measures.collect(), ..word.clone() }
}
