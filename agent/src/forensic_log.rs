//! The forensic log's file: what the device did, appended and synced before it does it. How records
//! are chained is `lazaret_protocol_evidence::log`; nothing here decides what is worth a record.
//!
//! When the file reaches its limit, a last record `log-full` is added, and from there on only
//! records that speak of attacks and containment, until the reserve is used up as well. The agent
//! goes on: a device that stopped updating because its log is full could never be cured.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use lazaret_agent_core::action::LogEvent;
use lazaret_protocol::id::DeviceId;
use lazaret_protocol::poll::LogHead;
use lazaret_protocol_evidence::log::{
    AppendError, Chain, Detail, Entry, Kind, LOG_BYTES_MAX, recover,
};
use serde_json::Value;

use crate::clock::Clock;
use crate::durable::{self, Durable, DurableError, told};

mod throttle;

use throttle::{Throttle, Verdict};

/// Bytes at the end of the log that only records of attacks and containment may take.
pub const RESERVE_BYTES: u64 = 64 * 1024;

/// Kinds that may take the reserve.
const RESERVED_KINDS: &[&str] = &[
    "quarantined",
    "order-accepted",
    "order-refused",
    "verification-refused",
    "rolled-back",
    "log-full",
    "log-damaged",
    "alarm",
    "clock-doubted",
    "emergency-used",
    "state-refused",
    "repeats",
];

/// The log cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForensicLogError {
    /// The file cannot be read or written.
    #[error("forensic log cannot be kept")]
    Durable(#[from] DurableError),
    /// A record is beyond a limit. Records are made by this program, so this is a bug.
    #[error("record {kind} cannot be appended")]
    Append {
        /// What it was about.
        kind: String,
        /// Which limit.
        #[source]
        source: AppendError,
    },
}

/// The open log.
#[derive(Debug)]
pub struct ForensicLog {
    file: File,
    path: PathBuf,
    chain: Chain,
    length: u64,
    limit: u64,
    clock: Clock,
    boot: u64,
    durable: Durable,
    full: Fullness,
    throttle: Throttle,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fullness {
    Open,
    /// `log-full` was appended; the reserve is in use.
    Reserve,
}

impl ForensicLog {
    /// Opens the log, and cuts off a last line that the power left torn. A log that is damaged in
    /// any other way is moved aside, whole, and a new chain begins by saying so: evidence is only
    /// ever added.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn open(
        path: &Path,
        device: &DeviceId,
        limit: u64,
        clock: Clock,
        durable: Durable,
    ) -> Result<Self, ForensicLogError> {
        let max = u64::try_from(LOG_BYTES_MAX).unwrap_or(u64::MAX);
        let bytes = durable::read(path, max)?.unwrap_or_default();
        let (recovered, damage) = match recover(device, &bytes) {
            Ok(recovered) => (Some(recovered), None),
            Err(err) => (None, Some(err.to_string())),
        };
        let aside = if damage.is_some() { Some(move_aside(&durable, path)?) } else { None };
        let file = durable.disk().open(path).map_err(told("open", path))?;
        if let Some(parent) = path.parent() {
            durable.sync_folder(parent)?;
        }
        let (chain, good) = match &recovered {
            Some(recovered) => (Chain::resume(recovered.head.clone()), recovered.good_length),
            None => (Chain::new(device), 0),
        };
        let length = u64::try_from(good).unwrap_or(u64::MAX);
        let path = path.to_owned();
        let full = Fullness::Open;
        let throttle = Throttle::default();
        let mut log =
            Self { file, path, chain, length, limit, clock, boot: 0, durable, full, throttle };
        if let Some(torn) = recovered.and_then(|recovered| recovered.torn) {
            log.cut_tail()?;
            let bytes = u64::try_from(torn.length).unwrap_or(u64::MAX);
            let detail =
                Detail::none().number("bytes", bytes).text("sha256", torn.sha256.to_string());
            log.append("log-tail-cut", detail)?;
        }
        if let (Some(damage), Some(aside)) = (damage, aside) {
            let aside = aside.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let detail = Detail::none().text("why", damage).text("kept-as", aside);
            log.append("log-damaged", detail)?;
        }
        Ok(log)
    }

    /// Says which start of the agent the next records belong to.
    pub const fn set_boot(&mut self, boot: u64) {
        self.boot = boot;
    }

    /// Where the log has come to.
    #[must_use]
    pub const fn head(&self) -> &LogHead {
        self.chain.head()
    }

