//! The device's forensic log: records, the hash chain over them, and the file `log.jsonl` that
//! holds both. Nothing here writes a file; the agent's shell does, and it syncs before it says so.
//!
//! The chain is `hash_0 = SHA-256(0x00 || device id)` and
//! `hash_n = SHA-256(0x01 || hash_(n-1) || canonical record n)`. One line of the file is the
//! canonical JSON `{"hash": hex, "record": {...}}`, so every byte of the file has exactly one right
//! value.
//!
//! Callers are meant to depend on [`Entry`], [`Kind`] and [`Record`], not on how records are
//! chained: C2SP tlog-tiles take the place of the chain without a change to what is recorded.

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use lazaret_protocol::canonical::{self, CanonicalError};
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::DeviceId;
use lazaret_protocol::poll::LogHead;
use lazaret_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::text::plain;

mod read;

pub use read::{LineFault, LogError, LogReader, Recovered, Torn, VerifiedLog, recover, verify_log};

/// Longest line of a log, its line feed included, in bytes. Every entry within the limits below
/// fits: 16 texts of 1,024 bytes whose every byte is escaped, and their keys.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// Largest log, in bytes. A quarter of the largest bundle: the artifacts need room too.
pub const LOG_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Longest kind and longest detail key, in bytes.
pub const KIND_BYTES_MAX: usize = 64;

/// Details of one record.
pub const DETAILS_MAX: usize = 16;

/// Longest text among the details that [`Detail::text`] keeps, in bytes.
pub const DETAIL_TEXT_BYTES_MAX: usize = 1024;

/// What a moment in the log rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clock {
    /// A server's word over an authenticated connection, moved on by the monotonic clock.
    Authenticated,
    /// The machine's own clock.
    System,
    /// No clock: the last time that was authenticated, or the build's. It is later than this.
    Floor,
}

/// What happened, in kebab case: `[a-z][a-z0-9-]{0,63}`, such as `order-accepted`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Kind(Cow<'static, str>);

/// A text that is not a kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a kind of the form [a-z][a-z0-9-]{{0,63}}, got {got:?}")]
pub struct KindError {
    /// What came, cut after 64 characters.
    pub got: String,
}

impl Kind {
    /// A kind that stands in the source, made for constants:
    /// `const ENROLLED: Kind = Kind::known("enrolled");`
    /// A text that is no kind does not compile there.
    #[must_use]
    pub const fn known(text: &'static str) -> Self {
        assert!(is_kind(text), "a kind is lower case letters, digits and hyphens");
        Self(Cow::Borrowed(text))
    }

    /// The kind as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const fn is_kind(text: &str) -> bool {
    let mut rest = text.as_bytes();
    if rest.len() > KIND_BYTES_MAX || !matches!(rest.first(), Some(b'a'..=b'z')) {
        return false;
    }
    while let [byte, after @ ..] = rest {
        if !matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-') {
            return false;
        }
        rest = after;
    }
    true
}

impl TryFrom<String> for Kind {
    type Error = KindError;
    fn try_from(text: String) -> Result<Self, KindError> {
        if !is_kind(&text) {
            return Err(KindError { got: text.chars().take(KIND_BYTES_MAX).collect() });
        }
        Ok(Self(Cow::Owned(text)))
    }
}

impl From<Kind> for String {
    fn from(kind: Kind) -> Self {
        kind.0.into_owned()
    }
}

impl core::fmt::Display for Kind {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The particulars of a record: a JSON object of strings and integers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Detail(BTreeMap<String, DetailValue>);

/// One particular.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum DetailValue {
    /// An integer from zero up.
    Natural(u64),
    /// An integer below zero.
    Negative(i64),
    /// A text.
    Text(String),
}

impl From<u64> for DetailValue {
    fn from(number: u64) -> Self {
        Self::Natural(number)
    }
}

impl From<i64> for DetailValue {
    fn from(number: i64) -> Self {
        u64::try_from(number).map_or(Self::Negative(number), Self::Natural)
    }
}

impl core::fmt::Display for DetailValue {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Natural(number) => write!(f, "{number}"),
            Self::Negative(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl Detail {
    /// No particulars.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// These particulars and a text, made plain and cut to [`DETAIL_TEXT_BYTES_MAX`] by [`plain`].
    #[must_use]
    pub fn text(mut self, key: &str, text: impl AsRef<str>) -> Self {
        self.0.insert(
            key.to_string(),
            DetailValue::Text(plain(text.as_ref(), DETAIL_TEXT_BYTES_MAX)),
        );
        self
    }

    /// These particulars and an integer (`u64` or `i64`).
    #[must_use]
    pub fn number(mut self, key: &str, number: impl Into<DetailValue>) -> Self {
        self.0.insert(key.to_string(), number.into());
        self
    }

    /// These particulars and one that was read from a log, as it stands there.
    #[must_use]
    pub(crate) fn exactly(mut self, key: String, value: DetailValue) -> Self {
        self.0.insert(key, value);
        self
    }

    /// The particulars by key, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &DetailValue)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }
}

/// What the device wants to record. The chain gives it its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// What that moment rests on.
    pub clock: Clock,
    /// Starts of the agent since the device was enrolled: orders records where clocks lie.
    pub boot: u64,
    /// What happened.
    pub kind: Kind,
    /// Its particulars.
    pub detail: Detail,
}

/// One record as it stands in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Its place, from 1 on, without gaps.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// What that moment rests on.
    pub clock: Clock,
    /// Starts of the agent since the device was enrolled.
    pub boot: u64,
    /// What happened.
    pub kind: Kind,
    /// Its particulars.
    pub detail: Detail,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    hash: Sha256Digest,
    record: Record,
}

