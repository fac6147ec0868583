//! The journal as bytes: two records of 4 KiB that are written in turn, so that a write which the
//! power cuts short never harms the record before it. How they reach the disk is the shell's.
//!
//! A record is the magic (8 bytes), the length of the JSON (4 bytes, little endian), the canonical
//! JSON, zeros, and in its last 32 bytes the SHA-256 of all before.

use alloc::string::String;
use alloc::vec::Vec;

use lazaret_protocol::canonical::{self, CanonicalError};
use lazaret_protocol::digest::Sha256Digest;

use crate::journal::{JOURNAL_FORMAT, Journal};

/// One record: the unit that disks of today write without tearing, though nothing here relies on
/// it.
pub const RECORD_BYTES: usize = 4096;

/// The file: both records.
pub const JOURNAL_BYTES: usize = 2 * RECORD_BYTES;

const MAGIC: &[u8; 8] = b"lzjrnl1\n";
const HEAD_BYTES: usize = 12;
const CHECKSUM_BYTES: usize = 32;
const BODY_END: usize = RECORD_BYTES - CHECKSUM_BYTES;
/// Most JSON that a record holds, in bytes.
pub const JSON_BYTES_MAX: usize = BODY_END - HEAD_BYTES;

/// Why a journal cannot be written or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The journal is larger than a record. Everything in it is bounded, so this is a bug.
    #[error("expected a journal of at most {JSON_BYTES_MAX} bytes, got {got}")]
    TooLarge {
        /// Its size in bytes.
        got: usize,
    },
    /// The journal has no canonical form.
    #[error("journal has no canonical form")]
    NotCanonical(#[source] CanonicalError),
    /// The file is not two records.
    #[error("expected a journal file of {JOURNAL_BYTES} bytes, got {got}")]
    WrongLength {
        /// Its size in bytes.
        got: usize,
    },
    /// Neither record can be read. The device must not go on as if it were new: its floors are
    /// lost.
    #[error("both journal records are corrupt: the first {first}, the second {second}")]
    Corrupt {
        /// What is wrong with the first.
        first: Fault,
        /// What is wrong with the second.
        second: Fault,
    },
}

/// What is wrong with one record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing but zeros: never written.
    #[error("is empty")]
    Empty,
    /// The checksum is not that of the bytes.
    #[error("does not match its checksum")]
    Checksum,
    /// The checksum holds, but this code cannot read it.
    #[error("is not a journal of format 1: {why}")]
    Malformed {
        /// What the parser said.
        why: String,
    },
    /// A record whose generation belongs to the other place.
    #[error("has the generation {generation}, which belongs to the other record")]
    Misplaced {
        /// The generation it carries.
        generation: u64,
    },
}

/// Where the record of `generation` goes, in bytes from the start of the file.
#[must_use]
pub const fn place(generation: u64) -> u64 {
    if generation.is_multiple_of(2) { 0 } else { 4096 }
}

/// The record of a journal, [`RECORD_BYTES`] long.
///
/// # Errors
/// The journal does not fit, or has no canonical form.
pub fn encode(journal: &Journal) -> Result<Vec<u8>, RecordError> {
    let json = canonical::to_bytes(journal).map_err(RecordError::NotCanonical)?;
    let too_large = RecordError::TooLarge { got: json.len() };
    if json.len() > JSON_BYTES_MAX {
        return Err(too_large);
    }
    let length = u32::try_from(json.len()).map_err(|_| too_large)?;
    let mut record = Vec::with_capacity(RECORD_BYTES);
    record.extend_from_slice(MAGIC);
    record.extend_from_slice(&length.to_le_bytes());
    record.extend_from_slice(&json);
    record.resize(BODY_END, 0);
    let checksum = Sha256Digest::of(&record);
    record.extend_from_slice(checksum.as_bytes());
    Ok(record)
}

/// The journal in a file: the newer valid record, or a fresh journal where nothing was ever
/// written.
///
/// A file of zeros is a device that has just been provisioned. So is one whose first record is
/// empty and whose second is torn: the second takes the very first write. Any other pair without a
/// valid record is corruption, never a reset.
///
/// # Errors
/// The file is not two records, or none of them can be read.
pub fn decode(file: &[u8]) -> Result<Journal, RecordError> {
    let wrong = RecordError::WrongLength { got: file.len() };
    if file.len() != JOURNAL_BYTES {
        return Err(wrong);
    }
    let (first, second) = file.split_at_checked(RECORD_BYTES).ok_or(wrong)?;
    match (decode_record(first, 0), decode_record(second, 1)) {
        (Ok(a), Ok(b)) if a.generation > b.generation => Ok(a),
        (_, Ok(journal)) | (Ok(journal), _) => Ok(journal),
        (Err(Fault::Empty), Err(Fault::Empty | Fault::Checksum)) => Ok(Journal::fresh()),
        (Err(first), Err(second)) => Err(RecordError::Corrupt { first, second }),
    }
}

/// The journal in one record by itself, whichever place it was meant for: the copy beside the file.
///
/// # Errors
/// What is wrong with it.
pub fn decode_one(record: &[u8]) -> Result<Journal, Fault> {
    if record.len() != RECORD_BYTES {
        return Err(Fault::Checksum);
    }
    match decode_record(record, 0) {
        Err(Fault::Misplaced { .. }) => decode_record(record, 1),
        decoded => decoded,
    }
}

fn decode_record(record: &[u8], parity: u64) -> Result<Journal, Fault> {
    if record.iter().all(|&byte| byte == 0) {
        return Err(Fault::Empty);
    }
    let (body, checksum) = record.split_at_checked(BODY_END).ok_or(Fault::Checksum)?;
    if Sha256Digest::of(body).as_bytes().as_slice() != checksum {
        return Err(Fault::Checksum);
    }
    let malformed = |why: &str| Fault::Malformed { why: why.into() };
    let rest = body.strip_prefix(MAGIC.as_slice()).ok_or_else(|| malformed("wrong magic"))?;
    let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(|| malformed("no length"))?;
    let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let json = rest.get(..length).ok_or_else(|| malformed("length out of bounds"))?;
    let journal: Journal =
        serde_json::from_slice(json).map_err(|err| malformed(&alloc::format!("{err}")))?;
    if journal.format != JOURNAL_FORMAT {
        return Err(malformed(&alloc::format!("it says format {}", journal.format)));
    }
    if journal.generation % 2 != parity {
        return Err(Fault::Misplaced { generation: journal.generation });
    }
    Ok(journal)
}

#[cfg(test)]
mod tests;
