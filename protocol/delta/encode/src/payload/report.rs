//! What became of the compressed parts, for people: how many were recognised, and why some were
//! left alone.

use super::scan::Part;
use lazaret_protocol_delta::LeftAlone;
use std::fmt;

/// What is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// zstd frames: by themselves, and in squashfs images.
    Zstd,
    /// Deflate streams in gzip and zlib.
    Deflate,
    /// Blocks of LZ4's legacy and frame formats.
    Lz4,
    /// xz streams. They are never unpacked: packing again takes ten times a dictionary.
    Xz,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::Zstd, Kind::Deflate, Kind::Lz4, Kind::Xz];

    fn name(self) -> &'static str {
        match self {
            Kind::Zstd => "zstd",
            Kind::Deflate => "deflate",
            Kind::Lz4 => "lz4",
            Kind::Xz => "xz",
        }
    }
}

/// What became of the parts of one kind in the result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// How many there are.
    pub found: usize,
    /// How many of them are not in the base as they are.
    pub changed: usize,
    /// How many of these are unpacked.
    pub unpacked: usize,
    /// How many could not be packed again to the same bytes.
    pub unproved: usize,
    /// How many a device could not pack in bounded memory, or the encoder not hold.
    pub too_long: usize,
}

/// What became of all parts of the result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PayloadReport {
    counts: [Counts; Kind::ALL.len()],
    places: [[Places; 4]; Kind::ALL.len()],
}

/// What became of a part; the number is that of [`LeftAlone::why`], and zero is for those that are
/// unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Became {
    Unpacked = 0,
    Copied = 1,
    Unproved = 2,
    TooLong = 3,
}

/// Where parts are of which the same became.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Places {
    parts: u32,
    bytes: u64,
    first: u64,
}

impl Places {
    fn join(&mut self, other: Places) {
        if other.parts > 0 {
            let is_first = self.parts == 0 || other.first < self.first;
            self.first = if is_first { other.first } else { self.first };
            self.parts += other.parts;
            self.bytes += other.bytes;
        }
    }
}

impl PayloadReport {
    /// The parts of one kind.
    pub fn counts(&self, kind: Kind) -> Counts {
        let at = Kind::ALL.iter().position(|other| *other == kind);
        at.and_then(|at| self.counts.get(at)).copied().unwrap_or_default()
    }

    /// The same, but that all that would be unpacked takes too much memory.
    pub(crate) fn without_unpacked(mut self) -> PayloadReport {
        for counts in &mut self.counts {
            counts.too_long += std::mem::take(&mut counts.unpacked);
        }
        for [unpacked, _, _, too_long] in &mut self.places {
            too_long.join(std::mem::take(unpacked));
        }
        self
    }

    /// Notes where a part is, and what became of it.
    pub(crate) fn put(&mut self, part: &Part, became: Became) {
        let at = Kind::ALL.iter().position(|kind| *kind == part.kind);
        let places = at.and_then(|at| self.places.get_mut(at)?.get_mut(became as usize));
        if let Some(places) = places {
            places.join(Places { parts: 1, bytes: part.packed.into(), first: part.offset });
        }
    }

    /// The parts that stay packed, by kind and reason.
    pub(crate) fn left_alone(&self) -> Vec<LeftAlone> {
        let mut left = Vec::new();
        for (kind, places) in (1..).zip(&self.places) {
            for (why, places) in (0..).zip(places).skip(1).filter(|(_, it)| it.parts > 0) {
                let Places { parts, bytes, first } = *places;
                left.push(LeftAlone { kind, why, parts, bytes, first });
            }
        }
        left
    }

    pub(crate) fn of(&mut self, kind: Kind) -> &mut Counts {
        let [zstd, deflate, lz4, xz] = &mut self.counts;
        match kind {
            Kind::Zstd => zstd,
            Kind::Deflate => deflate,
            Kind::Lz4 => lz4,
            Kind::Xz => xz,
        }
    }
}

impl fmt::Display for PayloadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (kind, counts) in
            Kind::ALL.iter().zip(&self.counts).filter(|(_, counts)| counts.found > 0)
        {
            let Counts { found, changed, unpacked, unproved, too_long } = counts;
            write!(f, "{separator}{} {} parts, {changed} changed", found, kind.name())?;
            for (count, what) in [
                (unpacked, "unpacked"),
                (unproved, "left alone: packing them again gives other bytes"),
                (too_long, "left alone: too much memory to pack them again on a device"),
            ] {
                if *count > 0 {
                    write!(f, ", {count} {what}")?;
                }
            }
            separator = "; ";
        }
        Ok(())
    }
}
