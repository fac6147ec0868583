//! Quarantine on this device: the order is kept before the journal names it, the measures are
//! carried out and tried, tried again from time to time, and taken back only after the journal says
//! that the device is free. What lets it out is weighed here and believed by the core alone as a
//! proof.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use lazaret_agent_core::event::Event;
use lazaret_agent_core::journal::{Journal, Quarantine};
use lazaret_agent_core::reason::Reason;
use lazaret_protocol::containment::ContainmentWord;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::order::{Order, OrderKind};
use lazaret_protocol::release::ReleaseProof;
use lazaret_protocol::signed::Envelope;
use lazaret_protocol_evidence::log::Detail;
use lazaret_protocol_evidence::release::{ProvedRelease, prove};
use lazaret_protocol_tuf::Trusted;
use sha2::{Digest as _, Sha256};

use super::{Drive, Pace, Stop};
use crate::cli::chain;
use crate::config::Config;
use crate::containment::{self, Verdict};
use crate::durable::Durable;
use crate::verify::Findings;

/// How often the measures are tried again, in milliseconds: a network device that was plugged in
/// has no rule of its own before that, only the common ones.
const LOOK_AGAIN_MS: u64 = 60_000;

/// At start, before the network is asked for anything: what the journal says is carried out again.
/// A device that is free has nothing to carry out; where it was let out and the power went before
/// the measures were taken back, they are now.
pub(super) fn at_start(config: &Config, durable: &Durable, journal: &Journal) -> Option<Verdict> {
    let is_free = journal.quarantine == Quarantine::Free;
    if is_free && !containment::folder(&config.state_dir).exists() {
        return None;
    }
    if asks_for_measures(config, journal) || is_free {
        return Some(containment::carry_out(config, durable, journal));
    }
    None
}

/// Whether the device itself has anything to do in this quarantine.
fn asks_for_measures(config: &Config, journal: &Journal) -> bool {
    let Quarantine::Held { order, level, pending, .. } = &journal.quarantine else { return false };
    level.closes_network() || *pending || {
        let stored = containment::stored(&config.state_dir, *order);
        let order =
            stored.and_then(|it| serde_json::from_slice::<Order>(&it.envelope.payload).ok());
        matches!(
            order.map(|order| order.kind),
            Some(OrderKind::Quarantine { terms, .. }) if !terms.stop.is_empty()
        )
    }
}

impl Drive {
    /// Takes an order whose signature holds. One into quarantine is kept first, as it was signed:
    /// what the journal names is there. One out of it is weighed first.
    pub(super) fn take_order(&mut self, order: Order, envelope: &Envelope) -> Result<(), Stop> {
        let sequence = order.sequence;
        match &order.kind {
            OrderKind::Quarantine { .. } => {
                let last = self.journal.order_sequence;
                let good = order.check(self.certificate.device(), last, self.clock.now()).is_ok();
                if good && self.journal.has_room_for_an_order() {
                    let what = (sequence, envelope);
                    containment::keep(&self.durable, &self.config.state_dir, what)?;
                }
                self.tell(&Event::Ordered(order))?;
                if self.journal.quarantine.order() == Some(sequence) {
                    self.contain()?;
                }
                Ok(())
            }
            OrderKind::Release { proof } => {
                let proved = self.weigh_release(proof);
                self.tell(&Event::ReleaseWeighed { order, proved })?;
                if self.journal.quarantine == Quarantine::Free {
                    self.let_out();
                }
                Ok(())
            }
            _ => self.tell(&Event::Ordered(order)),
        }
    }

    /// Carries the measures out, and tells the core what came of them.
    fn contain(&mut self) -> Result<(), Stop> {
        if asks_for_measures(&self.config, &self.journal) {
            let verdict = containment::carry_out(&self.config, &self.durable, &self.journal);
            self.contained = Some(verdict);
        }
        containment::sweep(&self.config.state_dir, self.journal.quarantine.order());
        self.measures.next_ms = self.now_ms().saturating_add(LOOK_AGAIN_MS);
        self.settle_containment()
    }

    /// Ends an order into quarantine whose measures were tried. After a power cut in its midst that
    /// is at the next start.
    pub(super) fn settle_containment(&mut self) -> Result<(), Stop> {
        let Some(order) = self.journal.quarantine.order() else { return Ok(()) };
        let Some(verdict) = self.contained.as_ref().filter(|it| it.order == Some(order)) else {
            return Ok(());
        };
        let failure = verdict.failure();
        if let Some(why) = &failure {
            tracing::error!("NOT CONTAINED: {why}");
        }
        if !self.journal.quarantine.is_pending() {
            return Ok(());
        }
        let failed = failure.map(|why| Reason::new(&why));
        self.tell(&Event::Contained { order, failed })
    }

