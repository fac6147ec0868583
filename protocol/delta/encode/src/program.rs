//! What runs in an image: which kinds of machine code may be in it, and at which addresses its
//! bytes stand. All of it is a guess that costs a little where it is wrong: what is told to the
//! decoder is numbers, and what suits a frame is found out by trying.

mod elf;
mod esp;
mod vote;

use crate::error::{EncodeError, Side};
use crate::plan::Pair;
use crate::source::read;
use lazaret_protocol_delta::{Addresses, Code, Control, Region};

/// How much of an image's start is looked at.
const HEAD_BYTES: u64 = 64 << 10;

/// What is known of both images.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Programs {
    pub(crate) addresses: Addresses,
    pub(crate) codes: Vec<Code>,
}

/// Looks at both images; `controls` are those of all sections.
pub(crate) fn recognise(pair: &Pair<'_>, controls: &[Control]) -> Result<Programs, EncodeError> {
    let base = read(pair.base, Side::Base, 0, pair.base_length.min(HEAD_BYTES))?;
    let result = read(pair.result, Side::Result, 0, pair.result_length.min(HEAD_BYTES))?;
    let mut programs = Programs { addresses: Addresses::default(), codes: Code::ALL[1..].to_vec() };
    let known = elf::regions(&base, &result).or_else(|| esp::regions(&base, &result));
    if let Some((base, result, code)) = known {
        programs.addresses.base = within(base, pair.base_length);
        programs.addresses.result = within(result, pair.result_length);
        programs.codes = code;
        return Ok(programs);
    }
    if let Some((address, code)) = vote::address(pair, controls)? {
        let region = |length| vec![Region { offset: 0, length, address, program: 0 }];
        programs.addresses.base = region(pair.base_length);
        programs.addresses.result = region(pair.result_length);
        programs.codes = vec![code];
    }
    Ok(programs)
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
