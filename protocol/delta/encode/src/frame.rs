//! One frame: differences and literals under each kind of code that may suit, and the shortest
//! payload. Where the instructions come from is in `plan`.

use crate::compress::{self, push_shortest};
use crate::error::{EncodeError, Side};
use crate::plan::Pair;
use crate::source::read;
use lazaret_protocol_delta::model::{BitWriter, Model};
use lazaret_protocol_delta::{Code, Codec, Control, Frame, Predictor, StreamMethod, push_stream};
use std::io;

/// In the first byte of a payload: the differences are sparse.
const SPARSE: u8 = 16;

/// They are coded with a model.
const MODELLED: u8 = 32;

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
    /// The level of zstd, if it may be used.
    pub(crate) level: Option<i32>,
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
        let mut best = (Code::None, parts.old.clone());
        let mut best_cost = cost(&best.1, &parts.new);
        for code in self.codes {
            let rewritten = self.rewritten(*code, parts);
            let cost = cost(&rewritten, &parts.new);
            if cost < best_cost {
                (best, best_cost) = ((*code, rewritten), cost);
            }
        }
        let split = split(best.0, best.1, parts)?;
        let mut candidates = vec![(Codec::Stored, bytes.to_vec())];
        // Compressed by itself, a frame takes about a third: no use trying where the base helps.
        if let Some(level) = self.level.filter(|_| split.len() > bytes.len() / 8) {
            candidates.push((Codec::Zstd, compress::zstd(bytes, level)?));
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

/// About how much the differences cost: one for each that is not zero, and one for each run.
fn cost(old: &[u8], new: &[u8]) -> usize {
    let mut was_same = true;
    let mut cost = 0;
    for (old, new) in old.iter().zip(new) {
        let is_same = old == new;
        cost += usize::from(!is_same) + usize::from(!is_same && was_same);
        was_same = is_same;
    }
    cost
}

/// The payload of the codec `split`, modelled or sparse.
fn split(code: Code, mut old: Vec<u8>, parts: &Parts) -> io::Result<Vec<u8>> {
    let (gaps, values) = sparse(&differences(&old, &parts.new));
    let mut payload = vec![code.number() | MODELLED];
    let modelled = modelled(&mut old, parts).ok_or(io::ErrorKind::InvalidData)?;
    push_stream(&mut payload, StreamMethod::Stored, modelled.len(), &modelled);
    // The sparse form is read in half the time, so it is kept where it is nearly as short.
    if gaps.len() + values.len() <= parts.new.len() {
        let mut sparse = vec![code.number() | SPARSE];
        push_shortest(&mut sparse, &gaps)?;
        push_shortest(&mut sparse, &values)?;
        if sparse.len() <= payload.len() + payload.len() / 32 {
            payload = sparse;
        }
    }
    push_shortest(&mut payload, &parts.literals)?;
    Ok(payload)
}

/// The differences as the model codes them.
fn modelled(old: &mut [u8], parts: &Parts) -> Option<Vec<u8>> {
    let (mut model, mut bits) = (Model::new(), BitWriter::default());
    let (mut old, mut wanted) = (old, parts.new.as_slice());
    for (_, new, length) in &parts.pieces {
        let (bytes, after) = old.split_at_mut(*length);
        let (aim, rest) = wanted.split_at(*length);
        model.piece(&mut bits, bytes, Some(aim), *new)?;
        (old, wanted) = (after, rest);
    }
    Some(bits.finish())
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
            let [low, ..] = gap.to_le_bytes();
            gaps.push(low | 0x80);
            gap >>= 7;
        }
        let [low, ..] = gap.to_le_bytes();
        gaps.push(low);
        values.push(*byte);
        gap = 0;
    }
    (gaps, values)
}