/// An entry that cannot be recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// More than [`DETAILS_MAX`] particulars.
    #[error("expected at most {DETAILS_MAX} details, got {got}")]
    TooManyDetails {
        /// How many came.
        got: usize,
    },
    /// A detail key longer than [`KIND_BYTES_MAX`] or with a control character in it.
    #[error("expected a detail key of at most {KIND_BYTES_MAX} plain bytes, got {got:?}")]
    BadKey {
        /// What came, cut after 64 characters.
        got: String,
    },
    /// The line would be longer than [`LINE_BYTES_MAX`].
    #[error("expected a line of at most {LINE_BYTES_MAX} bytes, got {got}")]
    TooLong {
        /// Its length in bytes.
        got: usize,
    },
    /// 2^64 - 1 records are in the log.
    #[error("the log takes no more records")]
    Full,
    /// The entry has no canonical form.
    #[error("entry has no canonical form")]
    NotCanonical(#[source] CanonicalError),
}

/// Where a log has come to, and what makes its next line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    head: LogHead,
}

/// A line that is ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "write the line durably, then advance the chain"]
pub struct Appended {
    /// The bytes to append to `log.jsonl`, the line feed included.
    pub line: Vec<u8>,
    /// The head once they are on disk.
    pub head: LogHead,
}

impl Chain {
    /// The chain of an empty log.
    #[must_use]
    pub fn new(device: &DeviceId) -> Self {
        let mut hash = Sha256::new();
        hash.update([0]);
        hash.update(device.as_str().as_bytes());
        let hash = Sha256Digest::from_bytes(hash.finalize().into());
        Self { head: LogHead { size: 0, hash } }
    }

    /// The chain of a log whose head is known, from [`recover`] or [`verify_log`].
    #[must_use]
    pub const fn resume(head: LogHead) -> Self {
        Self { head }
    }

    /// Where the log has come to.
    #[must_use]
    pub const fn head(&self) -> &LogHead {
        &self.head
    }

    /// The next line. The chain itself stays where it is until [`Chain::advance`]: a line that
    /// could not be written must not be counted, or the log would have a gap from there on.
    ///
    /// # Errors
    /// The entry is beyond a limit.
    pub fn append(&self, entry: Entry) -> Result<Appended, AppendError> {
        check_detail(&entry.detail)?;
        let seq = self.head.size.checked_add(1).ok_or(AppendError::Full)?;
        let Entry { at, clock, boot, kind, detail } = entry;
        let record = Record { seq, at, clock, boot, kind, detail };
        let hash = link(&self.head.hash, &record).map_err(AppendError::NotCanonical)?;
        let mut line =
            canonical::to_bytes(&Line { hash, record }).map_err(AppendError::NotCanonical)?;
        line.push(b'\n');
        if line.len() > LINE_BYTES_MAX {
            return Err(AppendError::TooLong { got: line.len() });
        }
        Ok(Appended { line, head: LogHead { size: seq, hash } })
    }

    /// Takes a line as written.
    pub fn advance(&mut self, appended: &Appended) {
        self.head = appended.head.clone();
    }
}

fn check_detail(detail: &Detail) -> Result<(), AppendError> {
    if detail.0.len() > DETAILS_MAX {
        return Err(AppendError::TooManyDetails { got: detail.0.len() });
    }
    let bad = |key: &&String| key.len() > KIND_BYTES_MAX || key.chars().any(char::is_control);
    detail.0.keys().find(bad).map_or(Ok(()), |key| {
        Err(AppendError::BadKey { got: key.chars().take(KIND_BYTES_MAX).collect() })
    })
}

/// The chain's hash after `record`, from the hash before it.
fn link(before: &Sha256Digest, record: &Record) -> Result<Sha256Digest, CanonicalError> {
    let mut hash = Sha256::new();
    hash.update([1]);
    hash.update(before.as_bytes());
    hash.update(canonical::to_bytes(record)?);
    Ok(Sha256Digest::from_bytes(hash.finalize().into()))
}

#[cfg(test)]
mod tests;
