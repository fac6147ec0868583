//! The codecs that follow the section's instructions: `split`, which adds differences and inserts
//! literals, and `copy`, which does neither.

use super::Fault;
use crate::base::BaseReader;
use crate::code::Code;
use crate::control::{Control, Piece};
use crate::error::ControlFault;
use crate::header::{Frame, Header};
use crate::model::{BitReader, Model};
use crate::number::Numbers;
use crate::predict::Predictor;
use crate::stream::Stream;
use alloc::vec::Vec;

/// In the first byte of the payload: the differences are sparse.
const SPARSE: u8 = 16;

/// They are coded with a model.
const MODELLED: u8 = 32;

/// Makes a frame that the base has as it is.
pub(super) fn copy<B: BaseReader>(
    frame: &Frame,
    control: &Control,
    base: &mut B,
    out: &mut [u8],
) -> Result<(), Fault<B::Error>> {
    let mut rest = out;
    for (piece, end) in pieces(frame, control)? {
        if end.saturating_sub(piece.new) != piece.add {
            return Err(ControlFault::Lengths.into());
        }
        base.read_at(piece.old, take(&mut rest, piece.add)?).map_err(Fault::Base)?;
    }
    if rest.is_empty() { Ok(()) } else { Err(ControlFault::Lengths.into()) }
}

/// Makes a frame from the base, differences and literals.
pub(super) fn fill<B: BaseReader>(
    frame: &Frame,
    payload: &[u8],
    (header, control): (&Header, &Control),
    (base, out): (&mut B, &mut [u8]),
    scratch: &mut Vec<u8>,
) -> Result<(), Fault<B::Error>> {
    let (kind, mut payload) = payload.split_first().ok_or(ControlFault::Encoding)?;
    let form = kind & (SPARSE | MODELLED);
    let code = Code::from_number(kind & !form).filter(|_| form != SPARSE | MODELLED);
    let code = code.ok_or(ControlFault::Kind(*kind))?;
    let first = Stream::cut(&mut payload)?;
    let second = if form == SPARSE { Some(Stream::cut(&mut payload)?) } else { None };
    let literals = Stream::cut(&mut payload)?;
    if !payload.is_empty() {
        return Err(ControlFault::Encoding.into());
    }
    let differences = first.length().saturating_add(second.map_or(0, |stream| stream.length()));
    if differences > out.len() || literals.length() > out.len() {
        return Err(ControlFault::Lengths.into());
    }

    let length = header.base_expanded_length();
    let predictor = Predictor::new(control, &header.tables().addresses, length);
    let mut rest = &mut *out;
    for (piece, end) in pieces(frame, control)? {
        let bytes = take(&mut rest, piece.add)?;
        base.read_at(piece.old, bytes).map_err(Fault::Base)?;
        let new = control.first().saturating_add(piece.new.into());
        predictor.rewrite(code, bytes, piece.old, new);
        take(&mut rest, end.saturating_sub(piece.new).saturating_sub(piece.add))?;
    }
    if !rest.is_empty() {
        return Err(ControlFault::Lengths.into());
    }

    scratch.clear();
    scratch.reserve_exact(differences.max(literals.length()));
    first.read_to(scratch)?;
    match second {
        None if form == MODELLED => {
            change_modelled(pieces(frame, control)?, control, scratch, out)?
        }
        None => add_dense(pieces(frame, control)?, scratch, out)?,
        Some(values) => {
            values.read_to(scratch)?;
            let (gaps, values) = scratch.split_at_checked(first.length()).unwrap_or_default();
            add_sparse(pieces(frame, control)?, Numbers(gaps), values, out)?;
        }
    }
    scratch.clear();
    literals.read_to(scratch)?;
    insert(pieces(frame, control)?, scratch, out)?;
    Ok(())
}

fn pieces(
    frame: &Frame,
    control: &Control,
) -> Result<impl Iterator<Item = (Piece, u32)>, ControlFault> {
    let start = frame.result_offset.saturating_sub(control.first());
    let start = u32::try_from(start).map_err(|_| ControlFault::Lengths)?;
    let end = start.checked_add(frame.result_length).ok_or(ControlFault::Lengths)?;
    Ok(control.pieces(start, end))
}