    /// All of it, up to its head.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn bytes(&self) -> Result<Vec<u8>, ForensicLogError> {
        let mut bytes = vec![0; usize::try_from(self.length).unwrap_or(usize::MAX)];
        self.file.read_exact_at(&mut bytes, 0).map_err(told("read", &self.path))?;
        Ok(bytes)
    }

    /// Appends what the core decided to record.
    ///
    /// # Errors
    /// The record is not on disk.
    pub fn record(&mut self, event: &LogEvent) -> Result<(), ForensicLogError> {
        let (kind, detail) = said(event);
        self.append(&kind, detail)
    }

    /// Appends a record and syncs it. Of a kind and code that come again and again, the first of an
    /// hour are appended; from then on that they come is, once, and how many came when the hour is
    /// over.
    ///
    /// # Errors
    /// The record is not on disk.
    pub fn append(&mut self, kind: &str, detail: Detail) -> Result<(), ForensicLogError> {
        let now_ms = self.clock.monotonic_ms();
        self.say_repeats(now_ms)?;
        let code = code_of(&detail);
        match self.throttle.weigh(kind, &code, now_ms) {
            Verdict::Write => self.append_now(kind, detail),
            Verdict::BeginCounting => {
                let detail = Detail::none()
                    .text("of", kind)
                    .text("code", code)
                    .number("after", u64::from(throttle::VERBATIM_MAX));
                self.append_now("repeats-begin", detail)
            }
            Verdict::Count => Ok(()),
        }
    }

    /// Says how much was held back in hours that are over. Called before every record and now and
    /// then by the loop, so that the count does not wait for the next record.
    ///
    /// # Errors
    /// The record is not on disk.
    pub fn settle(&mut self) -> Result<(), ForensicLogError> {
        self.say_repeats(self.clock.monotonic_ms())
    }

    fn say_repeats(&mut self, now_ms: u64) -> Result<(), ForensicLogError> {
        for repeats in self.throttle.over(now_ms) {
            let detail = Detail::none()
                .text("of", repeats.kind)
                .text("code", repeats.code)
                .number("count", repeats.count)
                .number("within-ms", throttle::WINDOW_MS);
            self.append_now("repeats", detail)?;
        }
        Ok(())
    }

    fn append_now(&mut self, kind: &str, detail: Detail) -> Result<(), ForensicLogError> {
        let line_room = 2 * 1024;
        let ordinary = self.limit.saturating_sub(RESERVE_BYTES);
        if self.full == Fullness::Open && self.length.saturating_add(line_room) > ordinary {
            self.full = Fullness::Reserve;
            tracing::warn!(bytes = self.length, "the forensic log is full");
            if !self.ends_full() {
                self.write("log-full", Detail::none().number("bytes", self.length))?;
            }
        }
        if self.full == Fullness::Reserve && !RESERVED_KINDS.contains(&kind) {
            return Ok(());
        }
        self.write(kind, detail)
    }

    /// Whether an earlier start has said already that the log is full.
    fn ends_full(&self) -> bool {
        self.length > self.limit.saturating_sub(RESERVE_BYTES)
    }

    fn write(&mut self, kind: &str, detail: Detail) -> Result<(), ForensicLogError> {
        let failed = |source| ForensicLogError::Append { kind: kind.to_owned(), source };
        let entry = Entry {
            at: self.clock.now(),
            clock: self.clock.evidence(),
            boot: self.boot,
            kind: Kind::try_from(kind.to_owned()).unwrap_or(UNNAMED),
            detail,
        };
        let appended = self.chain.append(entry).map_err(failed)?;
        let length = self.length.saturating_add(u64::try_from(appended.line.len()).unwrap_or(0));
        if length > self.limit {
            return Ok(());
        }
        let points = self.durable.points().clone();
        points.before("forensic-append").map_err(told("append to", &self.path))?;
        let disk = self.durable.disk();
        let written = disk
            .write_at(&self.file, &self.path, &appended.line, self.length)
            .and_then(|()| disk.sync(&self.file, &self.path));
        if let Err(err) = written {
            // Half a line must not stay: the next one would be appended to it.
            self.cut_tail()?;
            return Err(told("append to", &self.path)(err).into());
        }
        points.after("forensic-append").map_err(told("append to", &self.path))?;
        self.chain.advance(&appended);
        self.length = length;
        Ok(())
    }

    fn cut_tail(&self) -> Result<(), DurableError> {
        let points = self.durable.points();
        points.before("forensic-cut").map_err(told("cut", &self.path))?;
        let disk = self.durable.disk();
        disk.set_length(&self.file, &self.path, self.length).map_err(told("cut", &self.path))?;
        disk.sync(&self.file, &self.path).map_err(told("sync", &self.path))?;
        points.after("forensic-cut").map_err(told("cut", &self.path))
    }
}

/// What tells entries of one kind apart: their code, or what kind of order they are about.
fn code_of(detail: &Detail) -> String {
    let text = |wanted: &str| {
        detail.iter().find(|(key, _)| *key == wanted).map(|(_, value)| value.to_string())
    };
    text("code").or_else(|| text("kind")).unwrap_or_default()
}

/// Kinds are literals of this program, which the tests hold to the form; this stands in for none of
/// them.
const UNNAMED: Kind = Kind::known("unnamed");

/// The core's events say their kind and particulars by how they serialise.
fn said(event: &LogEvent) -> (String, Detail) {
    let mut kind = String::from("unnamed");
    let mut detail = Detail::none();
    if let Ok(Value::Object(fields)) = serde_json::to_value(event) {
        for (key, value) in fields {
            match value {
                Value::String(text) if key == "event" => kind = text,
                Value::String(text) => detail = detail.text(&key, text),
                Value::Number(number) => {
                    detail = detail.number(&key, number.as_u64().unwrap_or_default());
                }
                _ => {}
            }
        }
    }
    (kind, detail)
}

fn move_aside(durable: &Durable, path: &Path) -> Result<PathBuf, DurableError> {
    for number in 1..1000_u32 {
        let aside = path.with_extension(format!("damaged-{number}"));
        if !aside.exists() {
            durable.rename(path, &aside, "forensic-aside")?;
            return Ok(aside);
        }
    }
    Err(told("move aside", path)(std::io::ErrorKind::AlreadyExists.into()))
}

#[cfg(test)]
mod tests;
