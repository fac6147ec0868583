//! One frame: differences and literals under each kind of code that may suit, and the shortest
//! payload. Where the instructions come from is in `plan`.

use crate::compress::{self, push_shortest};
use crate::error::{EncodeError, Side};
use crate::plan::Pair;
use crate::source::read;
use lazaret_protocol_delta::{Code, Codec, Control, Frame, Predictor};
use std::io;

/// In the first byte of a payload: the differences are sparse.
const SPARSE: u8 = 16;

/// A finished frame. Its offsets are not set; the header sets them.
pub(crate) struct EncodedFrame {
    pub(crate) frame: Frame,
    pub(crate) payload: Vec<u8>,
}

/// What all frames of a section share.
#[derive(Clone, Copy)]
pub(crate) struct FrameMaker<'a> {
    pub(crate) pair: Pair<'a>,
    pub(crate) control: &'a Control,
    pub(crate) predictor: Predictor<'a>,
    /// The kinds of code that may suit.
    pub(crate) codes: &'a [Code],
    pub(crate) level: i32,
}

/// What the instructions make of a frame.
struct Parts {
    /// The bytes of the base that are added to, in order, with where each piece stands.
    old: Vec<u8>,
    /// The bytes of the result that they are to become.
    new: Vec<u8>,
    literals: Vec<u8>,
    pieces: Vec<(u64, u64, usize)>,
}

impl FrameMaker<'_> {
    /// Makes the frame of these bytes, which stand at `offset` in the result.
    pub(crate) fn make(&self, offset: u64, bytes: &[u8]) -> Result<EncodedFrame, EncodeError> {
        let parts = self.parts(offset, bytes)?;
        let failed = |source| EncodeError::Compress { offset, source };
        let (codec, payload) = self.smallest(&parts, bytes).map_err(failed)?;
        let frame = Frame {
            payload_offset: 0,
            result_offset: offset,
            payload_length: u32::try_from(payload.len()).unwrap_or(u32::MAX),
            result_length: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            section: 0,
            codec,
            digest: Frame::digest_of(bytes),
        };
        Ok(EncodedFrame { frame, payload })
    }

    fn parts(&self, offset: u64, bytes: &[u8]) -> Result<Parts, EncodeError> {
        let mut parts =
            Parts { old: Vec::new(), new: Vec::new(), literals: Vec::new(), pieces: Vec::new() };
        let mut rest = bytes;
        for piece in self.control.pieces_between(offset, bytes.len() as u64) {
            let (added, after) = rest.split_at_checked(piece.add).unwrap_or((rest, &[]));
            let (inserted, after) = after.split_at_checked(piece.insert).unwrap_or((after, &[]));
            rest = after;
            parts.pieces.push((piece.old, piece.new, piece.add));
            parts.old.extend(read(self.pair.base, Side::Base, piece.old, piece.add as u64)?);
            parts.new.extend_from_slice(added);
            parts.literals.extend_from_slice(inserted);
        }
        Ok(parts)
    }

    fn smallest(&self, parts: &Parts, bytes: &[u8]) -> io::Result<(Codec, Vec<u8>)> {
        if parts.literals.is_empty() && parts.old == parts.new {
            return Ok((Codec::Copy, Vec::new()));
        }
        let mut best = (Code::None, differences(&parts.old, &parts.new));
        let mut best_cost = cost(&best.1);
        for code in self.codes {
            let difference = differences(&self.rewritten(*code, parts), &parts.new);
            let cost = cost(&difference);
            if cost < best_cost {
                (best, best_cost) = ((*code, difference), cost);
            }
        }
        let split = split(best.0, &best.1, &parts.literals)?;
        let mut candidates = vec![(Codec::Stored, bytes.to_vec())];
        // Compressed by itself, a frame takes about a third: no use trying where the base helps.
        if split.len() > bytes.len() / 8 {
            candidates.push((Codec::Zstd, compress::zstd(bytes, self.level)?));
        }
        candidates.push((Codec::Split, split));
        let shortest = candidates.into_iter().min_by_key(|(_, payload)| payload.len());
        shortest.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// The bytes of the base as the decoder rewrites them.
    fn rewritten(&self, code: Code, parts: &Parts) -> Vec<u8> {
        let mut bytes = parts.old.clone();
        let mut rest = bytes.as_mut_slice();
        for (old, new, length) in &parts.pieces {
            let (piece, after) = rest.split_at_mut(*length);
            self.predictor.rewrite(code, piece, *old, *new);
            rest = after;
        }
        bytes
    }
}

fn differences(old: &[u8], new: &[u8]) -> Vec<u8> {
    new.iter().zip(old).map(|(new, old)| new.wrapping_sub(*old)).collect()
}

/// About how much these differences cost: one for each that is not zero, and one for each run.
fn cost(differences: &[u8]) -> usize {
    let mut before = 0;
    let mut cost = 0;
    for byte in differences {
        cost += usize::from(*byte != 0) + usize::from(*byte != 0 && before == 0);
        before = *byte;
    }
    cost
}

/// The payload of the codec `split`, dense or sparse, whichever is shorter.
fn split(code: Code, difference: &[u8], literals: &[u8]) -> io::Result<Vec<u8>> {
    let (gaps, values) = sparse(difference);
    let mut payload = vec![code.number() | SPARSE];
    push_shortest(&mut payload, &gaps)?;
    push_shortest(&mut payload, &values)?;
    if gaps.len() + values.len() > difference.len() {
        let mut dense = vec![code.number()];
        push_shortest(&mut dense, difference)?;
        if dense.len() < payload.len() || gaps.len() + values.len() > difference.len() {
            payload = dense;
        }
    }
    push_shortest(&mut payload, literals)?;
    Ok(payload)
}

/// For every difference that is not zero, the zeros before it and the difference.
fn sparse(difference: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (mut gaps, mut values) = (Vec::new(), Vec::new());
    let mut gap = 0usize;
    for byte in difference {
        if *byte == 0 {
            gap += 1;
            continue;
        }
        while gap >= 0x80 {
            gaps.push((gap & 0x7f) as u8 | 0x80);
            gap >>= 7;
        }
        gaps.push(gap as u8);
        values.push(*byte);
        gap = 0;
    }
    (gaps, values)
}
