//! What somebody at the device asks for: a request in the state folder names a bundle, the loop
//! takes it up like an order, and the end of it is written beside. The request outlives a power
//! cut, so that an update from a bundle goes on where it was.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lazaret_agent_core::event::Event;
use lazaret_agent_core::journal::{BY_HAND, Journal, Overrule, Update};
use lazaret_agent_core::order::apply_refused;
use lazaret_agent_core::reason::Reason;
use lazaret_protocol::order::Outcome;
use lazaret_protocol::time::Timestamp;
use lazaret_protocol_evidence::log::Detail;
use lazaret_protocol_tuf::Trusted;
use serde::{Deserialize, Serialize};

use super::{Drive, DriveError, Stop};
use crate::cli::chain;
use crate::clock::Clock;
use crate::durable::{self, Access, Durable, DurableError};
use crate::offline::{BundleRefused, OfflineBundle};
use crate::source::Source;
use crate::verify::{Findings, Found, Repository, VerifyError};

/// Largest request or result, in bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The bundle, as an absolute path.
    pub bundle: PathBuf,
    /// What whoever asks takes upon themselves.
    pub overrules: Vec<Overrule>,
    /// Why, in their words.
    pub reason: String,
    /// How far the agent is with it.
    #[serde(default)]
    pub progress: Progress,
}

/// How far the agent is with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    /// Nothing of it is in the journal.
    #[default]
    HandedOver,
    /// It is, or was, an install in the journal: it is never begun a second time.
    TakenUp,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// As an order ends.
    pub outcome: Outcome,
}

/// Where a request lies.
#[must_use]
pub fn request_path(state_dir: &Path) -> PathBuf {
    state_dir.join("by-hand").join("request.json")
}

/// Where its end is written.
#[must_use]
pub fn ended_path(state_dir: &Path) -> PathBuf {
    state_dir.join("by-hand").join("ended.json")
}

/// Hands a request over; the end of an earlier one goes first.
///
/// # Errors
/// The file system said no.
pub fn hand_over(
    state_dir: &Path,
    request: &Request,
    durable: &Durable,
) -> Result<(), DurableError> {
    durable.folder(&state_dir.join("by-hand"))?;
    durable.delete(&ended_path(state_dir), "by-hand")?;
    let bytes = serde_json::to_vec(request).unwrap_or_default();
    durable.write(&request_path(state_dir), &bytes, Access::Owner, "by-hand")
}

/// How a request ended; none before it has.
#[must_use]
pub fn ended(state_dir: &Path) -> Option<Ended> {
    let bytes = durable::read(&ended_path(state_dir), FILE_BYTES_MAX).ok()??;
    serde_json::from_slice(&bytes).ok()
}

fn request(state_dir: &Path) -> Option<Request> {
    let bytes = durable::read(&request_path(state_dir), FILE_BYTES_MAX).ok()??;
    serde_json::from_slice(&bytes).ok()
}

/// What a bundle says, after TUF has judged it.
#[derive(Debug)]
pub struct Read {
    /// The release.
    pub found: Found,
    /// Trusted metadata, for the journal.
    pub trusted: Trusted,
}

/// Why a bundle leads to nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It is no bundle.
    #[error("bundle is refused")]
    Refused(#[from] BundleRefused),
    /// What it holds is not trusted.
    #[error("bundle is not trusted")]
    Verify(#[from] VerifyError),
    /// A signature that nobody may overrule has lapsed.
    #[error("{what} in the bundle lapsed at {expires}, it is {now}: export a new one")]
    Lapsed {
        /// Whose.
        what: &'static str,
        /// When.
        expires: Timestamp,
        /// The device's time.
        now: Timestamp,
    },
}

impl ReadError {
    /// A stable name for logs and reports.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused(_) => "bundle-refused",
            Self::Verify(err) => err.code().unwrap_or("bundle-unreadable"),
            Self::Lapsed { .. } => "tuf-expired",
        }
    }
}

