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
use alloc::vec::Vec;

/// What rewriting rests on.
#[derive(Debug, Clone, Copy)]
pub struct Predictor<'a> {
    control: &'a Control,
    addresses: &'a Addresses,
    base_length: u64,
}

/// An address that an instruction or a pointer names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    /// Where it is named: how many bytes into the run.
    pub at: u64,
    /// The program that names it.
    pub program: u32,
    /// The address.
    pub address: u64,
    /// Whether a byte of the image has it.
    pub is_inside: bool,
}

impl<'a> Predictor<'a> {
    /// For one section of a delta from a base of `base_length` (expanded) bytes.
    pub fn new(control: &'a Control, addresses: &'a Addresses, base_length: u64) -> Predictor<'a> {
        Predictor { control, addresses, base_length }
    }

    /// Rewrites `bytes`, which stand at `old` in the base and are to become those at `new` in the
    /// result.
    pub fn rewrite(&self, code: Code, bytes: &mut [u8], old: u64, new: u64) {
        if code != Code::None {
            self.each_place(bytes, (old, new), |place, part, _| place.rewrite(code, part));
        }
    }

    /// What `bytes`, which stand at `offset` in the base, name in the programs that are known
    /// there; for encoders, which learn from it how addresses move.
    pub fn names(&self, code: Code, bytes: &[u8], offset: u64) -> Vec<Named> {
        let mut all = Vec::new();
        let mut scratch = bytes.to_vec();
        self.each_place(&mut scratch, (offset, offset), |place, part, start| {
            if let Some(program) = place.old_region.map(|region| region.program) {
                place.heard = Some(Vec::new());
                place.rewrite(code, part);
                for (at, address, is_inside) in place.heard.take().unwrap_or_default() {
                    all.push(Named { at: start.saturating_add(at), program, address, is_inside });
                }
            }
        });
        all
    }

    /// Cuts a run where regions begin and end, so that all of a part has one address less offset.
    fn each_place(
        &self,
        mut bytes: &mut [u8],
        (mut old, mut new): (u64, u64),
        mut visit: impl FnMut(&mut Place<'a>, &mut [u8], u64),
    ) {
        let start = old;
        while !bytes.is_empty() {
            let (mut place, left) = Place::new(*self, old, new);
            let count = usize::try_from(left).unwrap_or(usize::MAX).clamp(1, bytes.len());
            let (part, rest) = core::mem::take(&mut bytes).split_at_mut(count);
            visit(&mut place, part, old.saturating_sub(start));
            let count = u64::try_from(count).unwrap_or(u64::MAX);
            (old, new) = (old.saturating_add(count), new.saturating_add(count));
            bytes = rest;
        }
    }
}

/// A run of bytes within one region of each image, or outside of all.
struct Place<'a> {
    predictor: Predictor<'a>,
    old_region: Option<Region>,
    new_region: Option<Region>,
    /// The addresses of the run's first byte.
    from: u64,
    to: u64,
    /// The byte of the run that was looked at last.
    at: u64,
    /// The regions that were named last, of base and result.
    named: Option<Region>,
    aimed: Option<Region>,
    hint: usize,
    /// What was named, if only that is wanted: where, which address, and whether a byte has it.
    heard: Option<Vec<(u64, u64, bool)>>,
}

impl<'a> Place<'a> {
    /// The place at these offsets, and how many bytes it has at most.
    fn new(predictor: Predictor<'a>, old: u64, new: u64) -> (Place<'a>, u64) {
        let addresses = predictor.addresses;
        let (old_region, old_left) = Addresses::around(&addresses.base, old);
        let (new_region, new_left) = Addresses::around(&addresses.result, new);
        let address = |region: &Option<Region>, offset: u64| match region {
            Some(region) => region.address.wrapping_add(offset.wrapping_sub(region.offset)),
            None => offset,
        };
        let place = Place {
            from: address(&old_region, old),
            to: address(&new_region, new),
            predictor,
            old_region,
            new_region,
            at: 0,
            named: old_region,
            aimed: new_region,
            hint: 0,
            heard: None,
        };
        (place, old_left.min(new_left))
    }

    fn rewrite(&mut self, code: Code, bytes: &mut [u8]) {
        match code {
            Code::None => {}
            Code::Arm64 => {
                arm64::rewrite(self, bytes);
                pointers::rewrite_64(self, bytes);
            }
            Code::X86 => {
                x86::rewrite(self, bytes);
                pointers::rewrite_64(self, bytes);
            }
            Code::Thumb => {
                thumb::rewrite(self, bytes);
                pointers::rewrite_32(self, bytes);
            }
            Code::Xtensa => {
                xtensa::rewrite(self, bytes);
                pointers::rewrite_32(self, bytes);
            }
            Code::X86Absolute => {
                x86::rewrite(self, bytes);
                x86::rewrite_absolute(self, bytes);
            }
        }
    }

    /// The old and the new address of the byte `at`.
    #[inline]
    fn addresses(&mut self, at: usize) -> (u64, u64) {
        self.at = u64::try_from(at).unwrap_or(u64::MAX);
        (self.from.wrapping_add(self.at), self.to.wrapping_add(self.at))
    }

    /// How many bytes lie before the first whose address is a multiple of `step` in both images, if
    /// there is such a byte.
    fn skew(&self, step: u64) -> Option<usize> {
        let mask = step.wrapping_sub(1);
        let is_alike = self.from & mask == self.to & mask;
        is_alike.then(|| usize::try_from(self.from.wrapping_neg() & mask).unwrap_or(0))
    }

    /// Where the old address `target`, named from this run, moves to.
    #[inline]
    fn moved(&mut self, target: u64) -> Option<u64> {
        let addresses = self.predictor.addresses;
        let offset = match (&self.old_region, &self.new_region) {
            (None, None) => Some(target).filter(|target| *target < self.predictor.base_length)?,
            (Some(from), Some(_)) => {
                if !self.named.is_some_and(|region| region.holds_address(target)) {
                    self.named = Addresses::named(&addresses.base, from, target);
                }
                if let Some(heard) = &mut self.heard {
                    heard.push((self.at, target, self.named.is_some()));
                    return None;
                }
                let Some(named) = &self.named else {
                    return addresses.shifted(from.program, target);
                };
                named.offset.wrapping_add(target.wrapping_sub(named.address))
            }
            _ => return None,
        };
        let new = self.predictor.control.map(offset, &mut self.hint)?;
        if self.new_region.is_none() {
            return Some(new);
        }
        if !self.aimed.is_some_and(|region| region.holds_offset(new)) {
            self.aimed = Addresses::around(&addresses.result, new).0;
        }
        let aimed = self.aimed?;
        Some(aimed.address.wrapping_add(new.wrapping_sub(aimed.offset)))
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