fn add_dense(
    pieces: impl Iterator<Item = (Piece, u32)>,
    mut differences: &[u8],
    mut out: &mut [u8],
) -> Result<(), ControlFault> {
    for (piece, end) in pieces {
        let bytes = take(&mut out, piece.add)?;
        let (first, after) =
            differences.split_at_checked(bytes.len()).ok_or(ControlFault::Lengths)?;
        differences = after;
        for (to, by) in bytes.iter_mut().zip(first) {
            *to = to.wrapping_add(*by);
        }
        take(&mut out, end.saturating_sub(piece.new).saturating_sub(piece.add))?;
    }
    if differences.is_empty() { Ok(()) } else { Err(ControlFault::Lengths) }
}

fn change_modelled(
    pieces: impl Iterator<Item = (Piece, u32)>,
    control: &Control,
    coded: &[u8],
    mut out: &mut [u8],
) -> Result<(), ControlFault> {
    let (mut model, mut bits) = (Model::new(), BitReader::new(coded));
    for (piece, end) in pieces {
        let bytes = take(&mut out, piece.add)?;
        let new = control.first().saturating_add(piece.new.into());
        model.piece(&mut bits, bytes, None, new).ok_or(ControlFault::Compression)?;
        take(&mut out, end.saturating_sub(piece.new).saturating_sub(piece.add))?;
    }
    if bits.is_at_end() { Ok(()) } else { Err(ControlFault::Lengths) }
}

fn add_sparse(
    pieces: impl Iterator<Item = (Piece, u32)>,
    mut gaps: Numbers<'_>,
    values: &[u8],
    mut out: &mut [u8],
) -> Result<(), ControlFault> {
    let mut values = values.iter();
    // How many bytes to pass over before the next difference.
    let mut gap = next_gap(&mut gaps)?;
    for (piece, end) in pieces {
        let bytes = take(&mut out, piece.add)?;
        let mut at = 0usize;
        while let Some(to) = gap.and_then(|gap| bytes.get_mut(at.saturating_add(gap))) {
            let by = values.next().ok_or(ControlFault::Lengths)?;
            *to = to.wrapping_add(*by);
            at = at.saturating_add(gap.unwrap_or(0)).saturating_add(1);
            gap = next_gap(&mut gaps)?;
        }
        gap = gap.map(|gap| gap.saturating_sub(bytes.len().saturating_sub(at)));
        take(&mut out, end.saturating_sub(piece.new).saturating_sub(piece.add))?;
    }
    if gap.is_none() && values.next().is_none() { Ok(()) } else { Err(ControlFault::Lengths) }
}

fn next_gap(gaps: &mut Numbers<'_>) -> Result<Option<usize>, ControlFault> {
    if gaps.0.is_empty() {
        return Ok(None);
    }
    let gap = gaps.next().and_then(|gap| usize::try_from(gap).ok());
    gap.map(Some).ok_or(ControlFault::Encoding)
}

fn insert(
    pieces: impl Iterator<Item = (Piece, u32)>,
    mut literals: &[u8],
    mut out: &mut [u8],
) -> Result<(), ControlFault> {
    for (piece, end) in pieces {
        take(&mut out, piece.add)?;
        let to = take(&mut out, end.saturating_sub(piece.new).saturating_sub(piece.add))?;
        let (first, after) = literals.split_at_checked(to.len()).ok_or(ControlFault::Lengths)?;
        literals = after;
        to.copy_from_slice(first);
    }
    if literals.is_empty() { Ok(()) } else { Err(ControlFault::Lengths) }
}

/// Cuts the next `length` bytes off what is left of the result.
fn take<'a>(left: &mut &'a mut [u8], length: u32) -> Result<&'a mut [u8], ControlFault> {
    let length = usize::try_from(length).map_err(|_| ControlFault::Lengths)?;
    if length > left.len() {
        return Err(ControlFault::Lengths);
    }
    let (first, rest) = core::mem::take(left).split_at_mut(length);
    *left = rest;
    Ok(first)
}
