//! The bundle under way: made once, uploaded until the server has it.

use std::cell::OnceCell;

use lazaret_agent_core::event::Event;
use lazaret_agent_core::journal::Collection;
use lazaret_agent_core::reason::Reason;
use lazaret_protocol::id::BundleId;
use lazaret_protocol::order::Wanted;
use lazaret_protocol_evidence::log::Detail;
use lazaret_protocol_evidence::manifest::SealError;

use super::{Drive, Pace, Stop};
use crate::artifacts::Scene;
use crate::artifacts::budget::Budget;
use crate::artifacts::profile::Profile;
use crate::bundle::{self, BundleError, Upload, Witness};
use crate::cli::chain;
use crate::identity::KeyError;
use crate::probes::free_bytes;

impl Drive {
    /// Makes the bundle where that is still to be done, and uploads until the next poll is due.
    pub(super) fn collect(&mut self) -> Result<(), Stop> {
        let Collection::Collecting { bundle, wanted, .. } = self.journal.collection.clone() else {
            return Ok(());
        };
        let outcome = self.carry(&bundle, &wanted)?;
        match outcome {
            Ok(Upload::Paused) => Ok(()),
            Ok(Upload::Complete(receipt)) => {
                let detail = Detail::none()
                    .text("bundle", bundle.as_str())
                    .text("sha256", receipt.sha256.to_string())
                    .number("received", receipt.at.as_ms());
                self.note("evidence-received", detail)?;
                // The outcome is durable before the file goes: the other order would make a second
                // bundle under the same name after a power cut.
                self.tell(&Event::Collected)?;
                self.forget(&bundle)
            }
            Err(err) if for_good(&err) => {
                let reason = Reason::new(&chain(&err));
                let code = code(&err).to_owned();
                self.tell(&Event::CollectionFailed { code, reason })?;
                self.forget(&bundle)
            }
            Err(err) => {
                tracing::warn!("bundle {bundle} waits: {}", chain(&err));
                let retry_after_ms = match &err {
                    BundleError::Transport(err) => err.retry_after_ms(),
                    _ => 0,
                };
                if self.link.broke() {
                    // What came through shows that trying is worth while.
                    self.collections = Pace::default();
                }
                self.collections = self.slower(self.collections, retry_after_ms)?;
                Ok(())
            }
        }
    }

    fn carry(
        &mut self,
        bundle: &BundleId,
        wanted: &Wanted,
    ) -> Result<Result<Upload, BundleError>, Stop> {
        let state_dir = self.config.state_dir.clone();
        if !bundle::path(&state_dir, bundle).exists() {
            let Some(profile) = Profile::find(&self.config.profiles, wanted.profile.as_ref())
            else {
                let name = wanted.profile.as_ref().map(ToString::to_string).unwrap_or_default();
                return Ok(Err(BundleError::NoProfile { name }));
            };
            let detail = Detail::none()
                .text("bundle", bundle.as_str())
                .text("profile", profile.name.as_str());
            self.note("collection-begun", detail)?;
            let responders = self.anchors.as_ref().map_or(&[][..], |anchors| &anchors.responders);
            let witness = Witness {
                key: &self.key,
                certificate: &self.certificate,
                boot: self.journal.boot_count,
                now: self.clock.now(),
                responders,
            };
            let budget = Budget::begin(self.clock.clone(), profile.limits, self.room());
            let scene = Scene {
                journal: &self.journal,
                slots: self.slots.as_ref(),
                config: &self.config,
                profile: &profile,
                wanted,
                now: self.clock.now(),
                budget,
                survey: OnceCell::new(),
            };
            let made = bundle::make(bundle, &scene, (&mut self.log, &witness), &self.durable);
            if let Err(err) = made {
                return Ok(Err(err));
            }
        }
        let time_is_up = self.until_called();
        let keys = self.anchors.as_ref().map_or(&[][..], |anchors| &anchors.order_keys);
        let way = (&self.transport, &mut self.link);
        Ok(bundle::upload(&state_dir, bundle, way, keys, &time_is_up))
    }

    /// Bytes of artifacts that the disk has room for: what is free, but for as much as the log may
    /// take and a part that is left to everybody else.
    fn room(&self) -> Option<u64> {
        let free = free_bytes(&self.config.state_dir).ok()?;
        let kept = self.config.forensic_log_bytes_max.min(free / 2);
        Some(free.saturating_sub(kept) / 2)
    }

    fn forget(&mut self, bundle: &BundleId) -> Result<(), Stop> {
        if let Err(err) = bundle::forget(&self.config.state_dir, bundle, &self.durable) {
            // The next start sweeps it.
            tracing::warn!("bundle {bundle} is still on disk: {}", chain(&err));
        }
        Ok(())
    }
}

/// The stable code of a collection that failed.
const fn code(err: &BundleError) -> &'static str {
    match err {
        BundleError::NoRecipient => "no-recipient",
        BundleError::DiskFull => "disk-full",
        BundleError::NoProfile { .. } => "no-profile",
        _ => "collection-failed",
    }
}

/// Whether trying again cannot help.
fn for_good(err: &BundleError) -> bool {
    match err {
        // A key helper that has failed is started again.
        BundleError::Seal(SealError::Signer(err)) => matches!(err, KeyError::TooLong { .. }),
        BundleError::Seal(_)
        | BundleError::NoRecipient
        | BundleError::NoProfile { .. }
        | BundleError::DiskFull
        | BundleError::TooLarge { .. }
        | BundleError::BadOffset { .. } => true,
        BundleError::Transport(err) => {
            matches!(
                err.refused_code(),
                Some("not-found" | "bad-request" | "too-large" | "forbidden")
            )
        }
        BundleError::Durable(_)
        | BundleError::Log(_)
        | BundleError::Sums(_)
        | BundleError::NoReceipt { .. } => false,
    }
}
