//! The run: digests and sketch first, then all frames on all cores, then header and payloads in
//! order. What happens inside a frame is in `frame`.

#[cfg(test)]
mod tests;

use crate::error::{EncodeError, Side};
use crate::frame::{EncodedFrame, Job};
use crate::options::EncodeOptions;
use crate::sketch::SketchBuilder;
use crate::source::{ReadAt, read};
use lazaret_protocol_delta::{Codec, FRAME_ENTRY_BYTES, HEADER_BYTES_MIN, Header, ImageId};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

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

/// Writes the delta from `base` to `result` to `out`. `progress` is called from several threads with
/// the number of frames done and the number of all frames, once per frame.
///
/// Both images are read piece by piece; the delta is held in memory until it is complete, because
/// its header comes first. Every thread besides holds a frame and its window.
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
    let encoded = encode_frames(&job, progress)?;
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

/// Makes all frames. Threads take the next number each, and what a frame becomes depends on its
/// number alone, so the outcome does not depend on who was faster.
fn encode_frames<B: ReadAt + ?Sized, R: ReadAt + ?Sized>(
    job: &Job<'_, B, R>,
    progress: impl Fn(usize, usize) + Sync,
) -> Result<Vec<EncodedFrame>, EncodeError> {
    let total = usize::try_from(job.frames()).unwrap_or(usize::MAX);
    let header = u64::try_from(HEADER_BYTES_MIN + total.saturating_mul(FRAME_ENTRY_BYTES));
    let bytes = AtomicU64::new(header.unwrap_or(u64::MAX));
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let allowed = job.options.delta_bytes_max;
    let work = || {
        let mut made = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= total {
                return Ok(made);
            }
            let frame = job.encode(number).inspect_err(|_| next.store(total, Ordering::Relaxed))?;
            let length = u64::from(frame.frame.payload_length);
            if bytes.fetch_add(length, Ordering::Relaxed).saturating_add(length) > allowed {
                next.store(total, Ordering::Relaxed);
                return Err(EncodeError::SavesTooLittle { allowed });
            }
            made.push((number, frame));
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, total);
        }
    };
    let outcomes = thread::scope(|scope| {
        let threads = job.options.threads_for(total);
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        handles.into_iter().map(|handle| handle.join()).collect::<Vec<_>>()
    });
    let mut made = Vec::with_capacity(total);
    for outcome in outcomes {
        match outcome {
            Ok(frames) => made.extend(frames?),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
    made.sort_unstable_by_key(|(number, _)| *number);
    Ok(made.into_iter().map(|(_, frame)| frame).collect())
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