/// Asks a bundle what a server would be asked: the same client, the same floors, the same time.
/// Only where somebody overrules freshness are timestamp and snapshot judged by the last moment at
/// which the bundle was fresh, and then the offline roles by the true time all the same.
///
/// # Errors
/// It is not trusted.
pub fn read(
    repository: &Repository,
    (bundle, clock): (&Arc<OfflineBundle>, &Clock),
    (journal, overrules): (&Journal, &[Overrule]),
    findings: &mut Findings,
) -> Result<Read, ReadError> {
    let source = Source::bundle(Arc::clone(bundle), clock.clone());
    let manifest = bundle.manifest();
    let now = clock.now();
    let mut at = now;
    if overrules.contains(&Overrule::Freshness) && manifest.fresh_until <= now {
        at = Timestamp::from_ms(manifest.fresh_until.as_ms().saturating_sub(1));
    }
    let mut trusted = repository.refresh(&source, &journal.tuf, at, findings)?;
    repository.anchors(&source, &mut trusted, findings)?;
    let base = manifest.deltas_from.iter().find(|base| {
        let holds = |slot| journal.slots.release(slot).is_some_and(|held| held.version == **base);
        lazaret_agent_core::slot::Slot::ALL.into_iter().any(holds)
    });
    let wanted = (&manifest.model, &manifest.version);
    let mut found =
        repository.image(&source, &mut trusted, (wanted.0, wanted.1, base), findings)?;
    found.emergency = repository.emergency(&source, &mut trusted, wanted, findings)?;
    if at != now {
        // What was judged by another time says nothing of the horizon.
        findings.expires = None;
        let roles = bundle.offline_roles_expire();
        let lapsed = |what, expires| Err(ReadError::Lapsed { what, expires, now });
        match roles {
            Some(expires) if expires <= now => return lapsed("root or targets", expires),
            _ if found.image.expires <= now => return lapsed("the release", found.image.expires),
            _ => {}
        }
    }
    Ok(Read { found, trusted })
}

impl Drive {
    /// Takes up a request that lies there.
    pub(super) fn by_hand(&mut self) -> Result<(), Stop> {
        if !request_path(&self.config.state_dir).exists() {
            return Ok(());
        }
        let Some(request) = request(&self.config.state_dir) else {
            return self.end_by_hand(&refused("bad-request", "the request cannot be read"));
        };
        if self.journal.update.install().is_some_and(|install| install.by_hand.is_some()) {
            return self.note_taken_up(request);
        }
        if request.progress == Progress::TakenUp {
            return self.ended_by_hand();
        }
        if ended(&self.config.state_dir).is_some() {
            return self.forget_request();
        }
        let bundle = match OfflineBundle::open_file(&request.bundle) {
            Ok(bundle) => bundle,
            Err(err) => return self.end_by_hand(&refused("bundle-refused", &chain(&err))),
        };
        let model = bundle.manifest().model.clone();
        let version = bundle.manifest().version.clone();
        if let Some((code, reason)) = apply_refused(&self.journal, &model, &self.situation()) {
            return self.end_by_hand(&refused(code, reason.as_str()));
        }
        let detail = Detail::none()
            .text("bundle", request.bundle.to_string_lossy())
            .text("reason", &request.reason);
        self.note("bundle-offered", detail)?;
        self.bundle = Some(Arc::new(bundle));
        let overrules = request.overrules.clone();
        self.tell(&Event::AppliedByHand { model, version, overrules })?;
        self.note_taken_up(request)
    }

    /// Notes that the install is in the journal. The journal comes first: a power cut between the
    /// two leaves an install under way, by which the next start sees the same.
    fn note_taken_up(&self, request: Request) -> Result<(), Stop> {
        if request.progress == Progress::TakenUp {
            return Ok(());
        }
        let request = Request { progress: Progress::TakenUp, ..request };
        let bytes = serde_json::to_vec(&request).unwrap_or_default();
        let path = request_path(&self.config.state_dir);
        Ok(self.durable.write(&path, &bytes, Access::Owner, "by-hand")?)
    }

