//! The run: digests first, then instructions for the whole result, then all frames, then header and
//! payloads in order. How instructions are found is in `plan`, how frames are made in `frame`.

#[cfg(test)]
mod tests;

use crate::compress;
use crate::error::{EncodeError, Side};
use crate::frame::{EncodedFrame, FrameMaker};
use crate::ops::SectionOps;
use crate::options::EncodeOptions;
use crate::parallel::parallel;
use crate::payload::{PayloadReport, encode_payloads};
use crate::plan::{Pair, plan};
use crate::program::{self, Known, Programs};
use crate::source::{ReadAt, read};
use lazaret_protocol_delta::layout::Layout;
use lazaret_protocol_delta::{
    Codec, Control, Header, ImageId, Images, LeftAlone, OPS_MAX, Predictor, Section, Tables,
    control_columns, ram,
};
use lazaret_protocol_delta_repack as repack;
use sha2::{Digest, Sha256};
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};

/// How much of an image is read at a time while it is hashed.
const READ_BYTES: u64 = 1 << 20;

/// An image as the encoder wants it: its packed parts are unpacked, and that is told apart.
#[derive(Clone)]
pub struct Image<'a> {
    /// The image, expanded.
    pub expanded: &'a dyn ReadAt,
    /// Where its packed parts were; the empty layout for a plain image.
    pub layout: Layout,
    /// Length and SHA-256 of the image on disk.
    pub id: ImageId,
    /// Of a result: which compressed parts stay packed, and why; the header tells it to people.
    pub left_alone: Vec<LeftAlone>,
}

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
    /// What became of the result's compressed parts.
    pub payloads: PayloadReport,
}

/// Writes the delta from `base` to `result` to `out`; their compressed parts are unpacked where
/// that helps and is proved to come back. `progress` is called from several threads with how many
/// bytes of work are done, and how many there are.
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
    progress: impl Fn(u64, u64) + Sync,
    out: &mut W,
) -> Result<EncodeSummary, EncodeError>
where
    B: ReadAt,
    R: ReadAt,
    W: Write,
{
    encode_payloads(base, result, options, progress, out)
}

/// Writes the delta between two images that may have packed parts. See [`encode`].
///
/// # Errors
/// As [`encode`]; and when a layout does not fit its image.
pub fn encode_images<W: Write>(
    base: &Image<'_>,
    result: &Image<'_>,
    options: &EncodeOptions,
    progress: impl Fn(u64, u64) + Sync,
    out: &mut W,
) -> Result<EncodeSummary, EncodeError> {
    options.check()?;
    let pair = Pair {
        base: base.expanded,
        base_length: expanded_length(base, Side::Base)?,
        result: result.expanded,
        result_length: expanded_length(result, Side::Result)?,
    };
    let run = Run {
        pair,
        options,
        done: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
        progress: &progress,
    };
    let (ops, same) = plan(&pair, options, &|bytes| run.advance(bytes))?;
    let packed = repack::memory_bytes(&base.layout, &result.layout).map_err(EncodeError::Repack)?;
    let segments = base.layout.len() + result.layout.len();
    let shape = Shape::fitting(&pair, options, (ops.count(), segments, packed));
    let sections = ops.sections(shape.frame_bytes.into(), shape.ops_max);
    let controls = controls(&sections, &pair)?;
    let known = Known {
        base_layout: &base.layout,
        result_layout: &result.layout,
        same: &same,
        controls: &controls,
        threads: options.thread_count(),
    };
    let programs = program::recognise(&pair, &known)?;
    let mut parts = Vec::new();
    for (section, control) in sections.iter().zip(&controls) {
        parts.push(run.section(section, control, (&programs, shape))?);
    }
    let tables = Tables {
        base_layout: base.layout.clone(),
        result_layout: result.layout.clone(),
        addresses: programs.addresses,
        sections: parts.iter().map(|part| part.section).collect(),
        left_alone: result.left_alone.clone(),
    };
    let images = Images { base: base.id, result: result.id };
    write(images, (shape, packed, options.ram_bytes_max), &tables, &parts, out)
}

