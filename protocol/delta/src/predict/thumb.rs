//! Thumb-2 (Armv7-M ARM, A5.3): BL and B.W, of two halfwords each.

use super::{Place, low, signed};

pub(super) fn rewrite(place: &mut Place<'_>, bytes: &mut [u8]) {
    let Some(mut at) = place.skew(2) else { return };
    while let Some(word) = bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<4>()) {
        let [a, b, c, d] = *word;
        let (first, second) = (u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]));
        let is_branch = first & 0xf800 == 0xf000 && second & 0x9000 == 0x9000;
        if !is_branch {
            at = at.wrapping_add(2);
            continue;
        }
        let (from, to) = place.addresses(at);
        let target = from.wrapping_add(4).wrapping_add(offset(first, second));
        if let Some(moved) = place.moved(target) {
            let by = low(moved.wrapping_sub(to).wrapping_sub(4));
            let (first, second) = encoded(first, second, by);
            let ([a, b], [c, d]) = (first.to_le_bytes(), second.to_le_bytes());
            *word = [a, b, c, d];
        }
        at = at.wrapping_add(4);
    }
}

/// S:I1:I2:imm10:imm11:0, where I1 = not(J1 xor S) and I2 = not(J2 xor S).
fn offset(first: u16, second: u16) -> u64 {
    let (first, second) = (u32::from(first), u32::from(second));
    let sign = first.wrapping_shr(10) & 1;
    let i1 = !(second.wrapping_shr(13) ^ sign) & 1;
    let i2 = !(second.wrapping_shr(11) ^ sign) & 1;
    let high = sign.wrapping_shl(24) | i1.wrapping_shl(23) | i2.wrapping_shl(22);
    signed(high | (first & 0x3ff).wrapping_shl(12) | (second & 0x7ff).wrapping_shl(1), 25)
}

fn encoded(first: u16, second: u16, by: u32) -> (u16, u16) {
    let bit = |place: u32| by.wrapping_shr(place) & 1;
    let sign = bit(24);
    let (j1, j2) = (!(bit(23) ^ sign) & 1, !(bit(22) ^ sign) & 1);
    let high = sign.wrapping_shl(10) | by.wrapping_shr(12) & 0x3ff;
    let rest = j1.wrapping_shl(13) | j2.wrapping_shl(11) | by.wrapping_shr(1) & 0x7ff;
    let [a, b, ..] = high.to_le_bytes();
    let [c, d, ..] = rest.to_le_bytes();
    (first & 0xf800 | u16::from_le_bytes([a, b]), second & 0xd000 | u16::from_le_bytes([c, d]))
}
