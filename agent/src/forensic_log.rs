//! The forensic log: what the device did, on the disk before it does it. Two rings under one
//! budget: `security` has what speaks of orders, attacks, containment and of what runs,
//! `operations` all else, so that no flood of the one pushes the other out. How records, trees and
//! seals are made is `lazaret_protocol_evidence::device_log`; nothing here decides what is worth a
//! record.

use std::path::{Path, PathBuf};

use lazaret_agent_core::action::LogEvent;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::DeviceId;
use lazaret_protocol::poll::{LogGrowth, LogHead, LogRing, LogWitnessed};
use lazaret_protocol_evidence::device_log::record::{Record, RecordError};
use lazaret_protocol_evidence::log::{Detail, Kind};
use lazaret_protocol_evidence::tlog::note::{NoteError, SignedNote};
use lazaret_protocol_evidence::tlog::tile::TileError;
use serde_json::Value;

use crate::bundle::Content;
use crate::clock::Clock;
use crate::durable::{self, Durable, DurableError, told};
use crate::identity::KeyError;

mod ring;
mod seal;
mod throttle;

use ring::{Finding, Place, Ring, Sync};
use throttle::{Throttle, Verdict};

/// The part of the budget that the security ring has, as a divisor.
const SECURITY_SHARE: u64 = 4;

/// An epoch ends after so long even where the device does not restart, in milliseconds.
const EPOCH_MS_MAX: u64 = 24 * 60 * 60 * 1000;

/// Where the device's key could not be used, an epoch is tried again after so long, in
/// milliseconds.
const EPOCH_TRY_MS: u64 = 60 * 1000;

/// The hash chain that earlier agents kept, which is closed and left where it is found.
const FORMER: &str = "log.jsonl";

/// Largest former log, in bytes.
const FORMER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Records of one ring that are read at once, for a timeline.
const RECORDS_READ_MAX: usize = 10_000;

/// Kinds that go to the operations ring: the device's daily work. Every other kind is of the
/// security ring, so that one that is forgotten here is kept too well and not too badly.
const OPERATIONS_KINDS: &[&str] =
    &["stage-begun", "stage-ended", "delta-doubted", "metadata-notice", "collection-begun"];

/// Signs with the device's identity: it roots the chain of epochs, and vouches for each.
pub type Vouch<'a> = &'a dyn Fn(&[u8]) -> Result<Vec<u8>, KeyError>;

/// The log cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForensicLogError {
    /// The files cannot be read or written.
    #[error("forensic log cannot be kept")]
    Durable(#[from] DurableError),
    /// A record is beyond a limit. Records are made by this program, so this is a bug.
    #[error("record {kind} cannot be appended")]
    Append {
        /// What it was about.
        kind: String,
        /// Which limit.
        #[source]
        source: RecordError,
    },
    /// The tree over the records cannot grow.
    #[error("record {kind} cannot be entered into the tree")]
    Tree {
        /// What it was about.
        kind: String,
        /// Why not.
        #[source]
        source: TileError,
    },
    /// The device's identity did not vouch for an epoch.
    #[error("the device's key did not vouch for an epoch of the log")]
    Key(#[from] KeyError),
    /// The seal cannot be written as a note. Names are checked at enrolment, so this is a bug.
    #[error("the log cannot be sealed")]
    Note {
        /// Why not.
        #[source]
        source: NoteError,
    },
    /// The system has no randomness for the key of an epoch.
    #[error("the system gives no randomness: {why}")]
    Randomness {
        /// What it said.
        why: String,
    },
}

/// Where the log is kept, and for whom.
#[derive(Debug)]
pub struct Settings<'a> {
    /// The agent's state.
    pub state_dir: &'a Path,
    /// Whose log it is.
    pub device: &'a DeviceId,
    /// Bytes of both rings together.
    pub bytes_max: u64,
    /// Starts of the agent since the device was enrolled.
    pub boot: u64,
}

