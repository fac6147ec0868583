//! How addresses move that no byte of an image has: those of variables that begin as zero, and of
//! memory beside the image. Both images name them at the same places, so the pair tells; what is
//! told to the decoder are the few places where the shift changes.

use super::{Known, Programs};
use crate::error::{EncodeError, Side};
use crate::parallel::parallel;
use crate::plan::Pair;
use crate::source::read;
use lazaret_protocol_delta::{Addresses, Control, Predictor, Shift};

/// How much of the result is looked at in one go, by one thread.
const CHUNK_BYTES: u64 = 1 << 20;

/// A shift is worth telling if so many references follow it.
const REFERENCES_MIN: usize = 3;

/// No more shifts are told.
const SHIFTS_MAX: usize = 2048;

/// A shift by more is none.
const SHIFT_MAX: u64 = 1 << 24;

/// A reference: the program that names an address, the old address, and by how much it moves.
type Reference = (u32, u64, i64);

/// All shifts that enough references follow.
pub(super) fn learnt(
    pair: &Pair<'_>,
    known: &Known<'_>,
    programs: &Programs,
) -> Result<Vec<Shift>, EncodeError> {
    if programs.addresses.base.is_empty() {
        return Ok(Vec::new());
    }
    let addresses = &programs.addresses;
    let of_result = Addresses { base: addresses.result.clone(), ..Addresses::default() };
    let of_result = Addresses { result: addresses.result.clone(), ..of_result };
    let of_base = Addresses { base: addresses.base.clone(), ..Addresses::default() };
    let of_base = Addresses { result: addresses.base.clone(), ..of_base };
    let mut all = Vec::new();
    for control in known.controls {
        let old = Predictor::new(control, &of_base, pair.base_length);
        let new = Predictor::new(control, &of_result, pair.result_length);
        let Some(end) = end_of(control, pair) else { continue };
        let count = usize::try_from((end - control.first()).div_ceil(CHUNK_BYTES)).unwrap_or(0);
        let chunks = parallel(count, known.threads, |number| {
            let start = control.first() + number as u64 * CHUNK_BYTES;
            let length = CHUNK_BYTES.min(end - start);
            references(pair, programs, (control, &old, &new), (start, length))
        })?;
        all.extend(chunks.into_iter().flatten());
    }
    all.sort_unstable();
    let mut least = REFERENCES_MIN;
    loop {
        let shifts = steps(&all, least);
        if shifts.len() <= SHIFTS_MAX {
            return Ok(shifts);
        }
        least *= 2;
    }
}

fn end_of(control: &Control, pair: &Pair<'_>) -> Option<u64> {
    let last = control.pieces_between(control.first(), pair.result_length).last()?;
    Some(last.new + last.add as u64 + last.insert as u64)
}

/// The references to addresses outside that both images have at the same place.
fn references(
    pair: &Pair<'_>,
    programs: &Programs,
    (control, old, new): (&Control, &Predictor<'_>, &Predictor<'_>),
    (start, length): (u64, u64),
) -> Result<Vec<Reference>, EncodeError> {
    let mut found = Vec::new();
    for piece in control.pieces_between(start, length) {
        let count = piece.add as u64;
        let before = read(pair.base, Side::Base, piece.old, count)?;
        let after = read(pair.result, Side::Result, piece.new, count)?;
        if before == after {
            continue;
        }
        for code in &programs.codes {
            let mut from = old.names(*code, &before, piece.old);
            let mut to = new.names(*code, &after, piece.new);
            from.sort_by_key(|named| named.at);
            to.sort_by_key(|named| named.at);
            let mut to = to.into_iter().peekable();
            for from in from {
                while to.next_if(|to| to.at < from.at).is_some() {}
                let Some(to) = to.next_if(|to| to.at == from.at) else { continue };
                let by = to.address.wrapping_sub(from.address).cast_signed();
                if !from.is_inside && !to.is_inside && by.unsigned_abs() < SHIFT_MAX {
                    found.push((from.program, from.address, by));
                }
            }
        }
    }
    Ok(found)
}

/// The places where the shift changes, for shifts that at least `least` references follow.
fn steps(references: &[Reference], least: usize) -> Vec<Shift> {
    let mut shifts = Vec::new();
    for program in references.chunk_by(|a, b| a.0 == b.0) {
        let number = program.first().map_or(0, |reference| reference.0);
        let (mut by, mut last) = (0, 0);
        for (start, end, shift, count) in runs(program) {
            if count < least {
                continue;
            }
            last = end;
            if shift != by {
                shifts.push(Shift { program: number, start, by: shift });
                by = shift;
            }
        }
        if by != 0 {
            // Behind the last address nothing is known.
            shifts.push(Shift { program: number, start: last.saturating_add(64), by: 0 });
        }
    }
    shifts
}

/// Neighbouring addresses that move by as much: the first, the last, by how much, and how many
/// references there are. Of several shifts of one address the commonest counts.
fn runs(references: &[Reference]) -> Vec<(u64, u64, i64, usize)> {
    let mut runs: Vec<(u64, u64, i64, usize)> = Vec::new();
    for address in references.chunk_by(|a, b| a.1 == b.1) {
        let commonest = address
            .chunk_by(|a, b| a.2 == b.2)
            .max_by_key(|same| same.len())
            .and_then(|same| Some((same.first()?, same.len())));
        let Some(((_, place, by), count)) = commonest else { continue };
        match runs.last_mut() {
            Some(last) if last.2 == *by => {
                last.1 = *place;
                last.3 += count;
            }
            _ => runs.push((*place, *place, *by, count)),
        }
    }
    runs
}
