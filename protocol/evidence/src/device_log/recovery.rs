//! What is left of the last bundle of records after the power went: everything up to the first
//! byte that was not written whole. Nothing behind it is believed, however well it looks.

use alloc::vec::Vec;

use super::record::{RECORD_BYTES_MAX, Record};
use crate::tlog::tile::WIDTH;

/// The whole records of a bundle, and where they end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// The records, in their order.
    pub records: Vec<Record>,
    /// How many bytes of the bundle they take, their lengths included. What is behind is to be cut.
    pub good_length: usize,
}

/// Reads a bundle (c2sp.org/tlog-tiles: entries behind their lengths of 16 bits) whose first record
/// has the sequence `first`, up to where it was torn.
#[must_use]
pub fn recover(bundle: &[u8], first: u64) -> Recovered {
    let mut records = Vec::new();
    let mut rest = bundle;
    let mut seq = first;
    while records.len() < WIDTH {
        let Some((record, after)) = next(rest, seq) else { break };
        records.push(record);
        rest = after;
        // A log ends long before its sequence does.
        let Some(following) = seq.checked_add(1) else { break };
        seq = following;
    }
    Recovered { records, good_length: bundle.len().saturating_sub(rest.len()) }
}

fn next(bytes: &[u8], seq: u64) -> Option<(Record, &[u8])> {
    let (length, after) = bytes.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_be_bytes(*length));
    let (entry, after) = after.split_at_checked(length).filter(|_| length <= RECORD_BYTES_MAX)?;
    let record = Record::parse(entry).ok()?;
    (record.seq == seq).then_some((record, after))
}

#[cfg(test)]
mod tests;