/// The open log.
#[derive(Debug)]
pub struct ForensicLog {
    security: Ring,
    operations: Ring,
    clock: Clock,
    boot: u64,
    /// When the next epoch is to begin, on the monotonic clock.
    epoch_due_ms: u64,
    throttle: Throttle,
}

impl ForensicLog {
    /// Opens the log, cuts off an end that the power left torn, and begins an epoch. A ring that is
    /// damaged in any other way is moved aside, whole, and a new one begins by saying so: evidence
    /// is only ever added.
    ///
    /// # Errors
    /// The files cannot be read or written.
    pub fn open(
        settings: &Settings<'_>,
        clock: Clock,
        durable: Durable,
        vouch: Vouch<'_>,
    ) -> Result<Self, ForensicLogError> {
        let folder = folder(settings.state_dir);
        durable.folder(&folder)?;
        make_folders(&folder, &durable)?;
        let share = settings.bytes_max / SECURITY_SHARE;
        let place = |ring, bytes_max| Place {
            ring,
            device: settings.device.clone(),
            folder: folder.clone(),
            bytes_max,
            durable: durable.clone(),
        };
        let (security, first) = Ring::open(place(LogRing::Security, share))?;
        let rest = settings.bytes_max.saturating_sub(share);
        let (operations, second) = Ring::open(place(LogRing::Operations, rest))?;
        let (boot, throttle) = (settings.boot, Throttle::default());
        let mut log = Self { security, operations, clock, boot, epoch_due_ms: 0, throttle };
        match log.begin_epoch(vouch) {
            // The epoch before goes on until the key can be used again.
            Err(ForensicLogError::Key(err))
                if log.security.has_epoch() && log.operations.has_epoch() =>
            {
                tracing::warn!("no epoch of the forensic log is begun: {err}");
                log.epoch_due_ms = 0;
            }
            begun => begun?,
        }
        log.say(LogRing::Security, first)?;
        log.say(LogRing::Operations, second)?;
        log.close_former(settings.state_dir, &durable)?;
        Ok(log)
    }

    /// What was found of a ring, in the security ring.
    fn say(&mut self, ring: LogRing, finding: Finding) -> Result<(), ForensicLogError> {
        let detail = Detail::none().text("ring", ring.as_str());
        match finding {
            Finding::Whole => Ok(()),
            Finding::Torn { bytes, sha256 } => {
                let detail = detail.number("bytes", bytes).text("sha256", sha256.to_string());
                self.write("log-tail-cut", detail)
            }
            Finding::Damaged { why, kept_as } => {
                self.write("log-damaged", detail.text("why", why).text("kept-as", kept_as))
            }
        }
    }

    /// Closes the hash chain of an earlier agent: its digest is recorded, and it stays as it is.
    fn close_former(
        &mut self,
        state_dir: &Path,
        durable: &Durable,
    ) -> Result<(), ForensicLogError> {
        let path = state_dir.join(FORMER);
        let Some(bytes) = durable::read(&path, FORMER_BYTES_MAX)? else { return Ok(()) };
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let sha256 = Sha256Digest::of(&bytes).to_string();
        let detail = Detail::none().number("bytes", length).text("sha256", sha256);
        self.write("former-log-closed", detail)?;
        let closed = folder(state_dir).join(FORMER);
        Ok(durable.rename(&path, &closed, "forensic-aside")?)
    }

    /// Begins an epoch in both rings: from here on other keys seal them, and those before are gone.
    fn begin_epoch(&mut self, vouch: Vouch<'_>) -> Result<(), ForensicLogError> {
        let blank = self.blank(UNNAMED, Detail::none());
        self.security.begin_epoch(blank.clone(), vouch)?;
        self.operations.begin_epoch(blank, vouch)?;
        self.epoch_due_ms = self.clock.monotonic_ms().saturating_add(EPOCH_MS_MAX);
        Ok(())
    }

    /// Where the security ring has come to.
    #[must_use]
    pub fn head(&self) -> LogHead {
        self.security.head()
    }

