//! Signs in a poll that there are two of a device. What becomes of them is `clone`'s.

use lazaret_protocol::poll::PollRequest;

use super::{PollContext, Turn};
use crate::clone::{Sign, suspect};

impl Turn {
    /// What a copy of the device could not have brought along. A certificate that is used ends the
    /// one before it, which was good only in case that the answer to its renewal was lost.
    pub(super) fn look_for_copies(&mut self, request: &PollRequest, context: PollContext) {
        let device = &mut self.device;
        let broken = device.watch.ratchet(request.nonce, context.nonce);
        let fell = device.watch.booted(request.boot_count);
        let counted = [(Sign::NonceBroken, broken), (Sign::BootCountFell, fell)];
        let counted = counted.into_iter().filter_map(|(sign, evidence)| Some((sign, evidence?)));
        let started = request.boot.as_ref().map(|boot| device.watch.started(boot));
        for (sign, evidence) in counted.chain(started.unwrap_or_default()) {
            self.facts.extend(suspect(device, sign, evidence, context.now));
        }
        if context.shown.is_some() && device.certificates.first() == context.shown.as_ref() {
            device.certificates.truncate(1);
        }
    }
}
