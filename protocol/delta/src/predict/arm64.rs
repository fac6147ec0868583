//! AArch64 (Arm ARM, C4.1): B, BL, conditional branches, and ADRP with what completes its address.
//! Every other word is left alone.

use super::{Place, low, signed};

/// How many words after an ADRP may complete its address.
const REACH: usize = 8;

const WORD: usize = 4;

pub(super) fn rewrite(place: &mut Place<'_>, bytes: &mut [u8]) {
    let Some(skew) = place.skew(4) else { return };
    let Some(bytes) = bytes.get_mut(skew..) else { return };
    let (words, _) = bytes.as_chunks_mut::<WORD>();
    let mut rest = words;
    let mut at = skew;
    while let Some((word, after)) = rest.split_first_mut() {
        let old = u32::from_le_bytes(*word);
        // The groups with PC-relative addresses and branches have these bits in common.
        if old & 0x1c00_0000 == 0x1400_0000 || old & 0x1f00_0000 == 0x1000_0000 {
            let made = if old & 0x9f00_0000 == 0x9000_0000 {
                page(place, at, old, after)
            } else {
                branch(place, at, old)
            };
            if let Some(made) = made {
                *word = made.to_le_bytes();
            }
        }
        rest = after;
        at = at.wrapping_add(WORD);
    }
}

/// A branch to an address that its word names relative to its own.
fn branch(place: &mut Place<'_>, at: usize, word: u32) -> Option<u32> {
    let (shift, bits) = match word {
        _ if word & 0x7c00_0000 == 0x1400_0000 => (0, 26),
        _ if word & 0xff00_0010 == 0x5400_0000 || word & 0x7e00_0000 == 0x3400_0000 => (5, 19),
        _ if word & 0x7e00_0000 == 0x3600_0000 => (5, 14),
        _ => return None,
    };
    let (from, to) = place.addresses(at);
    let target = from.wrapping_add(signed(word.wrapping_shr(shift), bits).wrapping_mul(4));
    let moved = place.moved(target)?;
    let offset = low(moved.wrapping_sub(to).cast_signed().wrapping_shr(2).cast_unsigned());
    let mask = u32::MAX.wrapping_shr(u32::BITS.wrapping_sub(bits));
    Some(word & !mask.wrapping_shl(shift) | (offset & mask).wrapping_shl(shift))
}

/// An ADRP, which makes the address of a page, and the words after it that add the rest.
fn page(place: &mut Place<'_>, at: usize, word: u32, after: &mut [[u8; WORD]]) -> Option<u32> {
    let (from, to) = place.addresses(at);
    let pages = signed(word.wrapping_shr(3) & 0x1f_fffc | word.wrapping_shr(29) & 3, 21);
    let page = (from & !0xfff).wrapping_add(pages.wrapping_shl(12));
    let register = word & 31;
    let (mut moved_page, mut is_completed) = (None, false);
    for user in after.iter_mut().take(REACH) {
        let old = u32::from_le_bytes(*user);
        let reads = old.wrapping_shr(5) & 31 == register;
        if let Some(scale) = completion(old).filter(|_| reads) {
            is_completed = true;
            let field = old.wrapping_shr(10) & 0xfff;
            let target = page.wrapping_add(u64::from(field).wrapping_shl(scale));
            if let Some(moved) = place.moved(target) {
                let is_first = moved_page.is_none();
                if is_first {
                    moved_page = Some(moved & !0xfff);
                }
                let rest = low(moved & 0xfff);
                if moved_page == Some(moved & !0xfff)
                    && rest.wrapping_shr(scale).wrapping_shl(scale) == rest
                {
                    let field = rest.wrapping_shr(scale);
                    *user = (old & !(0xfff << 10) | field.wrapping_shl(10)).to_le_bytes();
                }
            }
        }
        // Another ADRP to the register, or a move of the address on to itself, ends its use.
        if old & 31 == register && old & 0x9f00_0000 == 0x9000_0000 {
            break;
        }
        if old & 31 == register && reads && old & 0xff80_0000 == 0x9100_0000 {
            break;
        }
    }
    let moved_page = match moved_page {
        Some(page) => page,
        None if is_completed => return None,
        None => place.moved(page)? & !0xfff,
    };
    let pages = moved_page.wrapping_sub(to & !0xfff).cast_signed().wrapping_shr(12);
    let pages = low(pages.cast_unsigned());
    let fields = (pages & 3).wrapping_shl(29) | (pages.wrapping_shr(2) & 0x7_ffff).wrapping_shl(5);
    Some(word & !0x60ff_ffe0 | fields)
}

/// For an ADD of 12 bits, or a load or store with an offset of 12 bits: by how much it is shifted.
fn completion(word: u32) -> Option<u32> {
    if word & 0xffc0_0000 == 0x9100_0000 {
        return Some(0);
    }
    if word & 0x3b00_0000 != 0x3900_0000 {
        return None;
    }
    let size = word.wrapping_shr(30);
    let is_wide_vector = word & 0x0480_0000 == 0x0480_0000 && size == 0;
    Some(if is_wide_vector { 4 } else { size })
}
