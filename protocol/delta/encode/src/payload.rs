//! Compressed parts of both images: recognised, compared, proved, and unpacked for the matcher
//! where that is worth it. What is the same on both sides stays packed, because a copy costs
//! nothing. A part of the result is unpacked only if packing it again has been tried here, with the
//! very code that the device runs, and gave its bytes. How parts are packed is
//! `lazaret-protocol-delta-repack`'s.

mod expanded;
mod proof;
mod report;
mod scan;
#[cfg(test)]
mod tests;

pub use report::{Counts, Kind, PayloadReport};

use crate::encode::{EncodeSummary, Image, encode_images, identify};
use crate::error::{EncodeError, Side};
use crate::options::EncodeOptions;
use crate::parallel::parallel;
use crate::source::{ReadAt, read};
use expanded::Expanded;
use lazaret_protocol_delta::layout::{Layout, Segment};
use lazaret_protocol_delta_repack::{Codec, WHOLE_BYTES_MAX};
use report::Became;
use scan::Part;
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::io::Write;

/// No more parts of one image are unpacked: half of the segments that a layout may have lie
/// between.
const PARTS_MAX: usize = 12_000;

/// What packing and unpacking may take on the device, beside the frames: in bytes.
pub(crate) const DEVICE_BYTES_MAX: u64 = 4_800 << 10;

/// Writes the delta from `base` to `result`, whose compressed parts are unpacked where that helps,
/// and tells what became of them. See [`crate::encode`].
///
/// # Errors
/// As [`crate::encode_images`].
pub(crate) fn encode_payloads<W: Write>(
    base: &dyn ReadAt,
    result: &dyn ReadAt,
    options: &EncodeOptions,
    progress: impl Fn(u64, u64) + Sync,
    out: &mut W,
) -> Result<EncodeSummary, EncodeError> {
    options.check()?;
    let found = Payloads::find(base, result, options)?;
    let (old, new) = (&found.base, &found.result);
    let images = (base, result);
    let (base, result) = (identify(base, Side::Base)?, identify(result, Side::Result)?);
    let left_alone = found.report.left_alone();
    let old = Image { expanded: old, layout: old.layout().clone(), id: base, left_alone: vec![] };
    let new = Image { expanded: new, layout: new.layout().clone(), id: result, left_alone };
    let made = encode_images(&old, &new, options, &progress, out);
    if let Err(EncodeError::Memory { .. }) = made
        && !(old.layout.is_plain() && new.layout.is_plain())
    {
        // Nothing is written before the memory is known. Unpacked, the images are too much.
        let report = found.report.without_unpacked();
        let plain = |expanded, id, left_alone| Image {
            expanded,
            layout: Layout::default(),
            id,
            left_alone,
        };
        let (old, new) =
            (plain(images.0, base, vec![]), plain(images.1, result, report.left_alone()));
        let mut summary = encode_images(&old, &new, options, &progress, out)?;
        summary.payloads = report;
        return Ok(summary);
    }
    let mut summary = made?;
    summary.payloads = found.report;
    Ok(summary)
}

/// Both images, unpacked where that helps.
pub(crate) struct Payloads<'a> {
    pub(crate) base: Expanded<'a>,
    pub(crate) result: Expanded<'a>,
    pub(crate) report: PayloadReport,
}

/// A part that will be unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chosen {
    part: Part,
    codec: Codec,
}

impl<'a> Payloads<'a> {
    /// Finds, compares, proves and unpacks.
    ///
    /// # Errors
    /// When an image cannot be read.
    pub(crate) fn find(
        base: &'a dyn ReadAt,
        result: &'a dyn ReadAt,
        options: &EncodeOptions,
    ) -> Result<Payloads<'a>, EncodeError> {
        let mut report = PayloadReport::default();
        let old = Parts::of(base, Side::Base, options)?;
        let new = Parts::of(result, Side::Result, options)?;
        let content_max = options.window_bytes.saturating_mul(2);
        let changed = new.without(&old);
        let changed_at: HashSet<u64> = changed.iter().map(|part| part.offset).collect();
        for part in &new.parts {
            report.of(part.kind).found += 1;
            if changed_at.contains(&part.offset) {
                report.of(part.kind).changed += 1;
            } else {
                report.put(part, Became::Copied);
            }
        }
        let proved = proof::proved(result, &changed, content_max, options, &mut report)?;
        let kinds: HashSet<Kind> = proved.iter().map(|chosen| chosen.part.kind).collect();
        let helpful = old.without(&new).into_iter().filter(|part| kinds.contains(&part.kind));
        let old = within(readable(helpful), content_max);
        let old = whole(base, old, options)?;
        Payloads::new(base, result, old, proved, report)
    }

    fn new(
        base: &'a dyn ReadAt,
        result: &'a dyn ReadAt,
        old: Vec<Chosen>,
        new: Vec<Chosen>,
        report: PayloadReport,
    ) -> Result<Payloads<'a>, EncodeError> {
        let (old_layout, new_layout) =
            (layout(base, Side::Base, &old)?, layout(result, Side::Result, &new)?);
        Ok(Payloads {
            base: Expanded::new(base, Side::Base, old_layout, &old)?,
            result: Expanded::new(result, Side::Result, new_layout, &new)?,
            report,
        })
    }
}

