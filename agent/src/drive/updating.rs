//! The image under way: what an order means, staging, arming, and the trial. Each call does a
//! stretch of it and comes back when the next poll is due, so that a halt is never far.

use std::fs::File;
use std::io;

use lazaret_agent_core::event::{Event, Offer};
use lazaret_agent_core::health::{Verdict, judge};
use lazaret_agent_core::journal::{Install, Route, Target, Update};
use lazaret_agent_core::offer::waits_by_schedule;
use lazaret_agent_core::reason::Reason;
use lazaret_agent_core::slot::{Release, Slot};
use lazaret_protocol_evidence::log::Detail;
use lazaret_protocol_tuf::TufError;

use super::{Drive, PROBE_ROUND_MS, Pace, Stop};
use crate::cli::chain;
use crate::probes::Surroundings;
use crate::stage::{Progress, Stage, StageError, StageSettings};
use crate::verify::{Findings, Found, VerifyError};

/// How often an image that came whole and wrong is fetched again before it has failed: at least,
/// and once more than there are sources.
const MISMATCHES_MAX: u32 = 2;

impl Drive {
    /// Does the next stretch of the update.
    pub(super) fn update(&mut self) -> Result<(), Stop> {
        match self.journal.update.clone() {
            Update::Accepted(_) | Update::Staging { .. } | Update::Staged { .. }
                if self.waits_for_the_device()? =>
            {
                Ok(())
            }
            Update::Accepted(install) => self.resolve(&install),
            Update::Staging { install, target, offset } => self.stage(&install, &target, offset),
            Update::Staged { .. } => self.tell(&Event::ReadyToArm),
            _ => {
                (self.found, self.stage) = (None, None);
                Ok(())
            }
        }
    }

    /// Asks TUF what the accepted order means.
    fn resolve(&mut self, install: &Install) -> Result<(), Stop> {
        (self.found, self.stage, self.mismatches) = (None, None, 0);
        let Some(found) = self.find(install)? else { return Ok(()) };
        let slot = Slot::inactive(self.slots.booted());
        let offer = Offer {
            release: Release {
                version: install.version.clone(),
                counter: found.custom.counter,
                sha256: found.sha256,
                length: found.image.length,
            },
            custom: found.custom.clone(),
            emergency: found.emergency.clone(),
            free_bytes: self.slots.room(slot)?,
        };
        self.found = Some(found);
        self.tell(&Event::Resolved(offer))
    }

    /// The image in fresh metadata. Where there is none, the order ends; where it cannot be known,
    /// it waits.
    fn find(&mut self, install: &Install) -> Result<Option<Found>, Stop> {
        if let Some(by_hand) = &install.by_hand {
            return self.find_by_hand(&by_hand.overrules);
        }
        let version = &install.version;
        let Some(mut trusted) = self.refresh()? else {
            self.updates = self.slower(self.updates, 0)?;
            return Ok(None);
        };
        let base = self
            .slots
            .booted()
            .and_then(|slot| self.journal.slots.release(slot))
            .map(|release| release.version.clone());
        let mut findings = Findings::default();
        let wanted = (&self.config.model, version, base.as_ref());
        let Some(source) = self.mirrors.source(self.mirror).cloned() else { return Ok(None) };
        let at = self.situation();
        let outcome = self.repository.image(&source, &mut trusted, wanted, &mut findings);
        let outcome = outcome.and_then(|mut found| {
            if waits_by_schedule(&found.custom, &at) {
                let wanted = (&self.config.model, version);
                found.emergency =
                    self.repository.emergency(&source, &mut trusted, wanted, &mut findings)?;
            }
            Ok(found)
        });
        self.found_out(findings)?;
        let err = match outcome {
            Ok(found) => return Ok(Some(found)),
            Err(err) => err,
        };
        self.failed_by(self.mirror, &err)?;
        let code = match &err {
            VerifyError::Tuf(TufError::TargetNotFound { .. }) => "unknown-target",
            VerifyError::Tuf(TufError::BadTarget { .. }) | VerifyError::BadCustom { .. } => {
                "bad-release"
            }
            _ => {
                self.elsewhere(0)?;
                return Ok(None);
            }
        };
        let reason = Reason::new(&chain(&err));
        match self.journal.update {
            Update::Staging { .. } => self.stage_failed("target-changed", &reason)?,
            _ => self.tell(&Event::Unresolved { code: code.into(), reason })?,
        }
        Ok(None)
    }

