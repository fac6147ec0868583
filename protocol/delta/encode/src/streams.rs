//! Instructions to payloads: the streams of the codecs `split` and `bsdiff`. Their format is
//! described in `lazaret-protocol-delta`.

use crate::compress;
use lazaret_protocol_delta::{Instruction, control_bytes};
use std::io;

/// The payload of the codec `split`.
pub(crate) fn split(
    window: &[u8],
    piece: &[u8],
    instructions: &[Instruction],
    level: i32,
) -> io::Result<Vec<u8>> {
    let mut difference = Vec::new();
    let mut literals = Vec::new();
    walk(window, piece, instructions, |_, added, inserted| {
        difference.extend_from_slice(added);
        literals.extend_from_slice(inserted);
    })?;
    let mut payload = Vec::new();
    for stream in [control_bytes(instructions), difference, literals] {
        push_stream(&mut payload, &stream, level)?;
    }
    Ok(payload)
}

/// The uncompressed stream of the codec `bsdiff`.
pub(crate) fn bsdiff(
    window: &[u8],
    piece: &[u8],
    instructions: &[Instruction],
) -> io::Result<Vec<u8>> {
    // A shift comes before its instruction, a seek after the one before: an empty instruction
    // carries the first shift.
    let mut heads = vec![(0, 0, 0)];
    for instruction in instructions {
        if let Some((_, insert, seek)) = heads.last_mut() {
            *seek = instruction.shift + i64::from(*insert);
        }
        heads.push((instruction.add, instruction.insert, 0));
    }
    let starts_in_place = instructions.first().is_none_or(|first| first.shift == 0);
    let mut heads = heads.into_iter();
    let mut stream = Vec::new();
    if let Some(first) = heads.next().filter(|_| !starts_in_place) {
        push_head(&mut stream, first);
    }
    walk(window, piece, instructions, |_, added, inserted| {
        push_head(&mut stream, heads.next().unwrap_or_default());
        stream.extend_from_slice(added);
        stream.extend_from_slice(inserted);
    })?;
    Ok(stream)
}

fn push_head(stream: &mut Vec<u8>, (add, insert, seek): (u32, u32, i64)) {
    stream.extend_from_slice(&u64::from(add).to_le_bytes());
    stream.extend_from_slice(&u64::from(insert).to_le_bytes());
    let sign = if seek < 0 { 1 << 63 } else { 0 };
    stream.extend_from_slice(&(seek.unsigned_abs() | sign).to_le_bytes());
}

/// Calls `each` with every instruction, its difference bytes and its literals.
fn walk(
    window: &[u8],
    piece: &[u8],
    instructions: &[Instruction],
    mut each: impl FnMut(&Instruction, &[u8], &[u8]),
) -> io::Result<()> {
    let outside = || io::Error::from(io::ErrorKind::InvalidData);
    let (mut position, mut rest) = (0i64, piece);
    let mut difference = Vec::new();
    for instruction in instructions {
        let add = usize::try_from(instruction.add).map_err(|_| outside())?;
        let insert = usize::try_from(instruction.insert).map_err(|_| outside())?;
        position += instruction.shift;
        let (added, after) = rest.split_at_checked(add).ok_or_else(outside)?;
        let (inserted, after) = after.split_at_checked(insert).ok_or_else(outside)?;
        rest = after;
        difference.clear();
        if add > 0 {
            let start = usize::try_from(position).map_err(|_| outside())?;
            let old = window.get(start..).and_then(|from| from.get(..add)).ok_or_else(outside)?;
            difference.extend(added.iter().zip(old).map(|(new, old)| new.wrapping_sub(*old)));
        }
        each(instruction, &difference, inserted);
        position += i64::from(instruction.add) + i64::from(instruction.insert);
    }
    if rest.is_empty() { Ok(()) } else { Err(outside()) }
}

/// Appends a stream with its head, in its shortest form.
fn push_stream(payload: &mut Vec<u8>, stream: &[u8], level: i32) -> io::Result<()> {
    let (method, stored) = compress::shortest(stream, level)?;
    let length = |bytes: &[u8]| {
        u32::try_from(bytes.len()).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))
    };
    payload.push(method.number());
    payload.extend_from_slice(&length(stream)?.to_le_bytes());
    payload.extend_from_slice(&length(&stored)?.to_le_bytes());
    payload.extend_from_slice(&stored);
    Ok(())
}
