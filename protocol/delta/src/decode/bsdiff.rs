//! The codec `bsdiff`: the stream of the crate `bsdiff` 0.2, inside one zstd frame.

use super::{Fault, Window, take};
use crate::base::BaseReader;
use crate::error::ControlFault;
use crate::unzstd::ZstdStream;

/// Makes the result from instructions of (add, insert, seek), each followed by its bytes.
pub(super) fn fill<B: BaseReader>(
    payload: &[u8],
    mut window: Window<'_, B>,
    out: &mut [u8],
) -> Result<(), Fault<B::Error>> {
    let mut stream = ZstdStream::new(payload)?;
    // The encoder may write instructions that make nothing. Without a limit, a stream of them would
    // keep the decoder busy for as long as zstd can expand it.
    let mut instructions_left = out.len().saturating_add(1);
    let mut left = out;
    while !left.is_empty() {
        instructions_left = instructions_left.checked_sub(1).ok_or(ControlFault::Count)?;
        let add = read_number(&mut stream)?;
        let insert = read_number(&mut stream)?;
        let seek = read_number(&mut stream)?;
        let added = take(&mut left, add)?;
        let inserted = take(&mut left, insert)?;
        stream.read_exact(added)?;
        window.add_to(added)?;
        stream.read_exact(inserted)?;
        window.shift(from_sign_and_magnitude(seek))?;
    }
    Ok(stream.finish()?)
}

fn read_number<E>(stream: &mut ZstdStream<'_>) -> Result<u64, Fault<E>> {
    let mut bytes = [0; 8];
    stream.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// bsdiff's signed numbers: the top bit is the sign of the others.
fn from_sign_and_magnitude(number: u64) -> i64 {
    let magnitude = (number & !(1 << 63)).cast_signed();
    if number >> 63 == 0 { magnitude } else { magnitude.wrapping_neg() }
}
