//! The run: digests and sketch first, then all frames, then header and payloads in order. How
//! frames are made is in `job`.

#[cfg(test)]
mod tests;

use crate::error::{EncodeError, Side};
use crate::frame::EncodedFrame;
use crate::job::{Job, Tally};
use crate::options::EncodeOptions;
use crate::sketch::SketchBuilder;
use crate::source::{ReadAt, read};
use lazaret_protocol_delta::{Codec, Header, ImageId};
use sha2::{Digest, Sha256};
use std::io::Write;

/// How much of an image is read at a time while it is hashed.
const READ_BYTES: u64 = 1 << 20;

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodeSummary {
    /// The image that the delta starts from.
    pub base: ImageId,
    /// The image that it makes.
    pub result: ImageId,
    /// The length of the delta, header included.
    pub delta_bytes: u64,
    /// What the decoder needs, in bytes.
    pub ram_bytes: u64,
    /// How many frames use each codec, in the order of [`Codec::ALL`].
    pub frames_by_codec: [usize; Codec::ALL.len()],
}

/// Writes the delta from `base` to `result` to `out`. `progress` is called from several threads
/// with the number of frames done and the number of all frames, once per frame.
///
/// Both images are read piece by piece; the delta is held in memory until it is complete, because
/// its header comes first. Besides that, memory is at most six times
/// [`EncodeOptions::window_bytes`] and a few megabytes per thread.
///
/// # Errors
/// When an option is out of range, an image cannot be read, the delta cannot be written, or it
/// grows past [`EncodeOptions::delta_bytes_max`].
pub fn encode<B, R, W>(
    base: &B,
    result: &R,
    options: &EncodeOptions,
    progress: impl Fn(usize, usize) + Sync,
    out: &mut W,
) -> Result<EncodeSummary, EncodeError>
where
    B: ReadAt + ?Sized,
    R: ReadAt + ?Sized,
    W: Write,
{
    options.check()?;
    let base_length = length(base, Side::Base)?;
    let mut sketch = SketchBuilder::new(base_length);
    let base_id = identify(base, Side::Base, base_length, |bytes| sketch.push(bytes))?;
    let result_length = length(result, Side::Result)?;
    let result_id = identify(result, Side::Result, result_length, |_| {})?;
    let sketch = &sketch.finish();
    let job = Job { base, base_length, result, result_length, sketch, options };
    let encoded = job.encode_frames(&Tally::new(job.frames(), options, progress))?;
    write(base_id, result_id, encoded, out)
}

fn length<S: ReadAt + ?Sized>(image: &S, side: Side) -> Result<u64, EncodeError> {
    image.length().map_err(|source| EncodeError::Read { side, source })
}

/// Hashes an image, and shows its bytes to `see`.
fn identify<S: ReadAt + ?Sized>(
    image: &S,
    side: Side,
    length: u64,
    mut see: impl FnMut(&[u8]),
) -> Result<ImageId, EncodeError> {
    let mut hasher = Sha256::new();
    let mut offset = 0;
    while offset < length {
        let part = read(image, side, offset, READ_BYTES.min(length - offset))?;
        hasher.update(&part);
        see(&part);
        offset += READ_BYTES;
    }
    Ok(ImageId { length, sha256: hasher.finalize().into() })
}

/// Writes header and payloads.
fn write<W: Write>(
    base: ImageId,
    result: ImageId,
    encoded: Vec<EncodedFrame>,
    out: &mut W,
) -> Result<EncodeSummary, EncodeError> {
    let frames = encoded.iter().map(|encoded| encoded.frame).collect();
    let header = Header::new(base, result, frames).map_err(EncodeError::Header)?;
    let bytes = header.to_bytes().map_err(EncodeError::Header)?;
    out.write_all(&bytes).map_err(EncodeError::Write)?;
    for frame in &encoded {
        out.write_all(&frame.payload).map_err(EncodeError::Write)?;
    }
    let end = header.frames().last();
    let delta_bytes = end.map_or(u64::try_from(bytes.len()).unwrap_or(u64::MAX), |frame| {
        frame.payload_offset + u64::from(frame.payload_length)
    });
    let frames_by_codec =
        Codec::ALL.map(|codec| encoded.iter().filter(|made| made.frame.codec == codec).count());
    Ok(EncodeSummary { base, result, delta_bytes, ram_bytes: header.ram_bytes(), frames_by_codec })
}
