//! The seam for payload-aware deltas: what an image looks like when its compressed parts are
//! unpacked. This room knows lengths and numbers only. What a codec's number stands for, how a part
//! is unpacked and packed again bit for bit, is the crate's that supplies [`Segment::Packed`].
//!
//! A delta always leads from an *expanded* base to an *expanded* result. An image without packed
//! segments is its own expanded form, and its layout is empty. Otherwise:
//!
//! - the encoder is handed the expanded images, their layouts, and the ids of both images as they
//!   lie on disk (`lazaret-protocol-delta-encode`, `Image`);
//! - on the device a [`crate::BaseReader`] that wraps the base on disk answers reads at expanded
//!   offsets (`Header::base_layout`), and the frames, whose digests are those of expanded bytes, go
//!   in order into a sink that packs (`Header::result_layout`) and writes strictly forward;
//! - digest and length of base and result in the header are those on disk, so that what is written
//!   is checked whatever the packing did.
//!
//! Resuming: a slot that holds the first `n` bytes of the result on disk goes on at the last
//! segment boundary at or before `n` ([`Layout::resume`]): the frame that holds its expanded offset
//! is decoded again, and its bytes before that offset are left out.

#[cfg(test)]
mod tests;

use crate::number::{Numbers, push_number};
use alloc::vec::Vec;

/// No layout has more segments; a parsed one takes 24 bytes each.
pub const SEGMENTS_MAX: usize = 1 << 15;

/// A piece of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Segment {
    /// Bytes that are the same on disk and expanded.
    Plain {
        /// How many.
        length: u64,
    },
    /// Bytes that are packed on disk.
    Packed {
        /// Which codec, in the numbering of the crate that packs.
        codec: u8,
        /// What the codec has to be told, such as a level; its meaning is the codec's.
        parameter: u32,
        /// Length on disk; never zero.
        packed: u32,
        /// Length expanded; never zero.
        unpacked: u32,
    },
}

impl Segment {
    /// Its length on disk.
    pub fn packed_length(&self) -> u64 {
        match *self {
            Segment::Plain { length } => length,
            Segment::Packed { packed, .. } => packed.into(),
        }
    }

    /// Its length expanded.
    pub fn expanded_length(&self) -> u64 {
        match *self {
            Segment::Plain { length } => length,
            Segment::Packed { unpacked, .. } => unpacked.into(),
        }
    }
}

/// A segment and where it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// What it is.
    pub segment: Segment,
    /// Where it begins on disk.
    pub packed_offset: u64,
    /// Where it begins in the expanded image.
    pub expanded_offset: u64,
}

/// All segments of an image in order. The empty layout stands for an image that is plain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout(Vec<Segment>);

impl Layout {
    /// Takes segments in order; neighbouring plain ones are joined, empty ones left out. A layout
    /// without a packed segment becomes the empty one. `None` if there are more than
    /// [`SEGMENTS_MAX`], a packed one is empty, or a sum overflows.
    pub fn new(segments: impl IntoIterator<Item = Segment>) -> Option<Layout> {
        let segments = segments.into_iter();
        let mut joined: Vec<Segment> = Vec::with_capacity(segments.size_hint().0.min(SEGMENTS_MAX));
        let mut ends = (0u64, 0u64);
        for segment in segments {
            ends.0 = ends.0.checked_add(segment.packed_length())?;
            ends.1 = ends.1.checked_add(segment.expanded_length())?;
            let is_full = joined.len() >= SEGMENTS_MAX;
            match (joined.last_mut(), segment) {
                (_, Segment::Plain { length: 0 }) => {}
                (Some(Segment::Plain { length }), Segment::Plain { length: more }) => {
                    *length = length.checked_add(more)?;
                }
                (_, Segment::Packed { packed: 0, .. } | Segment::Packed { unpacked: 0, .. }) => {
                    return None;
                }
                _ if is_full => return None,
                _ => joined.push(segment),
            }
        }
        if joined.iter().all(|segment| matches!(segment, Segment::Plain { .. })) {
            joined.clear();
        }
        Some(Layout(joined))
    }

    /// Whether the image is its own expanded form.
    pub fn is_plain(&self) -> bool {
        self.0.is_empty()
    }