    /// Tries the measures again from time to time, and puts them in force where they are not.
    pub(super) fn look_at_containment(&mut self) -> Result<(), Stop> {
        if self.journal.quarantine == Quarantine::Free || !self.measures.due(self.now_ms()) {
            return Ok(());
        }
        self.measures = Pace { failures: 0, next_ms: self.now_ms().saturating_add(LOOK_AGAIN_MS) };
        if !asks_for_measures(&self.config, &self.journal) {
            return Ok(());
        }
        // Loading the same again is one atomic step that lets nothing through.
        let before = self.contained.as_ref().and_then(Verdict::failure);
        let verdict = containment::carry_out(&self.config, &self.durable, &self.journal);
        let after = verdict.failure();
        self.contained = Some(verdict);
        if before != after {
            let why = after.unwrap_or_else(|| "every measure holds again".into());
            self.note("containment-changed", Detail::none().text("why", &why))?;
            self.hurry();
        }
        self.settle_containment()
    }

    /// What a poll says of the quarantine.
    pub(super) fn containment_word(&self) -> Option<ContainmentWord> {
        let state_dir = &self.config.state_dir;
        containment::word(state_dir, &self.journal.quarantine, self.contained.as_ref())
    }

    /// Takes the measures back; the journal says already that the device is free.
    fn let_out(&mut self) {
        let verdict = containment::carry_out(&self.config, &self.durable, &self.journal);
        if let Some(why) = verdict.failure() {
            tracing::error!("a measure was not taken back: {why}");
        }
        containment::sweep(&self.config.state_dir, None);
        self.contained = None;
    }

    /// Weighs what is to let this device out: people's signatures over its own nonce, and that what
    /// runs is what offline keys signed.
    fn weigh_release(&mut self, proof: &ReleaseProof) -> Result<ProvedRelease, (String, Reason)> {
        let not = |why: &str| ("release-not-proved".to_owned(), Reason::new(why));
        let Quarantine::Held { order, .. } = &self.journal.quarantine else {
            return Err(not("the device is free"));
        };
        let stored = containment::stored(&self.config.state_dir, *order)
            .ok_or_else(|| not("the order into quarantine is lost, and its nonce with it"))?;
        // Approvers may have changed: the newest anchors count.
        let Ok(Some(trusted)) = self.refresh() else {
            return Err(not("signed metadata cannot be refreshed"));
        };
        let approvers = self.anchors.as_ref().and_then(|anchors| anchors.approvers.as_ref());
        let whom = (self.certificate.device(), &stored.nonce);
        let proved = prove(proof, approvers, whom, self.clock.now());
        let proved = proved.map_err(|err| not(&chain(&err)))?;
        let signed = self.runs_what_was_signed(trusted);
        signed.map_err(|why| {
            let code = "unsigned-release";
            (code.to_owned(), Reason::new(&why))
        })?;
        Ok(proved)
    }

    /// What runs, read from its slot, is what the release role has signed under its version.
    fn runs_what_was_signed(&self, mut trusted: Trusted) -> Result<(), String> {
        let slot = self.slots.booted().ok_or("nothing runs that was installed")?;
        let release = self.journal.slots.release(slot).ok_or("what runs is not known")?;
        let source = self.mirrors.source(self.mirror).ok_or("nobody has the repository")?;
        let wanted = (&self.config.model, &release.version, None);
        let found = self
            .repository
            .image(source, &mut trusted, wanted, &mut Findings::default())
            .map_err(|err| chain(&err))?;
        if found.sha256 != release.sha256 {
            return Err(format!("{} is signed with another digest", release.version));
        }
        let path = self.slots.image(slot);
        // A tree that was unpacked is no one file; its digest is that of what was unpacked.
        if path.is_dir() {
            return Ok(());
        }
        let got = digest_of(&path, found.image.length)
            .map_err(|err| format!("{} cannot be read: {err}", path.display()))?;
        if got == found.sha256 { Ok(()) } else { Err(format!("its slot holds {got}")) }
    }
}

/// The digest of the first `length` bytes of a file or block device.
fn digest_of(path: &Path, length: u64) -> io::Result<Sha256Digest> {
    let mut file = File::open(path)?.take(length);
    let (mut hash, mut piece) = (Sha256::new(), vec![0; 64 * 1024]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(Sha256Digest::from_bytes(hash.finalize().into())),
            count => hash.update(piece.get(..count).unwrap_or_default()),
        }
    }
}
