//! Xtensa (ISA reference, 2010): CALL0 to CALL12, J, and L32R. Instructions have two or three
//! bytes; they are walked one by one, which comes back into step soon after data.

use super::{Place, low, signed};

pub(super) fn rewrite(place: &mut Place<'_>, bytes: &mut [u8]) {
    let mut at = 0usize;
    while let Some(word) = bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<3>()) {
        let [a, b, c] = *word;
        // Codes of two bytes (the density option).
        if a & 8 != 0 && a & 0xf < 0xe {
            at = at.wrapping_add(2);
            continue;
        }
        let old = u32::from_le_bytes([a, b, c, 0]);
        let made = match a & 0xf {
            1 => load(place, at, old),
            5 => call(place, at, old),
            6 if a & 0x30 == 0 => jump(place, at, old),
            _ => None,
        };
        if let Some(made) = made {
            let [a, b, c, _] = made.to_le_bytes();
            *word = [a, b, c];
        }
        at = at.wrapping_add(3);
    }
}

/// CALLn: the target is a word, relative to the word of the instruction and one.
fn call(place: &mut Place<'_>, at: usize, word: u32) -> Option<u32> {
    let (from, to) = place.addresses(at);
    let target = (from & !3).wrapping_add(4).wrapping_add(signed(word >> 6, 18).wrapping_shl(2));
    let moved = place.moved(target)?;
    let by = moved.wrapping_sub((to & !3).wrapping_add(4)).cast_signed().wrapping_shr(2);
    Some(word & 0x3f | (low(by.cast_unsigned()) & 0x3_ffff).wrapping_shl(6))
}

/// J: the target is a byte.
fn jump(place: &mut Place<'_>, at: usize, word: u32) -> Option<u32> {
    let (from, to) = place.addresses(at);
    let moved = place.moved(from.wrapping_add(4).wrapping_add(signed(word >> 6, 18)))?;
    let by = low(moved.wrapping_sub(to.wrapping_add(4)));
    Some(word & 0x3f | (by & 0x3_ffff).wrapping_shl(6))
}

/// L32R: a word in the 256 KiB before the instruction.
fn load(place: &mut Place<'_>, at: usize, word: u32) -> Option<u32> {
    let (from, to) = place.addresses(at);
    let before = signed(0xffff_0000 | word >> 8, 32).wrapping_shl(2);
    let moved = place.moved((from.wrapping_add(3) & !3).wrapping_add(before))?;
    let by = moved.wrapping_sub(to.wrapping_add(3) & !3).cast_signed().wrapping_shr(2);
    Some(word & 0xff | (low(by.cast_unsigned()) & 0xffff).wrapping_shl(8))
}
