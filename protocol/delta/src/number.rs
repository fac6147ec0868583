//! Numbers of variable length: seven bits to a byte, the least first, and the sign in the lowest
//! bit where there is one. Columns of them make up the control block and the layouts.

use alloc::vec::Vec;

/// The numbers at the front of some bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Numbers<'a>(pub(crate) &'a [u8]);

impl Numbers<'_> {
    /// The next number; `None` at the end, or if it takes more than 64 bits.
    pub(crate) fn next(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..u64::BITS).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            let shifted = bits.wrapping_shl(shift);
            if shifted.wrapping_shr(shift) != bits {
                return None;
            }
            value |= shifted;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// The next number with a sign.
    pub(crate) fn next_signed(&mut self) -> Option<i64> {
        let value = self.next()?;
        Some(value.wrapping_shr(1).cast_signed() ^ (value & 1).cast_signed().wrapping_neg())
    }
}

/// Appends a number.
pub(crate) fn push_number(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        let [low, ..] = value.to_le_bytes();
        bytes.push(low | 0x80);
        value >>= 7;
    }
    let [low, ..] = value.to_le_bytes();
    bytes.push(low);
}

/// Appends a number with a sign.
pub(crate) fn push_signed(bytes: &mut Vec<u8>, value: i64) {
    push_number(bytes, (value.wrapping_shl(1) ^ value.wrapping_shr(63)).cast_unsigned());
}
