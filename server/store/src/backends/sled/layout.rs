//! How records and events lie in the one tree. Bytes in, bytes out; no engine.
//!
//! | key                                   | value                                             |
//! |---------------------------------------|---------------------------------------------------|
//! | `m`                                   | last commit, last event: two big-endian u64       |
//! | `r` + the record's key                | an entry                                          |
//! | `e` + event number, big-endian u64    | an entry                                          |
//! | `c` + commit u64, item u32, piece u32 | one piece of a large entry                        |
//!
//! An entry is `0`, commit u64, bytes; or, past [`PIECE_BYTES`], `1`, commit u64, item u32, length
//! u64, with the bytes in pieces under `c`. sled writes a page of more than 128 KiB into a file of
//! its own that it never syncs, and splits a page only by the number of its items (16), so small
//! pieces keep every page of records inside the log.

use crate::backend::{BackendError, Key, Version};

/// Largest piece, in bytes: 20 of them, with keys of 512 bytes, are one page of at most 92 KiB.
pub(super) const PIECE_BYTES: usize = 4096;

pub(super) const COUNTERS: &[u8] = b"m";

const INLINE: u8 = 0;
const PIECES: u8 = 1;

/// The last numbers given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counters {
    pub(super) commit: u64,
    pub(super) event: u64,
}

impl Counters {
    pub(super) fn encode(self) -> Vec<u8> {
        [self.commit.to_be_bytes(), self.event.to_be_bytes()].concat()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, BackendError> {
        let read = || -> Option<Self> {
            let (commit, rest) = bytes.split_first_chunk::<8>()?;
            let event = <[u8; 8]>::try_from(rest).ok()?;
            Some(Self { commit: u64::from_be_bytes(*commit), event: u64::from_be_bytes(event) })
        };
        read().ok_or_else(|| damaged(COUNTERS, "two counters of 8 bytes", bytes))
    }
}

pub(super) fn record_key(key: &[u8]) -> Vec<u8> {
    [b"r", key].concat()
}

/// The record's key in a key of the tree that [`record_key`] made.
pub(super) fn record_name(key: &[u8]) -> Key {
    Key::from(key.get(1..).unwrap_or_default())
}

pub(super) fn event_key(number: u64) -> Vec<u8> {
    [b"e".as_slice(), &number.to_be_bytes()].concat()
}

pub(super) fn event_number(key: &[u8]) -> Result<u64, BackendError> {
    let number = key.get(1..).and_then(|number| <[u8; 8]>::try_from(number).ok());
    number.map(u64::from_be_bytes).ok_or_else(|| damaged(key, "an event's number", key))
}

/// The first key of the tree behind all that begin with `prefix`. `prefix` is one of ours, so it
/// begins with a letter and there is such a key.
pub(super) fn behind(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            break;
        }
    }
    end
}

/// One item of a commit: its number makes the keys of its pieces unlike all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) version: Version,
    pub(super) number: u32,
}

impl Item {
    fn piece_key(self, piece: u32) -> Vec<u8> {
        let version = self.version.0.to_be_bytes();
        [b"c".as_slice(), &version, &self.number.to_be_bytes(), &piece.to_be_bytes()].concat()
    }

    fn piece_keys(self, length: u64) -> impl Iterator<Item = Vec<u8>> {
        let pieces = length.div_ceil(PIECE_BYTES as u64);
        (0..u32::try_from(pieces).unwrap_or(u32::MAX)).map(move |piece| self.piece_key(piece))
    }
}

/// An entry as it lies under its own key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry<'a> {
    Inline { version: Version, bytes: &'a [u8] },
    Pieces { item: Item, length: u64 },
}

impl<'a> Entry<'a> {
    pub(super) fn version(&self) -> Version {
        match self {
            Self::Inline { version, .. } => *version,
            Self::Pieces { item, .. } => item.version,
        }
    }

    /// The keys of its pieces, in order.
    pub(super) fn pieces(&self) -> Vec<Vec<u8>> {
        match self {
            Self::Inline { .. } => Vec::new(),
            Self::Pieces { item, length } => item.piece_keys(*length).collect(),
        }
    }

    pub(super) fn decode(key: &[u8], bytes: &'a [u8]) -> Result<Self, BackendError> {
        let read = || -> Option<Self> {
            let (kind, rest) = bytes.split_first()?;
            let (version, rest) = rest.split_first_chunk::<8>()?;
            let version = Version(u64::from_be_bytes(*version));
            if *kind == INLINE {
                return Some(Self::Inline { version, bytes: rest });
            }
            let (number, rest) = rest.split_first_chunk::<4>()?;
            let length = u64::from_be_bytes(<[u8; 8]>::try_from(rest).ok()?);
            let item = Item { version, number: u32::from_be_bytes(*number) };
            (*kind == PIECES).then_some(Self::Pieces { item, length })
        };
        read().ok_or_else(|| damaged(key, "an entry", bytes))
    }
}

/// Pieces with their keys.
pub(super) type Pieces = Vec<(Vec<u8>, Vec<u8>)>;

/// What to write for `bytes`: the entry, and its pieces with their keys.
pub(super) fn encode(item: Item, bytes: &[u8]) -> (Vec<u8>, Pieces) {
    let version = item.version.0.to_be_bytes();
    if bytes.len() <= PIECE_BYTES {
        return ([[INLINE].as_slice(), &version, bytes].concat(), Vec::new());
    }
    let length = bytes.len() as u64;
    let entry = [[PIECES].as_slice(), &version, &item.number.to_be_bytes(), &length.to_be_bytes()];
    let pieces = item.piece_keys(length).zip(bytes.chunks(PIECE_BYTES).map(<[u8]>::to_vec));
    (entry.concat(), pieces.collect())
}

pub(super) fn damaged(key: &[u8], expected: &'static str, found: &[u8]) -> BackendError {
    BackendError::Damaged { key: Key::from(key), expected, found: found.len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_back_as_written() {
        let item = Item { version: Version(7), number: 3 };
        for length in [0, 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES, 3 * PIECE_BYTES + 5] {
            let bytes: Vec<u8> = (0..length).map(|i| i.to_le_bytes()[0]).collect();
            let (entry, pieces) = encode(item, &bytes);
            let entry = Entry::decode(b"r", &entry).unwrap();
            assert_eq!(entry.version(), Version(7));
            let keys: Vec<_> = pieces.iter().map(|(key, _)| key.clone()).collect();
            assert_eq!(entry.pieces(), keys);
            match entry {
                Entry::Inline { bytes: read, .. } => assert_eq!(read, bytes),
                Entry::Pieces { length, .. } => {
                    let joined: Vec<u8> = pieces.into_iter().flat_map(|(_, piece)| piece).collect();
                    assert_eq!((length, joined), (bytes.len() as u64, bytes));
                }
            }
        }
    }

    #[test]
    fn an_entry_cut_short_is_damaged() {
        let (entry, _) = encode(Item { version: Version(7), number: 3 }, &[0; 5000]);
        for cut in 0..entry.len() {
            let cut = &entry[..cut];
            assert!(Entry::decode(b"r", cut).is_err(), "{} bytes were accepted", cut.len());
        }
    }

    #[test]
    fn behind_a_prefix_lies_no_key_that_begins_with_it() {
        assert_eq!(behind(b"ra"), b"rb");
        assert_eq!(behind(b"r\xff\xff"), b"s");
        assert_eq!(behind(b"r"), b"s");
    }
}