    /// How many segments there are; none for a plain image.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// See [`Layout::is_plain`].
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The length of the image expanded, if it has `disk_length` bytes on disk; `None` if the
    /// segments do not add up to that.
    pub fn expanded_length(&self, disk_length: u64) -> Option<u64> {
        if self.is_plain() {
            return Some(disk_length);
        }
        let end = self.placed().last()?;
        let disk = end.packed_offset.checked_add(end.segment.packed_length())?;
        let expanded = end.expanded_offset.checked_add(end.segment.expanded_length())?;
        (disk == disk_length).then_some(expanded)
    }

    /// The segments with their places.
    pub fn placed(&self) -> impl Iterator<Item = Placed> {
        let (mut packed_offset, mut expanded_offset) = (0u64, 0u64);
        self.0.iter().map(move |segment| {
            let placed = Placed { segment: *segment, packed_offset, expanded_offset };
            // The sums do not overflow: `new` has added them up.
            packed_offset = packed_offset.saturating_add(segment.packed_length());
            expanded_offset = expanded_offset.saturating_add(segment.expanded_length());
            placed
        })
    }

    /// Where to go on when `durable` bytes are on disk: the offset on disk and the expanded offset
    /// that corresponds to it.
    pub fn resume(&self, durable: u64) -> (u64, u64) {
        let at = self.placed().take_while(|placed| placed.packed_offset <= durable).last();
        let Some(at) = at else { return (durable, durable) };
        match at.segment {
            Segment::Plain { length } => {
                let into = durable.saturating_sub(at.packed_offset).min(length);
                (at.packed_offset.saturating_add(into), at.expanded_offset.saturating_add(into))
            }
            Segment::Packed { packed, unpacked, .. } => {
                let end = at.packed_offset.saturating_add(packed.into());
                if durable >= end {
                    return (end, at.expanded_offset.saturating_add(unpacked.into()));
                }
                (at.packed_offset, at.expanded_offset)
            }
        }
    }

    /// Its bytes: the number of segments; all kinds (0 for plain, otherwise the codec and one, as
    /// 16 bits); then per column the parameters, the packed and the unpacked lengths. A plain
    /// segment has its length in the last column only.
    pub(crate) fn push_bytes(&self, bytes: &mut Vec<u8>) {
        push_number(bytes, u64::try_from(self.0.len()).unwrap_or(u64::MAX));
        for segment in &self.0 {
            push_number(
                bytes,
                match *segment {
                    Segment::Plain { .. } => 0,
                    Segment::Packed { codec, .. } => u64::from(codec).saturating_add(1),
                },
            );
        }
        for column in 0..2 {
            for segment in &self.0 {
                if let Segment::Packed { parameter, packed, .. } = *segment {
                    push_number(bytes, if column == 0 { parameter } else { packed }.into());
                }
            }
        }
        for segment in &self.0 {
            push_number(bytes, segment.expanded_length());
        }
    }

    /// Reads a layout back; `None` if it breaks a rule of [`Layout::new`] or is not in its normal
    /// form.
    pub(crate) fn parse(numbers: &mut Numbers<'_>) -> Option<Layout> {
        let count = usize::try_from(numbers.next()?).ok().filter(|count| *count <= SEGMENTS_MAX)?;
        let mut segments = Vec::with_capacity(count.min((numbers.0.len() / 3).saturating_add(1)));
        for _ in 0..count {
            let kind = numbers.next()?;
            segments.push(match kind.checked_sub(1) {
                None if matches!(segments.last(), Some(Segment::Plain { .. })) => return None,
                None => Segment::Plain { length: 0 },
                Some(codec) => Segment::Packed {
                    codec: u8::try_from(codec).ok()?,
                    parameter: 0,
                    packed: 0,
                    unpacked: 0,
                },
            });
        }
        for column in 0..3 {
            for segment in &mut segments {
                match (column, segment) {
                    (0, Segment::Packed { parameter: field, .. })
                    | (1, Segment::Packed { packed: field, .. })
                    | (2, Segment::Packed { unpacked: field, .. }) => {
                        *field = u32::try_from(numbers.next()?).ok()?;
                    }
                    (2, Segment::Plain { length }) => *length = numbers.next()?,
                    (_, Segment::Plain { .. } | Segment::Packed { .. }) => {}
                }
            }
        }
        Layout::new(segments).filter(|layout| layout.0.len() == count)
    }
}