/// How the result is cut, so that a device can apply the delta in the memory it has.
#[derive(Debug, Clone, Copy)]
struct Shape {
    frame_bytes: u32,
    ops_max: usize,
    /// Whether frames may be a zstd stream by itself, which takes more memory than all others.
    has_zstd: bool,
}

impl Shape {
    /// The longest frames and sections that fit, whatever the frames turn out to be: zstd is given
    /// up first, then frames are made shorter and sections, in turns. `ops` instructions make the
    /// result, the layouts have so many segments, and packing and unpacking takes `packed` bytes.
    fn fitting(
        pair: &Pair<'_>,
        options: &EncodeOptions,
        (ops, segments, packed): (usize, usize, u64),
    ) -> Shape {
        let tables = (segments as u64) * SEGMENT_BYTES + ADDRESSES_BYTES.min(pair.base_length / 64);
        let mut shape =
            Shape { frame_bytes: options.frame_bytes, ops_max: OPS_MAX, has_zstd: true };
        for turn in 0..9 {
            let frames = pair.result_length.div_ceil(shape.frame_bytes.into());
            let frames = u32::try_from(frames).unwrap_or(u32::MAX);
            let most = u32::try_from(ops.min(shape.ops_max)).unwrap_or(u32::MAX);
            let length = shape.frame_bytes;
            let longest = [(Codec::Split, length), (Codec::Zstd, length)];
            let longest = longest.get(..if shape.has_zstd { 2 } else { 1 }).unwrap_or_default();
            let bound = ram::bound(tables, most, frames, longest);
            if bound.saturating_add(packed) <= options.ram_bytes_max {
                break;
            }
            if shape.has_zstd {
                shape.has_zstd = false;
            } else if turn % 2 == 1 && shape.frame_bytes >= FRAME_BYTES_SHORT * 2 {
                shape.frame_bytes /= 2;
            } else {
                shape.ops_max = shape.ops_max.min(ops) * 5 / 8;
            }
        }
        shape
    }
}

/// Frames are not made shorter than this to save memory.
const FRAME_BYTES_SHORT: u32 = 128 << 10;

/// About what a segment of a layout takes in the tables.
const SEGMENT_BYTES: u64 = 9;

/// What is set aside in the tables for addresses.
const ADDRESSES_BYTES: u64 = 24 << 10;

/// Hashes an image as it lies on disk.
pub(crate) fn identify(image: &dyn ReadAt, side: Side) -> Result<ImageId, EncodeError> {
    let length = image.length().map_err(|source| EncodeError::Read { side, source })?;
    let mut hasher = Sha256::new();
    let mut offset = 0;
    while offset < length {
        let part = read(image, side, offset, READ_BYTES.min(length - offset))?;
        hasher.update(&part);
        offset += READ_BYTES;
    }
    Ok(ImageId { length, sha256: hasher.finalize().into() })
}

fn expanded_length(image: &Image<'_>, side: Side) -> Result<u64, EncodeError> {
    let length = image.expanded.length().map_err(|source| EncodeError::Read { side, source })?;
    if image.layout.expanded_length(image.id.length) == Some(length) {
        return Ok(length);
    }
    Err(EncodeError::Layout { side })
}

fn controls(sections: &[SectionOps], pair: &Pair<'_>) -> Result<Vec<Control>, EncodeError> {
    let mut first = 0;
    let mut controls = Vec::new();
    for section in sections {
        let control = section.control(first, pair.base_length).map_err(EncodeError::Control)?;
        controls.push(control);
        first += u64::from(section.length);
    }
    Ok(controls)
}

/// What is needed all along.
struct Run<'a> {
    pair: Pair<'a>,
    options: &'a EncodeOptions,
    /// Bytes of work done: every byte of the result is scanned once and coded once.
    done: AtomicU64,
    /// The length of the delta so far.
    bytes: AtomicU64,
    progress: &'a (dyn Fn(u64, u64) + Sync),
}