/// The parts of one image, and the digests of their packed bytes.
struct Parts {
    parts: Vec<Part>,
    digests: Vec<[u8; 32]>,
}

impl Parts {
    fn of(image: &dyn ReadAt, side: Side, options: &EncodeOptions) -> Result<Parts, EncodeError> {
        let parts = scan::parts(image, side, options)?;
        let digests = parallel(parts.len(), options.thread_count(), |number| {
            let Some(part) = parts.get(number) else { return Ok([0; 32]) };
            let packed = read(image, side, part.offset, part.packed.into())?;
            Ok(Sha256::digest(&packed).into())
        })?;
        Ok(Parts { parts, digests })
    }

    /// The parts that the other image does not have.
    fn without(&self, other: &Parts) -> Vec<Part> {
        let others: HashSet<&[u8; 32]> = other.digests.iter().collect();
        let own = self.parts.iter().zip(&self.digests);
        own.filter(|(_, digest)| !others.contains(digest)).map(|(part, _)| *part).collect()
    }
}

/// The parts of a base that the device can unpack, whatever they were packed with.
fn readable(parts: impl Iterator<Item = Part>) -> impl Iterator<Item = Chosen> {
    parts.filter_map(|part| {
        let codec = match part.kind {
            Kind::Zstd => Codec::Zstd { level: 1, has_checksum: false },
            Kind::Deflate => Codec::Deflate { level: 1, memory_level: 8 },
            Kind::Lz4 => Codec::Lz4 { level: 9, buffer_log: 17 },
            Kind::Xz => return None,
        };
        let is_held = part.unpacked <= WHOLE_BYTES_MAX || part.kind != Kind::Zstd;
        is_held.then_some(Chosen { part, codec })
    })
}

/// The first parts, as many as fit into so much memory of the encoder, and into a layout.
fn within(parts: impl Iterator<Item = Chosen>, content_max: u64) -> Vec<Chosen> {
    let mut content = 0u64;
    let fits = |chosen: &Chosen| {
        let length = u64::from(chosen.part.unpacked);
        let is_within = content + length <= content_max;
        content += if is_within { length } else { 0 };
        is_within
    };
    parts.filter(fits).take(PARTS_MAX).collect()
}

/// Those that do unpack: what looks like a part may stand there by chance.
fn whole(
    image: &dyn ReadAt,
    parts: Vec<Chosen>,
    options: &EncodeOptions,
) -> Result<Vec<Chosen>, EncodeError> {
    let is_whole = parallel(parts.len(), options.thread_count(), |number| {
        let Some(Chosen { part, codec }) = parts.get(number) else { return Ok(false) };
        let packed = read(image, Side::Base, part.offset, part.packed.into())?;
        let unpacked = usize::try_from(part.unpacked).unwrap_or(usize::MAX);
        Ok(codec.unpack(&packed, unpacked).is_ok())
    })?;
    Ok(parts.into_iter().zip(is_whole).filter_map(|(part, whole)| whole.then_some(part)).collect())
}

/// The layout of an image of which these parts are unpacked; they are in order.
fn layout(image: &dyn ReadAt, side: Side, parts: &[Chosen]) -> Result<Layout, EncodeError> {
    let length = image.length().map_err(|source| EncodeError::Read { side, source })?;
    let mut segments = Vec::new();
    let mut end = 0;
    for Chosen { part, codec } in parts {
        let (codec, parameter) = codec.numbers();
        let (packed, unpacked) = (part.packed, part.unpacked);
        segments.push(Segment::Plain { length: part.offset - end });
        segments.push(Segment::Packed { codec, parameter, packed, unpacked });
        end = part.offset + u64::from(packed);
    }
    segments.push(Segment::Plain { length: length - end });
    Layout::new(segments).ok_or(EncodeError::Layout { side })
}