    /// Where a ring has come to.
    #[must_use]
    pub fn head_of(&self, ring: LogRing) -> LogHead {
        match ring {
            LogRing::Security => self.security.head(),
            LogRing::Operations => self.operations.head(),
        }
    }

    /// The first record of a ring that is still there.
    #[must_use]
    pub fn from(&self, ring: LogRing) -> u64 {
        match ring {
            LogRing::Security => self.security.from(),
            LogRing::Operations => self.operations.from(),
        }
    }

    /// The newest records of both rings.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn records(&self) -> Result<Vec<(LogRing, Record)>, ForensicLogError> {
        let mut records = Vec::new();
        for (ring, of) in
            [(LogRing::Security, &self.security), (LogRing::Operations, &self.operations)]
        {
            records.extend(of.records(RECORDS_READ_MAX)?.into_iter().map(|record| (ring, record)));
        }
        Ok(records)
    }

    /// What the server has not witnessed yet. It is sealed, and the seal is on the disk: one that
    /// left the device and was lost with the power would make an honest device a liar.
    ///
    /// # Errors
    /// It cannot be sealed.
    pub fn growth(&mut self) -> Result<Vec<LogGrowth>, ForensicLogError> {
        let both = [self.security.growth()?, self.operations.growth()?];
        Ok(both.into_iter().flatten().collect())
    }

    /// Takes the witness' word.
    ///
    /// # Errors
    /// It cannot be kept.
    pub fn witnessed(
        &mut self,
        words: &[LogWitnessed],
        is_witness: impl Fn(&SignedNote) -> bool,
    ) -> Result<(), ForensicLogError> {
        for word in words.iter().take(LogRing::ALL.len()) {
            match word.ring {
                LogRing::Security => self.security.witnessed(word, &is_witness)?,
                LogRing::Operations => self.operations.witnessed(word, &is_witness)?,
            }
        }
        Ok(())
    }

    /// A ring as files below a folder of its own, sealed.
    ///
    /// # Errors
    /// It cannot be sealed or read.
    pub fn files(&mut self, ring: LogRing) -> Result<Vec<(String, Content)>, ForensicLogError> {
        match ring {
            LogRing::Security => self.security.files(),
            LogRing::Operations => self.operations.files(),
        }
    }

    /// Appends what the core decided to record.
    ///
    /// # Errors
    /// The record is not on disk.
    pub fn record(&mut self, event: &LogEvent) -> Result<(), ForensicLogError> {
        let (kind, detail) = said(event);
        self.append(&kind, detail)
    }

    /// Appends a record; one of the security ring is on the disk when this returns. Of a kind and
    /// code that come again and again, the first of an hour are appended; from then on that they
    /// come is, once, and how many came when the hour is over.
    ///
    /// # Errors
    /// The record is not on disk.
    pub fn append(&mut self, kind: &str, detail: Detail) -> Result<(), ForensicLogError> {
        let now_ms = self.clock.monotonic_ms();
        self.say_repeats(now_ms)?;
        let code = code_of(&detail);
        match self.throttle.weigh(kind, &code, now_ms) {
            Verdict::Write => self.write(kind, detail),
            Verdict::BeginCounting => {
                let detail = Detail::none()
                    .text("of", kind)
                    .text("code", code)
                    .number("after", u64::from(throttle::VERBATIM_MAX));
                self.write("repeats-begin", detail)
            }
            Verdict::Count => Ok(()),
        }
    }

    /// Says how much was held back in hours that are over, and begins an epoch where the last one
    /// is a day old. Called now and then by the loop.
    ///
    /// # Errors
    /// The record is not on disk.
    pub fn settle(&mut self, vouch: Vouch<'_>) -> Result<(), ForensicLogError> {
        let now_ms = self.clock.monotonic_ms();
        self.say_repeats(now_ms)?;
        if now_ms < self.epoch_due_ms {
            return Ok(());
        }
        match self.begin_epoch(vouch) {
            Err(ForensicLogError::Key(err)) => {
                tracing::warn!("no epoch of the forensic log is begun: {err}");
                self.epoch_due_ms = now_ms.saturating_add(EPOCH_TRY_MS);
                Ok(())
            }
            begun => begun,
        }
    }

    /// Seals both rings, as before the end of the program.
    ///
    /// # Errors
    /// A seal is not on disk.
    pub fn seal(&mut self) -> Result<(), ForensicLogError> {
        self.security.seal()?;
        self.operations.seal()
    }

    fn say_repeats(&mut self, now_ms: u64) -> Result<(), ForensicLogError> {
        for repeats in self.throttle.over(now_ms) {
            let detail = Detail::none()
                .text("of", repeats.kind)
                .text("code", repeats.code)
                .number("count", repeats.count)
                .number("within-ms", throttle::WINDOW_MS);
            self.write("repeats", detail)?;
        }
        Ok(())
    }

    fn write(&mut self, kind: &str, detail: Detail) -> Result<(), ForensicLogError> {
        // Kinds are literals of this program, which the tests hold to the form.
        let named = Kind::try_from(kind.to_owned()).unwrap_or(UNNAMED);
        let record = self.blank(named, detail);
        if OPERATIONS_KINDS.contains(&kind) {
            self.operations.append(record, Sync::Soon)
        } else {
            self.security.append(record, Sync::Now)
        }
    }

    /// A record of this moment, still without its place.
    fn blank(&self, kind: Kind, detail: Detail) -> Record {
        Record {
            seq: 0,
            boot: self.boot,
            monotonic: self.clock.monotonic_ms(),
            at: Some(self.clock.now()),
            clock: self.clock.evidence(),
            kind,
            detail,
        }
    }
}