/// One section, coded.
struct Part {
    section: Section,
    block: Vec<u8>,
    frames: Vec<EncodedFrame>,
}

impl Run<'_> {
    fn advance(&self, bytes: u64) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        (self.progress)(done, self.pair.result_length * 2);
    }

    /// Counts bytes of the delta, and refuses them if it is too long with them.
    fn count(&self, bytes: usize) -> Result<(), EncodeError> {
        let more = u64::try_from(bytes).unwrap_or(u64::MAX);
        let before = self.bytes.fetch_add(more, Ordering::Relaxed);
        if before.saturating_add(more) > self.options.delta_bytes_max {
            return Err(EncodeError::SavesTooLittle { allowed: self.options.delta_bytes_max });
        }
        Ok(())
    }

    fn section(
        &self,
        section: &SectionOps,
        control: &Control,
        (programs, shape): (&Programs, Shape),
    ) -> Result<Part, EncodeError> {
        let first = control.first();
        let failed = |source| EncodeError::Compress { offset: first, source };
        let columns = control_columns(&section.ops, first);
        let mut block = Vec::new();
        for column in &columns {
            compress::push_shortest(&mut block, column).map_err(failed)?;
        }
        self.count(block.len())?;
        let addresses = &programs.addresses;
        let maker = FrameMaker {
            pair: self.pair,
            control,
            predictor: Predictor::new(control, addresses, self.pair.base_length),
            codes: &programs.codes,
            level: shape.has_zstd.then_some(self.options.zstd_level),
        };
        let count = usize::try_from(section.frames).unwrap_or(usize::MAX);
        let frame_bytes = u64::from(shape.frame_bytes);
        let end = first + u64::from(section.length);
        let frames = parallel(count, self.options.thread_count(), |number| {
            let offset = first + u64::try_from(number).unwrap_or(0) * frame_bytes;
            let length = frame_bytes.min(end - offset);
            let bytes = read(self.pair.result, Side::Result, offset, length)?;
            let made = maker.make(offset, &bytes)?;
            self.count(made.payload.len())?;
            self.advance(length);
            Ok(made)
        })?;
        let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        let section = Section {
            control_offset: 0,
            control_length: length(block.len()),
            columns_length: length(columns.iter().map(Vec::len).sum()),
            ops: length(section.ops.len()),
            frames: section.frames,
            result_offset: first,
            result_length: section.length,
        };
        Ok(Part { section, block, frames })
    }
}

/// Writes header, control blocks and payloads.
fn write<W: Write>(
    images: Images,
    (shape, packed, ram_bytes_max): (Shape, u64, u64),
    tables: &Tables,
    parts: &[Part],
    out: &mut W,
) -> Result<EncodeSummary, EncodeError> {
    let frames: Vec<_> =
        parts.iter().flat_map(|part| &part.frames).map(|encoded| encoded.frame).collect();
    let pack = |bytes: &[u8]| compress::lzma_numbers(bytes).ok();
    let (header, bytes) = Header::build(images, shape.frame_bytes, &frames, tables, pack)
        .map_err(EncodeError::Header)?;
    let needed = header.ram_bytes().saturating_add(packed);
    if needed > ram_bytes_max {
        return Err(EncodeError::Memory { needed, allowed: ram_bytes_max });
    }
    out.write_all(&bytes).map_err(EncodeError::Write)?;
    for part in parts {
        out.write_all(&part.block).map_err(EncodeError::Write)?;
        for frame in &part.frames {
            out.write_all(&frame.payload).map_err(EncodeError::Write)?;
        }
    }
    let header_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let frames_by_codec =
        Codec::ALL.map(|codec| frames.iter().filter(|frame| frame.codec == codec).count());
    Ok(EncodeSummary {
        base: images.base,
        result: images.result,
        delta_bytes: header.delta_length().unwrap_or(header_bytes),
        ram_bytes: needed,
        frames_by_codec,
        payloads: PayloadReport::default(),
    })
}
