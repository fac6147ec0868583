//! The codec `split`: control, difference and literals as separate streams. They are read one after
//! the other, so that only one decompressor is alive at a time: a first pass over the instructions
//! makes what comes from the window, a second fills the gaps with literals.

use super::{Fault, Window, take};
use crate::base::BaseReader;
use crate::control::{Columns, StreamMethod};
use crate::error::ControlFault;
use crate::unlzma::LzmaSource;
use crate::unzstd::{Malformed, ZstdStream};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

/// Makes the result from the three streams of the payload.
pub(super) fn fill<B: BaseReader>(
    payload: &[u8],
    mut window: Window<'_, B>,
    out: &mut [u8],
) -> Result<(), Fault<B::Error>> {
    let mut rest = payload;
    let control = Section::cut(&mut rest)?;
    let difference = Section::cut(&mut rest)?;
    let literals = Section::cut(&mut rest)?;
    if !rest.is_empty() {
        return Err(ControlFault::Encoding.into());
    }
    let control = control.read_all(out.len())?;
    let columns = Columns::new(&control)?;
    // From here on, no stream is longer than the result.
    check_lengths(columns.clone(), difference.length, literals.length, out.len())?;

    let mut stream = difference.open()?;
    let mut left = &mut *out;
    for instruction in columns.clone() {
        let instruction = instruction?;
        window.shift(instruction.shift)?;
        let added = take(&mut left, instruction.add.into())?;
        stream.read_exact(added)?;
        window.add_to(added)?;
        take(&mut left, instruction.insert.into())?;
        window.shift(instruction.insert.into())?;
    }
    stream.finish()?;

    let mut stream = literals.open()?;
    let mut left = out;
    for instruction in columns {
        let instruction = instruction?;
        take(&mut left, instruction.add.into())?;
        stream.read_exact(take(&mut left, instruction.insert.into())?)?;
    }
    Ok(stream.finish()?)
}

/// The instructions use up exactly both streams, and both make exactly the result.
fn check_lengths(
    columns: Columns<'_>,
    difference: u32,
    literals: u32,
    result: usize,
) -> Result<(), ControlFault> {
    let (mut add, mut insert) = (0u64, 0u64);
    for instruction in columns {
        let instruction = instruction?;
        add = add.saturating_add(instruction.add.into());
        insert = insert.saturating_add(instruction.insert.into());
    }
    let sum = add.saturating_add(insert);
    let agree = add == u64::from(difference)
        && insert == u64::from(literals)
        && usize::try_from(sum) == Ok(result);
    if agree { Ok(()) } else { Err(ControlFault::Lengths) }
}

/// A stream as it lies in the payload.
struct Section<'a> {
    method: StreamMethod,
    length: u32,
    stored: &'a [u8],
}

impl<'a> Section<'a> {
    /// Cuts a head and its stream off the payload.
    fn cut(rest: &mut &'a [u8]) -> Result<Section<'a>, ControlFault> {
        let (head, body) = rest.split_first_chunk::<9>().ok_or(ControlFault::Encoding)?;
        let [method, l0, l1, l2, l3, s0, s1, s2, s3] = *head;
        let method = StreamMethod::from_number(method).ok_or(ControlFault::Encoding)?;
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        let stored = u32::from_le_bytes([s0, s1, s2, s3]);
        let stored = usize::try_from(stored).map_err(|_| ControlFault::Encoding)?;
        if stored > body.len() {
            return Err(ControlFault::Encoding);
        }
        let (stored, after) = body.split_at(stored);
        *rest = after;
        Ok(Section { method, length, stored })
    }

    /// Decompresses the whole stream, which is at most `length_max` long.
    fn read_all<E>(&self, length_max: usize) -> Result<Vec<u8>, Fault<E>> {
        let length = usize::try_from(self.length).map_err(|_| ControlFault::Encoding)?;
        if length > length_max {
            return Err(ControlFault::Encoding.into());
        }
        let mut bytes = vec![0; length];
        let mut stream = self.open()?;
        stream.read_exact(&mut bytes)?;
        stream.finish()?;
        Ok(bytes)
    }

    fn open(&self) -> Result<Stream<'a>, Malformed> {
        Ok(match self.method {
            StreamMethod::Stored => Stream::Stored(self.stored),
            StreamMethod::Zstd => Stream::Zstd(Box::new(ZstdStream::new(self.stored)?)),
            StreamMethod::Lzma => {
                Stream::Lzma(Box::new(LzmaSource::new(self.stored, self.length)?))
            }
        })
    }
}

/// A stream while it is read.
enum Stream<'a> {
    Stored(&'a [u8]),
    Zstd(Box<ZstdStream<'a>>),
    Lzma(Box<LzmaSource<'a>>),
}

impl Stream<'_> {
    fn read_exact(&mut self, buf: &mut [u8]) -> Result<(), Malformed> {
        match self {
            Stream::Stored(bytes) => {
                if buf.len() > bytes.len() {
                    return Err(Malformed);
                }
                let (first, rest) = bytes.split_at(buf.len());
                buf.copy_from_slice(first);
                *bytes = rest;
                Ok(())
            }
            Stream::Zstd(stream) => stream.read_exact(buf),
            Stream::Lzma(stream) => stream.read_exact(buf),
        }
    }

    fn finish(self) -> Result<(), Malformed> {
        match self {
            Stream::Stored([]) => Ok(()),
            Stream::Stored(_) => Err(Malformed),
            Stream::Zstd(stream) => stream.finish(),
            Stream::Lzma(stream) => stream.finish(),
        }
    }
}
