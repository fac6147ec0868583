//! Where the bytes of an image stand in memory when they run. Branches and pointers name addresses,
//! instructions of a delta name offsets; this table leads from one to the other.

use crate::number::{Numbers, push_number, push_signed};
use alloc::vec::Vec;

/// No image has more regions, and no table more shifts.
pub const REGIONS_MAX: usize = 1 << 13;

/// So many regions of a program are looked at on either side of the one that names an address.
const PROGRAM_REGIONS_MAX: usize = 16;

/// A stretch of an image and its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Region {
    /// Where it begins in the (expanded) image.
    pub offset: u64,
    /// How long it is.
    pub length: u64,
    /// Its address when it runs.
    pub address: u64,
    /// Which program it belongs to; only regions of the same program refer to each other. The
    /// regions of a program stand next to each other.
    pub program: u32,
}

impl Region {
    pub(crate) fn holds_offset(&self, offset: u64) -> bool {
        offset.wrapping_sub(self.offset) < self.length
    }

    pub(crate) fn holds_address(&self, address: u64) -> bool {
        address.wrapping_sub(self.address) < self.length
    }
}

/// Addresses that no byte of the image has (variables that begin as zero, say), and by how much
/// they move from the old image to the new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shift {
    /// The program whose address space is meant.
    pub program: u32,
    /// The first address; the shift holds up to the start of the next of the same program.
    pub start: u64,
    /// By how much.
    pub by: i64,
}

/// The addresses of both images. Where there are no regions, an offset is its own address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    /// Regions of the base, in the order of their offsets.
    pub base: Vec<Region>,
    /// Regions of the result, in the order of their offsets.
    pub result: Vec<Region>,
    /// Shifts in the order of their programs and starts.
    pub shifts: Vec<Shift>,
}

impl Addresses {
    /// The region that holds an offset, and how many bytes from there on are in it, or in none.
    pub(crate) fn around(regions: &[Region], offset: u64) -> (Option<Region>, u64) {
        let after = regions.partition_point(|region| region.offset <= offset);
        let before = after.checked_sub(1).and_then(|before| regions.get(before));
        if let Some(region) = before.filter(|region| region.holds_offset(offset)) {
            let into = offset.saturating_sub(region.offset);
            return (Some(*region), region.length.saturating_sub(into));
        }
        let next = regions.get(after).map_or(u64::MAX, |next| next.offset.saturating_sub(offset));
        (None, next)
    }

    /// The region that has an address in the program of `from`.
    pub(crate) fn named(regions: &[Region], from: &Region, address: u64) -> Option<Region> {
        let at = regions.partition_point(|region| region.offset < from.offset);
        let (before, after) = regions.split_at_checked(at)?;
        let same = |region: &&Region| region.program == from.program;
        let after = after.iter().take(PROGRAM_REGIONS_MAX).take_while(same);
        let before = before.iter().rev().take(PROGRAM_REGIONS_MAX).take_while(same);
        after.chain(before).find(|region| region.holds_address(address)).copied()
    }

    /// Where an address of a program moves to that no byte has.
    pub(crate) fn shifted(&self, program: u32, address: u64) -> Option<u64> {
        let place = (program, address);
        let after = self.shifts.partition_point(|shift| (shift.program, shift.start) <= place);
        let shift = self.shifts.get(after.checked_sub(1)?)?;
        (shift.program == program).then(|| address.wrapping_add_signed(shift.by))
    }

    /// Its bytes: both lists of regions, then the shifts. A list is its length, then every entry
    /// with its numbers as differences from the entry before.
    pub(crate) fn push_bytes(&self, bytes: &mut Vec<u8>) {
        for regions in [&self.base, &self.result] {
            push_number(bytes, u64::try_from(regions.len()).unwrap_or(u64::MAX));
            let mut last = Region::default();
            for region in regions {
                push_signed(bytes, region.offset.wrapping_sub(last.offset).cast_signed());
                push_number(bytes, region.length);
                push_signed(bytes, region.address.wrapping_sub(last.address).cast_signed());
                push_number(bytes, region.program.wrapping_sub(last.program).into());
                last = *region;
            }
        }
        push_number(bytes, u64::try_from(self.shifts.len()).unwrap_or(u64::MAX));
        let mut last = Shift::default();
        for shift in &self.shifts {
            push_number(bytes, shift.program.wrapping_sub(last.program).into());
            push_signed(bytes, shift.start.wrapping_sub(last.start).cast_signed());
            push_signed(bytes, shift.by.wrapping_sub(last.by));
            last = *shift;
        }
    }

    /// Reads it back; `None` if entries are too many, out of order or overlap.
    pub(crate) fn parse(numbers: &mut Numbers<'_>) -> Option<Addresses> {
        let base = parse_regions(numbers)?;
        let result = parse_regions(numbers)?;
        let count = usize::try_from(numbers.next()?).ok().filter(|count| *count <= REGIONS_MAX)?;
        let mut shifts: Vec<Shift> = Vec::with_capacity(count.min(numbers.0.len() / 3));
        let mut last = Shift::default();
        for _ in 0..count {
            let program = u32::try_from(numbers.next()?).ok()?;
            let before = (last.program, last.start);
            last.program = last.program.checked_add(program)?;
            last.start = last.start.wrapping_add_signed(numbers.next_signed()?);
            last.by = last.by.wrapping_add(numbers.next_signed()?);
            if (last.program, last.start) < before {
                return None;
            }
            shifts.push(last);
        }
        Some(Addresses { base, result, shifts })
    }
}

fn parse_regions(numbers: &mut Numbers<'_>) -> Option<Vec<Region>> {
    let count = usize::try_from(numbers.next()?).ok().filter(|count| *count <= REGIONS_MAX)?;
    let mut regions: Vec<Region> = Vec::with_capacity(count.min(numbers.0.len() / 4));
    let mut last = Region::default();
    for _ in 0..count {
        let end = last.offset.checked_add(last.length)?;
        last.offset = last.offset.checked_add_signed(numbers.next_signed()?)?;
        last.length = numbers.next()?;
        last.address = last.address.wrapping_add_signed(numbers.next_signed()?);
        let program = numbers.next()?;
        last.program = last.program.checked_add(u32::try_from(program).ok()?)?;
        if last.offset < end {
            return None;
        }
        regions.push(last);
    }
    Some(regions)
}