    /// The bundle of the install under way, opened again after a restart.
    pub(super) fn bundle_source(&mut self) -> Option<Source> {
        if self.bundle.is_none() {
            let request = request(&self.config.state_dir)?;
            self.bundle = OfflineBundle::open_file(&request.bundle).ok().map(Arc::new);
        }
        let bundle = self.bundle.clone()?;
        Some(Source::bundle(bundle, self.clock.clone()))
    }

    /// What the bundle of the install under way says; the install ends where it says nothing good.
    pub(super) fn find_by_hand(&mut self, overrules: &[Overrule]) -> Result<Option<Found>, Stop> {
        if self.bundle_source().is_none() {
            let reason = Reason::new("the bundle is gone, or is not what it was");
            self.by_hand_failed("bundle-gone", reason)?;
            return Ok(None);
        }
        let Some(bundle) = self.bundle.clone() else { return Ok(None) };
        let mut findings = Findings::default();
        let outcome = read(
            &self.repository,
            (&bundle, &self.clock),
            (&self.journal, overrules),
            &mut findings,
        );
        self.found_out(findings)?;
        match outcome {
            Ok(read) => Ok(Some(read.found)),
            Err(err) => {
                self.refuse(err.code(), &err)?;
                self.by_hand_failed(err.code(), Reason::new(&chain(&err)))?;
                Ok(None)
            }
        }
    }

    fn by_hand_failed(&mut self, code: &str, reason: Reason) -> Result<(), Stop> {
        match self.journal.update {
            Update::Staging { .. } => self.stage_failed(code, &reason),
            _ => self.tell(&Event::Unresolved { code: code.into(), reason }),
        }
    }

    /// Writes the end of an install by hand, once the journal has it.
    pub(super) fn ended_by_hand(&mut self) -> Result<(), Stop> {
        let running = self.journal.update.install().is_some_and(|i| i.by_hand.is_some());
        if running || !request_path(&self.config.state_dir).exists() {
            return Ok(());
        }
        let last = self.journal.reports.iter().rfind(|report| report.order == BY_HAND);
        let Some(outcome) = last.map(|report| report.outcome.clone()) else { return Ok(()) };
        if self.bundle.is_none() && ended(&self.config.state_dir).is_some() {
            return self.forget_request();
        }
        self.end_by_hand(&outcome)
    }

    fn end_by_hand(&mut self, outcome: &Outcome) -> Result<(), Stop> {
        self.bundle = None;
        let bytes = serde_json::to_vec(&Ended { outcome: outcome.clone() }).unwrap_or_default();
        let path = ended_path(&self.config.state_dir);
        // The end before the request: the other order would lose it to a power cut in between.
        self.durable.write(&path, &bytes, Access::Owner, "by-hand").map_err(DriveError::from)?;
        self.forget_request()
    }

    fn forget_request(&mut self) -> Result<(), Stop> {
        Ok(self.durable.delete(&request_path(&self.config.state_dir), "by-hand")?)
    }

    /// Goes on without any network until the request has ended.
    ///
    /// # Errors
    /// Why the agent has to start again, or cannot go on.
    pub fn run_offline(&mut self) -> Result<Ended, Stop> {
        loop {
            self.tell(&Event::Woke)?;
            self.by_hand()?;
            if let Update::Trial { .. } = self.journal.update
                && self.probes.due(self.now_ms())
            {
                self.judge()?;
            }
            let by_hand = self.journal.update.install().is_some_and(|i| i.by_hand.is_some());
            if by_hand {
                self.update()?;
            }
            self.ended_by_hand()?;
            if !request_path(&self.config.state_dir).exists()
                && let Some(ended) = ended(&self.config.state_dir)
            {
                return Ok(ended);
            }
            if matches!(self.journal.update, Update::Trial { .. }) {
                crate::clock::sleep_ms(100);
            }
        }
    }
}

fn refused(code: &str, reason: &str) -> Outcome {
    Outcome::Refused { code: code.into(), reason: Reason::new(reason).as_str().into() }
}
