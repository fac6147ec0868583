//! Reading a forensic log back: the whole of it for a verdict, or up to where a power cut tore it.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use lazaret_protocol::canonical;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::DeviceId;
use lazaret_protocol::poll::LogHead;

use super::{Chain, LINE_BYTES_MAX, LOG_BYTES_MAX, Line, Record, link};

/// A log in which every line is as the device wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedLog {
    /// Where it has come to.
    pub head: LogHead,
    /// Its records, in order.
    pub records: Vec<Record>,
}

/// Why a log is not believed. Lines are counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// Larger than [`LOG_BYTES_MAX`].
    #[error("expected a log of at most {LOG_BYTES_MAX} bytes, got {got}")]
    TooLarge {
        /// Its size in bytes.
        got: usize,
    },
    /// The first line that is wrong.
    #[error("line {line} of the log is wrong")]
    Line {
        /// Which.
        line: u64,
        /// What is wrong with it.
        #[source]
        fault: LineFault,
    },
    /// The last line has no end. A power cut does that and [`recover`] cuts it off; in a bundle it
    /// is wrong, because a bundle is made from a recovered log.
    #[error("line {} of the log, its last, is torn after {} bytes", .0.line, .0.length)]
    Torn(Torn),
}

/// What can be wrong with one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineFault {
    /// Longer than [`LINE_BYTES_MAX`].
    #[error("expected at most {LINE_BYTES_MAX} bytes, got {got}")]
    TooLong {
        /// Its length in bytes.
        got: usize,
    },
    /// Not a record with its hash.
    #[error("expected a record with its hash: {why}")]
    Malformed {
        /// What the parser said.
        why: String,
    },
    /// It reads as a record, but is not spelt as devices spell it.
    #[error("expected canonical JSON, got another spelling of it")]
    NotCanonical,
    /// A record is missing, or there twice.
    #[error("expected the record {expected}, got {got}")]
    Sequence {
        /// The number that comes next.
        expected: u64,
        /// The number that came.
        got: u64,
    },
    /// The record is not the one that was chained here, or one before it is not.
    #[error("expected the hash {expected}, got {got}: the chain is broken")]
    Chain {
        /// The hash that the records up to here make.
        expected: Sha256Digest,
        /// The hash in the line.
        got: Sha256Digest,
    },
}

/// The last line of a log where the power went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// Which line.
    pub line: u64,
    /// How much of it there is, in bytes.
    pub length: usize,
    /// What there is of it, by its digest, so that the cut can be recorded.
    pub sha256: Sha256Digest,
}

/// A log up to where it is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// Bytes to keep; what follows is to be cut off.
    pub good_length: usize,
    /// The head over what is kept.
    pub head: LogHead,
    /// What is to be cut off, none where the log is whole.
    pub torn: Option<Torn>,
}

/// Reads a log line by line, for callers who do not want it in memory at once.
#[derive(Debug, Clone)]
pub struct LogReader {
    head: LogHead,
}

impl LogReader {
    /// Before the first line of the log of `device`.
    #[must_use]
    pub fn new(device: &DeviceId) -> Self {
        Self { head: Chain::new(device).head }
    }

    /// The head over the lines read so far.
    #[must_use]
    pub const fn head(&self) -> &LogHead {
        &self.head
    }

    /// Reads the next line, given without its line feed.
    ///
    /// # Errors
    /// The line is not what the device wrote there. The reader stays before it.
    pub fn line(&mut self, line: &[u8]) -> Result<Record, LineFault> {
        if line.len() >= LINE_BYTES_MAX {
            return Err(LineFault::TooLong { got: line.len() });
        }
        let read: Line = serde_json::from_slice(line)
            .map_err(|err| LineFault::Malformed { why: format!("{err}") })?;
        let malformed =
            |err: canonical::CanonicalError| LineFault::Malformed { why: format!("{err}") };
        if canonical::to_bytes(&read).map_err(malformed)? != line {
            return Err(LineFault::NotCanonical);
        }
        let Line { hash, record } = read;
        // A size of 2^64 - 1 has no successor, and then no number is right.
        let expected = self.head.size.saturating_add(1);
        if record.seq != expected || self.head.size == u64::MAX {
            return Err(LineFault::Sequence { expected, got: record.seq });
        }
        let chained = link(&self.head.hash, &record).map_err(malformed)?;
        if chained != hash {
            return Err(LineFault::Chain { expected: chained, got: hash });
        }
        self.head = LogHead { size: expected, hash };
        Ok(record)
    }
}

/// Checks a whole log.
///
/// # Errors
/// The first thing that is wrong, with its line. A torn tail is [`LogError::Torn`].
pub fn verify_log(device: &DeviceId, bytes: &[u8]) -> Result<VerifiedLog, LogError> {
    let mut records = Vec::new();
    let recovered = walk(device, bytes, |record| records.push(record))?;
    match recovered.torn {
        Some(torn) => Err(LogError::Torn(torn)),
        None => Ok(VerifiedLog { head: recovered.head, records }),
    }
}

/// Finds where a log is whole after a power cut. Only a last line without its line feed, or with a
/// hole of zeros before it, is torn: the agent syncs a line before it relies on it, so nothing that
/// anyone was told is lost with it.
///
/// # Errors
/// Anything else that is wrong is damage that no power cut explains.
pub fn recover(device: &DeviceId, bytes: &[u8]) -> Result<Recovered, LogError> {
    walk(device, bytes, drop)
}

fn walk(
    device: &DeviceId,
    bytes: &[u8],
    mut found: impl FnMut(Record),
) -> Result<Recovered, LogError> {
    if bytes.len() > LOG_BYTES_MAX {
        return Err(LogError::TooLarge { got: bytes.len() });
    }
    let mut reader = LogReader::new(device);
    let mut good_length = 0usize;
    for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
        let line = reader.head.size.saturating_add(1);
        let length = good_length.saturating_add(piece.len());
        let Some(whole) = piece.strip_suffix(b"\n").filter(|whole| {
            // A record's last sector may have reached the disk without the one before it, which
            // then reads as zeros. No record holds a zero byte.
            length < bytes.len() || !whole.contains(&0)
        }) else {
            if piece.len() > LINE_BYTES_MAX {
                let fault = LineFault::TooLong { got: piece.len() };
                return Err(LogError::Line { line, fault });
            }
            let torn = Torn { line, length: piece.len(), sha256: Sha256Digest::of(piece) };
            return Ok(Recovered { good_length, head: reader.head, torn: Some(torn) });
        };
        found(reader.line(whole).map_err(|fault| LogError::Line { line, fault })?);
        good_length = length;
    }
    Ok(Recovered { good_length, head: reader.head, torn: None })
}
