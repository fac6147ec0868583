//! What a pruned log keeps of its beginning: from where its entries are at hand, the edge of the
//! tree before them, and the record of the epoch that was in force there. As bytes: CBOR
//! `[1, from, epoch's record, [[hashes of level 1], ...], crc]`, the CRC as that of a record.

use alloc::vec::Vec;
use core::convert::Infallible;

use crc::{CRC_32_ISCSI, Crc};
use lazaret_protocol::digest::Sha256Digest;
use minicbor::{Decoder, Encoder, encode};

use super::record::RECORD_BYTES_MAX;
use crate::tlog::tile::{TileError, WIDTH, read_hashes, write_hashes};
use crate::tlog::tree::{Edge, LEVELS_MAX};

/// Longest form of a base, in bytes: eight rows of 255 hashes, a record, and their frame.
pub const BASE_BYTES_MAX: usize = 8 * 255 * 32 + RECORD_BYTES_MAX + 256;

const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// The beginning of a pruned log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// The tree over all that was pruned.
    pub before: Edge,
    /// The bytes of the record that began the epoch in force there.
    pub epoch: Vec<u8>,
}

/// Bytes that are no base.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected the beginning of a pruned log: {what}")]
pub struct BaseError {
    /// What is wrong with them.
    pub what: &'static str,
}

impl Base {
    /// Its bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // A `Vec` takes everything: the error is uninhabited.
        let _ = self.write(&mut bytes);
        let crc = CRC.checksum(&bytes);
        let _ = Encoder::new(&mut bytes).u32(crc);
        bytes
    }

    fn write(&self, bytes: &mut Vec<u8>) -> Result<(), encode::Error<Infallible>> {
        let mut cbor = Encoder::new(bytes);
        cbor.array(5)?.u64(1)?.u64(self.before.size())?.bytes(&self.epoch)?;
        let rows: Vec<&[Sha256Digest]> =
            (1..LEVELS_MAX).map(|level| self.before.partial(level)).collect();
        cbor.array(u64::try_from(rows.len()).unwrap_or(0))?;
        for row in rows {
            cbor.bytes(&write_hashes(row))?;
        }
        Ok(())
    }

    /// Reads one.
    ///
    /// # Errors
    /// It is none, or not in its one form.
    pub fn parse(bytes: &[u8]) -> Result<Self, BaseError> {
        let refused = |what| BaseError { what };
        if bytes.len() > BASE_BYTES_MAX {
            return Err(refused("it is too long"));
        }
        let base = Self::read(bytes).ok_or(refused("it is not the CBOR that one is"))?;
        // One form: checksum, order and lengths are compared in one go.
        if base.to_bytes() != bytes {
            return Err(refused("its checksum or its form is not right"));
        }
        Ok(base)
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut cbor = Decoder::new(bytes);
        if cbor.array().ok()? != Some(5) || cbor.u64().ok()? != 1 {
            return None;
        }
        let from = cbor.u64().ok()?;
        let epoch = cbor.bytes().ok().filter(|bytes| bytes.len() <= RECORD_BYTES_MAX)?.to_vec();
        let count = cbor.array().ok().flatten().and_then(|count| usize::try_from(count).ok())?;
        if count.checked_add(1)? != LEVELS_MAX {
            return None;
        }
        let mut rows = Vec::new();
        for _ in 0..count {
            let row = cbor.bytes().ok()?;
            let hashes = if row.is_empty() { Vec::new() } else { read_hashes(row).ok()? };
            rows.push(hashes);
        }
        let before = Edge::read(from, |tile| {
            let row = tile.level().and_then(|level| usize::from(level).checked_sub(1));
            let row = row.and_then(|row| rows.get(row)).filter(|row| row.len() < WIDTH);
            row.cloned().ok_or(TileError::Missing { tile })
        });
        Some(Self { before: before.ok()?, epoch })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tlog::tree::leaf_hash;

    fn base(count: u64) -> Base {
        let mut before = Edge::new();
        (0..count).for_each(|n| drop(before.push(leaf_hash(&n.to_be_bytes())).unwrap()));
        Base { before, epoch: b"an epoch's record".to_vec() }
    }

    #[test]
    fn a_base_is_read_back_and_any_changed_byte_is_noticed() {
        for count in [256, 1024, 65_536, 66_048] {
            let base = base(count);
            let bytes = base.to_bytes();
            assert_eq!(Base::parse(&bytes), Ok(base));
            for place in 0..bytes.len() {
                let mut changed = bytes.clone();
                changed[place] ^= 1;
                assert!(Base::parse(&changed).is_err(), "byte {place}");
            }
            assert!(Base::parse(&bytes[..bytes.len() - 1]).is_err());
        }
    }
}
