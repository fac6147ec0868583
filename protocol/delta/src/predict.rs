//! Rewrites bytes of the base so that they look more like the result's: wherever an instruction or
//! a pointer names a place in the base, it is made to name the place where the control block says
//! that this place stands in the result. It rests on the base and the control block alone, so it
//! costs no byte; encoder and decoder call the same function. What it gets wrong, the differences
//! mend.

mod arm64;
mod pointers;
#[cfg(test)]
mod tests;
mod thumb;
mod x86;
mod xtensa;

use crate::address::{Addresses, Region};
use crate::code::Code;
use crate::control::Control;

/// What rewriting rests on.
#[derive(Debug, Clone, Copy)]
pub struct Predictor<'a> {
    control: &'a Control,
    addresses: &'a Addresses,
    base_length: u64,
}

impl<'a> Predictor<'a> {
    /// For one section of a delta from a base of `base_length` (expanded) bytes.
    pub fn new(control: &'a Control, addresses: &'a Addresses, base_length: u64) -> Predictor<'a> {
        Predictor { control, addresses, base_length }
    }

    /// Rewrites `bytes`, which stand at `old` in the base and are to become those at `new` in the
    /// result.
    pub fn rewrite(&self, code: Code, bytes: &mut [u8], old: u64, new: u64) {
        let mut place = Place::new(*self, old, new);
        match code {
            Code::None => {}
            Code::Arm64 => {
                arm64::rewrite(&mut place, bytes);
                pointers::rewrite_64(&mut place, bytes);
            }
            Code::X86 => {
                x86::rewrite(&mut place, bytes);
                pointers::rewrite_64(&mut place, bytes);
            }
            Code::Thumb => {
                thumb::rewrite(&mut place, bytes);
                pointers::rewrite_32(&mut place, bytes);
            }
            Code::Xtensa => {
                xtensa::rewrite(&mut place, bytes);
                pointers::rewrite_32(&mut place, bytes);
            }
        }
    }
}

/// A run of bytes, where it stands in both images, and where both run.
struct Place<'a> {
    predictor: Predictor<'a>,
    old: u64,
    new: u64,
    old_region: Option<Region>,
    new_region: Option<Region>,
    hint: usize,
}

impl<'a> Place<'a> {
    fn new(predictor: Predictor<'a>, old: u64, new: u64) -> Place<'a> {
        let mut place = Place { predictor, old, new, old_region: None, new_region: None, hint: 0 };
        place.enter(0);
        place
    }

    /// Finds the regions around the byte `at`, if it has left those known.
    fn enter(&mut self, at: usize) {
        let (old, new) = self.offsets(at);
        let addresses = self.predictor.addresses;
        if addresses.base.is_empty() {
            return;
        }
        let is_in = |region: &Option<Region>, offset: u64| {
            region.is_some_and(|region| offset.wrapping_sub(region.offset) < region.length)
        };
        if !is_in(&self.old_region, old) {
            self.old_region = Addresses::region(&addresses.base, old).copied();
        }
        if !is_in(&self.new_region, new) {
            self.new_region = Addresses::region(&addresses.result, new).copied();
        }
    }

    fn offsets(&self, at: usize) -> (u64, u64) {
        let at = u64::try_from(at).unwrap_or(u64::MAX);
        (self.old.wrapping_add(at), self.new.wrapping_add(at))
    }

    /// The old and the new address of the byte `at`.
    fn addresses(&mut self, at: usize) -> (u64, u64) {
        self.enter(at);
        let (old, new) = self.offsets(at);
        let address = |region: &Option<Region>, offset: u64| match region {
            Some(region) => region.address.wrapping_add(offset.wrapping_sub(region.offset)),
            None => offset,
        };
        (address(&self.old_region, old), address(&self.new_region, new))
    }

    /// Where the old address `target`, named from this run, moves to.
    fn moved(&mut self, target: u64) -> Option<u64> {
        let addresses = self.predictor.addresses;
        let offset = match &self.old_region {
            Some(from) => Addresses::offset_of(&addresses.base, from, target),
            None => Some(target).filter(|target| *target < self.predictor.base_length),
        };
        let Some(offset) = offset else { return addresses.shifted(target) };
        let new = self.predictor.control.map(offset, &mut self.hint)?;
        match &self.new_region {
            None => Some(new),
            Some(_) => {
                let region = Addresses::region(&addresses.result, new)?;
                Some(region.address.wrapping_add(new.wrapping_sub(region.offset)))
            }
        }
    }

    /// Whether pointers can be told from numbers here.
    fn has_addresses(&self) -> bool {
        self.old_region.is_some() && self.new_region.is_some()
    }
}

/// The low `bits` bits of `value` as a number with a sign, widened.
fn signed(value: u32, bits: u32) -> u64 {
    let unused = u32::BITS.saturating_sub(bits);
    let widened = value.wrapping_shl(unused).cast_signed().wrapping_shr(unused);
    i64::from(widened).cast_unsigned()
}

/// The low 32 bits.
fn low(value: u64) -> u32 {
    let [a, b, c, d, ..] = value.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}