    /// Brings the image into its slot until the next poll is due.
    fn stage(&mut self, install: &Install, target: &Target, offset: u64) -> Result<(), Stop> {
        let Some(mut stage) = self.taken_up(install, target, offset)? else { return Ok(()) };
        let time_is_up = self.until_called();
        let Some(number) = self.mirrors.next(&[], self.now_ms()) else { return Ok(()) };
        let source = match install.by_hand {
            Some(_) => self.bundle_source(),
            None => self.mirrors.source(number).cloned(),
        };
        let Some(source) = source else {
            let reason = Reason::new("the bundle is gone, or is not what it was");
            return self.stage_failed("bundle-gone", &reason);
        };
        if number != self.mirror {
            stage.hang_up();
            self.mirror = number;
        }
        let outcome = stage.advance(&source, &time_is_up);
        for remark in source.remarks() {
            if let Some(code) = remark.code() {
                self.refuse(code, &remark)?;
            }
        }
        let fetched = stage.fetched();
        match outcome {
            Ok(Progress::Paused) => self.stage = Some(stage),
            Ok(Progress::Synced { offset }) => {
                self.stage = Some(stage);
                self.updates.failures = 0;
                self.mirrors.well(number);
                self.tell(&Event::StageAdvanced { offset, fetched })?;
            }
            Ok(Progress::DeltaDoubted { why }) => {
                tracing::warn!("the delta is in doubt: {why}");
                let reason = Reason::new(&why);
                self.tell(&Event::DeltaDoubted { reason, fetched })?;
                self.begin_anew(stage)?;
            }
            Ok(Progress::Mismatch(err)) if target.route == Route::Kept => {
                self.not_kept(stage, &err)?;
            }
            Ok(Progress::Mismatch(err)) => self.mismatched(stage, &err)?,
            Ok(Progress::Complete) => match self.settle_in(target) {
                Ok(()) => self.tell(&Event::StageEnded { fetched })?,
                Err((code, reason)) => {
                    self.stage = Some(stage);
                    self.stage_failed(code, &reason)?;
                }
            },
            Err(StageError::Slot(err)) => {
                let code = match err.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "no-space",
                    _ => "slot-failed",
                };
                self.stage = Some(stage);
                self.stage_failed(code, &Reason::new(&err.to_string()))?;
            }
            Err(err) => {
                tracing::warn!("staging waits: {} {}", source.name(), chain(&err));
                self.stage = Some(stage);
                let mut retry_after_ms = 0;
                if let StageError::Transport(err) = &err {
                    retry_after_ms = err.retry_after_ms();
                    if let Some(code) = err.code() {
                        self.refuse(code, err)?;
                    }
                }
                self.rest(number, retry_after_ms)?;
                self.elsewhere(retry_after_ms)?;
            }
        }
        Ok(())
    }

    /// The stage that is under way, or the one that the journal says was.
    fn taken_up(
        &mut self,
        install: &Install,
        target: &Target,
        offset: u64,
    ) -> Result<Option<Stage>, Stop> {
        if let Some(stage) = self.stage.take() {
            return Ok(Some(stage));
        }
        if self.found.is_none() {
            self.found = self.find(install)?;
        }
        let Some(found) = &self.found else { return Ok(None) };
        if found.sha256 != target.release.sha256 || found.image.length != target.release.length {
            let reason = Reason::new("the signed image of this version is another one than before");
            self.stage_failed("target-changed", &reason)?;
            return Ok(None);
        }
        let settings = StageSettings {
            sync_bytes: self.config.stage_sync_bytes,
            delta_ram_bytes_max: self.config.delta_ram_bytes_max,
            points: self.durable.points().clone(),
        };
        if offset == 0
            && let Err((code, reason)) = self.hook("before", target)
        {
            self.stage_failed(code, &reason)?;
            return Ok(None);
        }
        let Some(found) = &self.found else { return Ok(None) };
        let slot = self.slots.open_for_writing(target.slot)?;
        let base = self.base(found)?;
        match Stage::resume(slot, base, found, (target, offset), settings) {
            Ok(stage) => Ok(Some(stage)),
            Err(err) => {
                self.stage_failed("slot-failed", &Reason::new(&chain(&err)))?;
                Ok(None)
            }
        }
    }

    /// The image that runs, where the delta is made from it.
    fn base(&self, found: &Found) -> Result<Option<File>, Stop> {
        let Some(slot) = self.slots.booted() else { return Ok(None) };
        let running = self.journal.slots.release(slot).map(|release| release.sha256);
        match &found.delta {
            Some((_, custom)) if Some(custom.base_sha256) == running => {
                let path = self.slots.image(slot);
                // A base that cannot be read is a doubt, and on any doubt the full image is taken.
                Ok(File::open(&path).ok())
            }
            _ => Ok(None),
        }
    }

    fn begin_anew(&mut self, mut stage: Stage) -> Result<(), Stop> {
        match stage.begin_anew() {
            Ok(()) => {
                self.stage = Some(stage);
                Ok(())
            }
            Err(err) => {
                self.stage = Some(stage);
                self.stage_failed("slot-failed", &Reason::new(&chain(&err)))
            }
        }
    }

    /// Goes on with another source after a moment, or with the same one after a rest.
    fn elsewhere(&mut self, retry_after_ms: u64) -> Result<(), Stop> {
        if !self.mirrors.has_rested(self.now_ms()) {
            self.updates = self.slower(self.updates, retry_after_ms)?;
            return Ok(());
        }
        let Pace { next_ms, .. } = self.slower(Pace::default(), 0)?;
        self.updates.next_ms = next_ms;
        Ok(())
    }

    /// The other slot is not what the journal says, which is nobody's fault but the disk's: the
    /// release is fetched, as if the slot held nothing.
    fn not_kept(&mut self, stage: Stage, err: &TufError) -> Result<(), Stop> {
        self.note("kept-image-lost", Detail::none().text("why", chain(err)))?;
        let fetched = stage.fetched();
        self.tell(&Event::StageAdvanced { offset: 0, fetched })?;
        self.begin_anew(stage)
    }

    fn mismatched(&mut self, stage: Stage, err: &TufError) -> Result<(), Stop> {
        self.mismatches = self.mismatches.saturating_add(1);
        self.refuse(err.code(), err)?;
        // Whoever sent it rests. What fills the slot may have come from several sources, and each
        // of them gets its turn from the beginning.
        self.rest(self.mirror, 0)?;
        let most = u32::try_from(self.mirrors.count()).unwrap_or(u32::MAX);
        if self.mismatches >= MISMATCHES_MAX.max(most.saturating_add(1)) {
            self.stage = Some(stage);
            return self.stage_failed("image-mismatch", &Reason::new(&err.to_string()));
        }
        let fetched = stage.fetched();
        self.tell(&Event::StageAdvanced { offset: 0, fetched })?;
        self.begin_anew(stage)
    }

    pub(super) fn stage_failed(&mut self, code: &str, reason: &Reason) -> Result<(), Stop> {
        let fetched = self.stage.take().map_or(0, |stage| stage.fetched());
        self.found = None;
        tracing::warn!(code, "staging failed: {reason}");
        self.tell(&Event::StageFailed { code: code.into(), reason: reason.clone(), fetched })
    }

    /// One round of probes on the new image.
    pub(super) fn judge(&mut self) -> Result<(), Stop> {
        let Some(slot) = self.slots.booted() else { return Ok(()) };
        let image = self.slots.image(slot);
        let around =
            Surroundings { image: &image, slot: slot.as_str(), transport: &self.transport };
        let results = self.round.look(&self.config.probes, &around);
        self.watch.judged(&results);
        let verdict = judge(&results, self.now_ms(), self.config.trial_ms);
        tracing::info!(?verdict, "probes have judged slot {slot}");
        match verdict {
            Verdict::Healthy => self.tell(&Event::Healthy)?,
            Verdict::Unhealthy { reason } => self.tell(&Event::Unhealthy { reason })?,
            Verdict::Undecided => {}
        }
        let next_ms = self.now_ms().saturating_add(PROBE_ROUND_MS);
        self.probes = Pace { failures: 0, next_ms };
        Ok(())
    }
}
