//! What runs in an image: which kinds of machine code may be in it, and at which addresses its
//! bytes stand. All of it is a guess that costs a little where it is wrong: what is told to the
//! decoder is numbers, and what suits a frame is found out by trying.

mod elf;
mod esp;
mod shifts;
#[cfg(test)]
mod tests;
mod vote;

use crate::error::{EncodeError, Side};
use crate::plan::Pair;
use crate::prematch::Same;
use crate::source::read;
use elf::Program;
use lazaret_protocol_delta::layout::Layout;
use lazaret_protocol_delta::{Addresses, Code, Control, REGIONS_MAX, Region};

/// How much of an image's start is looked at.
const HEAD_BYTES: u64 = 64 << 10;

/// What is known of both images.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Programs {
    pub(crate) addresses: Addresses,
    pub(crate) codes: Vec<Code>,
}

/// What was found out about the pair before.
pub(crate) struct Known<'a> {
    pub(crate) base_layout: &'a Layout,
    pub(crate) result_layout: &'a Layout,
    /// What both images have in common, in the order of the result.
    pub(crate) same: &'a [Same],
    /// The instructions of all sections.
    pub(crate) controls: &'a [Control],
    pub(crate) threads: usize,
}

/// Looks at both images.
pub(crate) fn recognise(pair: &Pair<'_>, known: &Known<'_>) -> Result<Programs, EncodeError> {
    let mut programs = regions(pair, known)?;
    programs.addresses.shifts = shifts::learnt(pair, known, &programs)?;
    Ok(programs)
}

/// The addresses of both images, from what they say themselves or from how pointers moved.
fn regions(pair: &Pair<'_>, known: &Known<'_>) -> Result<Programs, EncodeError> {
    let base = read(pair.base, Side::Base, 0, pair.base_length.min(HEAD_BYTES))?;
    let result = read(pair.result, Side::Result, 0, pair.result_length.min(HEAD_BYTES))?;
    let mut programs = Programs { addresses: Addresses::default(), codes: Code::ALL[1..].to_vec() };
    if let Some((base, result, code)) = esp::regions(&base, &result) {
        programs.addresses.base = within(base, pair.base_length);
        programs.addresses.result = within(result, pair.result_length);
        programs.codes = code;
        return Ok(programs);
    }
    let old = elf::programs(pair.base, Side::Base, pair.base_length, known.base_layout)?;
    let new = elf::programs(pair.result, Side::Result, pair.result_length, known.result_layout)?;
    let new: Vec<Program> =
        new.into_iter().filter(|program| is_changed(program, known.same)).collect();
    let old = sources(old, &new, known.controls);
    if !old.is_empty() && !new.is_empty() {
        programs.codes = codes(&new);
        programs.addresses.base = numbered(&old, pair.base_length);
        programs.addresses.result = numbered(&new, pair.result_length);
        return Ok(programs);
    }
    if let Some((address, code)) = vote::address(pair, known.controls)? {
        let region = |length| vec![Region { offset: 0, length, address, program: 0 }];
        programs.addresses.base = region(pair.base_length);
        programs.addresses.result = region(pair.result_length);
        programs.codes = vec![code];
    }
    Ok(programs)
}

/// Whether any byte of a program is not one that long matches make.
fn is_changed(program: &Program, same: &[Same]) -> bool {
    let first = same.partition_point(|same| same.new + same.length <= program.start);
    let covered: u64 = same
        .iter()
        .skip(first)
        .take_while(|same| same.new < program.end)
        .map(|same| (same.new + same.length).min(program.end) - same.new.max(program.start))
        .sum();
    covered < program.end - program.start
}

/// The programs of the base that these of the result are made from.
fn sources(old: Vec<Program>, new: &[Program], controls: &[Control]) -> Vec<Program> {
    let mut is_used = vec![false; old.len()];
    for program in new {
        let length = program.end - program.start;
        let pieces =
            controls.iter().flat_map(|control| control.pieces_between(program.start, length));
        for piece in pieces.filter(|piece| piece.add > 0) {
            let after = old.partition_point(|program| program.start <= piece.old);
            if let Some(used) = after.checked_sub(1).and_then(|before| is_used.get_mut(before)) {
                *used = true;
            }
        }
    }
    old.into_iter().zip(is_used).filter_map(|(program, used)| used.then_some(program)).collect()
}

/// The kinds of code in these programs, in the order of their numbers.
fn codes(programs: &[Program]) -> Vec<Code> {
    let mut codes: Vec<Code> =
        programs.iter().flat_map(|program| program.codes().iter().copied()).collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}

/// All regions of these programs, numbered in their order.
fn numbered(programs: &[Program], length: u64) -> Vec<Region> {
    let mut all = Vec::new();
    for (number, program) in (0u32..).zip(programs) {
        let regions = within(program.regions.clone(), length);
        if all.len() + regions.len() > REGIONS_MAX {
            break;
        }
        all.extend(regions.into_iter().map(|region| Region { program: number, ..region }));
    }
    all
}

/// Regions cut to the image, in order and without overlaps.
fn within(mut regions: Vec<Region>, length: u64) -> Vec<Region> {
    regions.sort_by_key(|region| region.offset);
    let mut end = 0u64;
    regions.retain_mut(|region| {
        let overlap = end.saturating_sub(region.offset);
        if overlap >= region.length || region.offset >= length {
            return false;
        }
        region.offset += overlap;
        region.address = region.address.wrapping_add(overlap);
        region.length = (region.length - overlap).min(length - region.offset);
        end = region.offset + region.length;
        region.length > 0
    });
    regions
}