/// Makes the folders of the rings and of their keys, and then syncs their names once.
fn make_folders(folder: &Path, durable: &Durable) -> Result<(), DurableError> {
    let names = LogRing::ALL.map(LogRing::as_str).into_iter().chain(["keys"]);
    let missing: Vec<PathBuf> =
        names.map(|name| folder.join(name)).filter(|path| !path.is_dir()).collect();
    for path in &missing {
        durable.disk().folder(path).map_err(told("make the folder", path))?;
    }
    if missing.is_empty() { Ok(()) } else { durable.sync_folder(folder) }
}

/// Where the rings lie.
#[must_use]
pub fn folder(state_dir: &Path) -> PathBuf {
    state_dir.join("log")
}

/// The records of the log of an agent that may be at work, as far as they are whole, in the order
/// in which they happened. Nothing is changed and nothing is proved.
///
/// # Errors
/// A file cannot be read.
pub fn kept(state_dir: &Path) -> Result<Vec<(LogRing, Record)>, DurableError> {
    let mut records = Vec::new();
    for ring in LogRing::ALL {
        let of_ring = ring::kept(&folder(state_dir).join(ring.as_str()))?;
        records.extend(of_ring.into_iter().map(|record| (ring, record)));
    }
    records.sort_by_key(|(ring, record)| (record.boot, record.monotonic, *ring, record.seq));
    Ok(records)
}

/// What tells entries of one kind apart: their code, or what kind of order they are about.
fn code_of(detail: &Detail) -> String {
    let text = |wanted: &str| {
        detail.iter().find(|(key, _)| *key == wanted).map(|(_, value)| value.to_string())
    };
    text("code").or_else(|| text("kind")).unwrap_or_default()
}

/// Stands in for a kind that is none.
const UNNAMED: Kind = Kind::known("unnamed");

/// The core's events say their kind and particulars by how they serialise.
fn said(event: &LogEvent) -> (String, Detail) {
    let mut kind = String::from("unnamed");
    let mut detail = Detail::none();
    if let Ok(Value::Object(fields)) = serde_json::to_value(event) {
        for (key, value) in fields {
            match value {
                Value::String(text) if key == "event" => kind = text,
                Value::String(text) => detail = detail.text(key.clone(), text),
                Value::Number(number) => {
                    detail = detail.number(key.clone(), number.as_u64().unwrap_or_default());
                }
                _ => {}
            }
        }
    }
    (kind, detail)
}

#[cfg(test)]
mod tests;
