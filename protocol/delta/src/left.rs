//! What the encoder left as it was, and why, as the header tells it to people. A decoder reads past
//! it: no byte of the result depends on it.

use crate::number::{Numbers, push_number};
use alloc::vec::Vec;

/// No header tells of more.
pub const LEFT_MAX: usize = 64;

/// Compressed parts of the result that stay packed for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeftAlone {
    /// How they are packed: 1 zstd, 2 deflate, 3 lz4, 4 xz.
    pub kind: u32,
    /// Why: 1 the base has the same part, 2 packing again gave other bytes, 3 packing again takes
    /// more memory than a device has.
    pub why: u32,
    /// How many there are.
    pub parts: u32,
    /// How many bytes they have together, packed; of an xz stream its first 64 KiB count, because
    /// its end is not looked for.
    pub bytes: u64,
    /// Where the first of them begins in the result on disk.
    pub first: u64,
}

/// Appends a list: its length, then every entry's numbers.
pub(crate) fn push_bytes(left: &[LeftAlone], bytes: &mut Vec<u8>) {
    push_number(bytes, u64::try_from(left.len()).unwrap_or(u64::MAX));
    for entry in left {
        let numbers = [entry.kind.into(), entry.why.into(), entry.parts.into(), entry.bytes];
        for number in numbers {
            push_number(bytes, number);
        }
        push_number(bytes, entry.first);
    }
}

/// Reads it back; `None` if it is too long or ends early.
pub(crate) fn parse(numbers: &mut Numbers<'_>) -> Option<Vec<LeftAlone>> {
    let count = usize::try_from(numbers.next()?).ok().filter(|count| *count <= LEFT_MAX)?;
    let mut left = Vec::with_capacity(count.min(numbers.0.len() / 5));
    for _ in 0..count {
        let mut small = || u32::try_from(numbers.next()?).ok();
        let (kind, why, parts) = (small()?, small()?, small()?);
        let (bytes, first) = (numbers.next()?, numbers.next()?);
        left.push(LeftAlone { kind, why, parts, bytes, first });
    }
    Some(left)
}
