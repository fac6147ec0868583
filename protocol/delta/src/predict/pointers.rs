//! Plain pointers: aligned numbers that are addresses of the same program.

use super::{Place, low};

pub(super) fn rewrite_64(place: &mut Place<'_>, bytes: &mut [u8]) {
    if place.old & 7 != place.new & 7 || place.predictor.addresses.base.is_empty() {
        return;
    }
    let skew = usize::try_from(place.old.wrapping_neg() & 7).unwrap_or(0);
    let Some(bytes) = bytes.get_mut(skew..) else { return };
    let mut at = skew;
    for word in bytes.as_chunks_mut::<8>().0 {
        let value = u64::from_le_bytes(*word);
        // Small numbers are lengths and counts far more often than addresses.
        if value >= 4096 && is_named(place, at, value) {
            if let Some(moved) = place.moved(value) {
                *word = moved.to_le_bytes();
            }
        }
        at = at.wrapping_add(8);
    }
}

pub(super) fn rewrite_32(place: &mut Place<'_>, bytes: &mut [u8]) {
    if place.old & 3 != place.new & 3 || place.predictor.addresses.base.is_empty() {
        return;
    }
    let skew = usize::try_from(place.old.wrapping_neg() & 3).unwrap_or(0);
    let Some(bytes) = bytes.get_mut(skew..) else { return };
    let mut at = skew;
    for word in bytes.as_chunks_mut::<4>().0 {
        let value = u64::from(u32::from_le_bytes(*word));
        if value >= 4096 && is_named(place, at, value) {
            if let Some(moved) = place.moved(value) {
                *word = low(moved).to_le_bytes();
            }
        }
        at = at.wrapping_add(4);
    }
}

/// Whether the value can be an address at all; most words are told apart here, at little cost.
fn is_named(place: &mut Place<'_>, at: usize, value: u64) -> bool {
    place.enter(at);
    if !place.has_addresses() {
        return false;
    }
    let Some(region) = &place.old_region else { return false };
    // A program and its variables lie within four gigabytes.
    value.wrapping_sub(region.address).wrapping_add(1 << 31) < 1 << 32
}
