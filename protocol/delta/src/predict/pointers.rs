//! Plain pointers: aligned numbers that are addresses of the same program.

use super::{Place, low};
use crate::address::Region;

pub(super) fn rewrite_64(place: &mut Place<'_>, bytes: &mut [u8]) {
    let Some(region) = place.old_region.filter(|_| place.new_region.is_some()) else { return };
    let Some(skew) = place.skew(8) else { return };
    let Some(bytes) = bytes.get_mut(skew..) else { return };
    let mut at = skew;
    for word in bytes.as_chunks_mut::<8>().0 {
        let value = u64::from_le_bytes(*word);
        // Small numbers are lengths and counts far more often than addresses.
        if value >= 4096 && is_near(&region, value) {
            place.addresses(at);
            if let Some(moved) = place.moved(value) {
                *word = moved.to_le_bytes();
            }
        }
        at = at.wrapping_add(8);
    }
}

pub(super) fn rewrite_32(place: &mut Place<'_>, bytes: &mut [u8]) {
    let Some(region) = place.old_region.filter(|_| place.new_region.is_some()) else { return };
    let Some(skew) = place.skew(4) else { return };
    let Some(bytes) = bytes.get_mut(skew..) else { return };
    let mut at = skew;
    for word in bytes.as_chunks_mut::<4>().0 {
        let value = u64::from(u32::from_le_bytes(*word));
        if value >= 4096 && is_near(&region, value) {
            place.addresses(at);
            if let Some(moved) = place.moved(value) {
                *word = low(moved).to_le_bytes();
            }
        }
        at = at.wrapping_add(4);
    }
}

/// Whether the value can be an address at all: a program and its variables lie within four
/// gigabytes. Most words are told apart here, at little cost.
fn is_near(region: &Region, value: u64) -> bool {
    value.wrapping_sub(region.address).wrapping_add(1 << 31) < 1 << 32
}
