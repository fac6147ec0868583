//! Where a plain image runs that does not say so: pointers that changed from one image to the other
//! tell, because what they point to moved by as much.

use crate::error::{EncodeError, Side};
use crate::plan::Pair;
use crate::source::read;
use lazaret_protocol_delta::{Code, Control};
use std::collections::HashMap;

/// So many changed words take part in the vote.
const WORDS_MAX: usize = 4000;

/// Images are asked for pointers in pieces of this length.
const READ_BYTES: u64 = 1 << 20;

/// The address of the image's first byte, and the kind of code that goes with such pointers.
pub(super) fn address(
    pair: &Pair<'_>,
    controls: &[Control],
) -> Result<Option<(u64, Code)>, EncodeError> {
    let mut best = None;
    for (width, step, code) in [(4, 1 << 8, Code::Thumb), (8, 1 << 16, Code::Arm64)] {
        let changed = changed_words(pair, controls, width)?;
        let Some((address, votes)) = winner(&changed, controls, pair.base_length, step) else {
            continue;
        };
        let share = votes * 100 / changed.len().max(1);
        if votes >= 24 && best.is_none_or(|(most, _, _)| share > most) {
            best = Some((share, address, code));
        }
    }
    Ok(best.filter(|(share, _, _)| *share >= 10).map(|(_, address, code)| (address, code)))
}

/// Aligned words that differ between both images: the old value and by how much it moved.
fn changed_words(
    pair: &Pair<'_>,
    controls: &[Control],
    width: usize,
) -> Result<Vec<(u64, i64)>, EncodeError> {
    let mut words = Vec::new();
    let mut at = 0;
    while at < pair.result_length {
        let length = READ_BYTES.min(pair.result_length - at);
        for control in controls {
            for piece in control.pieces_between(at, length) {
                if piece.new < at || piece.new % width as u64 != piece.old % width as u64 {
                    continue;
                }
                let skew = (piece.new.wrapping_neg() % width as u64).min(piece.add as u64);
                let count = piece.add as u64 - skew;
                let old = read(pair.base, Side::Base, piece.old + skew, count)?;
                let new = read(pair.result, Side::Result, piece.new + skew, count)?;
                for (old, new) in old.chunks_exact(width).zip(new.chunks_exact(width)) {
                    if old != new {
                        let (old, new) = (value(old), value(new));
                        let by = new.wrapping_sub(old).cast_signed();
                        if old > 1 << 16 && by.unsigned_abs() < 1 << 24 {
                            words.push((old, by));
                        }
                    }
                }
            }
        }
        at += length;
    }
    let every = words.len().div_ceil(WORDS_MAX).max(1);
    Ok(words.into_iter().step_by(every).collect())
}

fn value(word: &[u8]) -> u64 {
    word.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// The address for which most words move as what they point to does, and how many do.
fn winner(
    changed: &[(u64, i64)],
    controls: &[Control],
    length: u64,
    step: u64,
) -> Option<(u64, usize)> {
    // The neighbourhoods in which pointers crowd, by their high bits.
    let shift = length.max(1 << 16).ilog2() + 1;
    let mut crowds: HashMap<u64, usize> = HashMap::new();
    for (value, _) in changed {
        *crowds.entry(value >> shift).or_default() += 1;
    }
    let crowd = crowds.into_iter().max_by_key(|(crowd, count)| (*count, *crowd))?.0 << shift;
    let first = crowd.saturating_sub(length) / step;
    let last = (crowd + (1 << shift)) / step;
    let coarse = ((last - first) / 4096).max(1);
    let votes = |address: u64| {
        let mut hints = vec![0; controls.len()];
        let moves = |(value, by): &&(u64, i64)| {
            let Some(offset) = value.checked_sub(address).filter(|offset| *offset < length) else {
                return false;
            };
            controls.iter().zip(&mut hints).any(|(control, hint)| {
                control.map(offset, hint) == Some(offset.wrapping_add_signed(*by))
            })
        };
        changed.iter().filter(moves).count()
    };
    let candidates = (first..=last).step_by(usize::try_from(coarse).unwrap_or(1));
    candidates
        .map(|at| (at * step, votes(at * step)))
        .max_by_key(|(at, votes)| (*votes, u64::MAX - at))
}
