//! The heads of compressed formats, read as far as it takes to find where the compressed bytes
//! begin and end: zstd (RFC 8878), gzip (RFC 1952), zlib (RFC 1950), LZ4 (frame and legacy), xz.

use super::{Found, Image, Part};
use crate::error::EncodeError;
use crate::payload::report::Kind;
use lazaret_protocol_delta_repack::{Streamed, unpack_unmeasured};

/// The longest block of a zstd frame.
const ZSTD_BLOCK_BYTES_MAX: u32 = 128 << 10;

/// What a block of LZ4's legacy format holds, but the last one.
const LEGACY_BLOCK_BYTES: usize = 8 << 20;

/// How much is read at first where a stream may begin, and afterwards.
const FIRST_BYTES: u64 = 4 << 10;
const NEXT_BYTES: u64 = 64 << 10;

/// What may begin at a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Zstd,
    Gzip,
    Zlib,
    Lz4Legacy,
    Lz4Frame,
    Xz,
}

impl Format {
    /// The format whose mark these bytes are.
    pub(super) fn of(mark: &[u8]) -> Option<Format> {
        match *mark {
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Format::Zstd),
            [0x1f, 0x8b, 8, flags, ..] if flags < 0x20 => Some(Format::Gzip),
            [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..] => Some(Format::Zlib),
            [0x02, 0x21, 0x4c, 0x18, ..] => Some(Format::Lz4Legacy),
            [0x04, 0x22, 0x4d, 0x18, ..] => Some(Format::Lz4Frame),
            [0xfd, b'7', b'z', b'X', b'Z', 0] => Some(Format::Xz),
            _ => None,
        }
    }

    /// The parts of what begins at `at`; none if it is not what the mark says.
    pub(super) fn parts(self, image: &Image<'_>, at: u64) -> Result<Option<Found>, EncodeError> {
        match self {
            Format::Zstd => zstd(image, at),
            Format::Gzip => gzip(image, at),
            Format::Zlib => deflate(image, at + 2),
            Format::Lz4Legacy => lz4_legacy(image, at + 4),
            Format::Lz4Frame => lz4_frame(image, at + 4),
            Format::Xz => xz(image, at),
        }
    }
}

/// Reads numbers off the front of a head.
struct Head<'a>(&'a [u8]);

impl Head<'_> {
    fn number(&mut self, bytes: usize) -> Option<u64> {
        let (number, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(number.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn skip_text(&mut self) -> Option<()> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        self.0 = self.0.get(end + 1..)?;
        Some(())
    }
}

/// A part, if its lengths are those of one.
fn part(kind: Kind, offset: u64, packed: u64, unpacked: u64) -> Option<Part> {
    let length = |length: u64| u32::try_from(length).ok().filter(|length| *length > 0);
    let (packed, unpacked) = (length(packed)?, length(unpacked)?);
    Some(Part { kind, offset, packed, unpacked, has_checksum: false })
}

fn length_of(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// A frame that says how long its content is. Its end is found by its blocks' heads.
fn zstd(image: &Image<'_>, at: u64) -> Result<Option<Found>, EncodeError> {
    let bytes = image.bytes(at, 18)?;
    let Some((head, content, has_checksum)) = zstd_head(&bytes) else { return Ok(None) };
    let mut end = at + head;
    loop {
        let bytes = image.bytes(end, 3)?;
        let Some(block) = Head(&bytes).number(3) else { return Ok(None) };
        let (is_last, kind, size) = (block & 1 == 1, block >> 1 & 3, block >> 3);
        if kind == 3 || size > ZSTD_BLOCK_BYTES_MAX.into() {
            return Ok(None);
        }
        // A run is one byte, however long.
        end += 3 + if kind == 1 { 1 } else { size };
        if end > image.length {
            return Ok(None);
        }
        if is_last {
            break;
        }
    }
    end += if has_checksum { 4 } else { 0 };
    if end > image.length {
        return Ok(None);
    }
    let part = part(Kind::Zstd, at, end - at, content);
    Ok(part.map(|part| Found { parts: vec![Part { has_checksum, ..part }], end }))
}

/// The length of a frame's head, of its content, and whether it has a checksum.
fn zstd_head(bytes: &[u8]) -> Option<(u64, u64, bool)> {
    let mut head = Head(bytes);
    head.number(4)?;
    let flags = head.number(1)?;
    let is_single = flags & 0x20 != 0;
    // Neither reserved bits nor dictionaries.
    if flags & 0x1b != 0 {
        return None;
    }
    if !is_single {
        head.number(1)?;
    }
    let content = match (flags >> 6, is_single) {
        (0, false) => return None,
        (0, true) => head.number(1)?,
        (1, _) => head.number(2)? + 256,
        (2, _) => head.number(4)?,
        _ => head.number(8)?,
    };
    let length = length_of(bytes) - length_of(head.0);
    Some((length, content, flags & 4 != 0))
}

fn gzip(image: &Image<'_>, at: u64) -> Result<Option<Found>, EncodeError> {
    let bytes = image.bytes(at, FIRST_BYTES)?;
    let Some(head) = gzip_head(&bytes) else { return Ok(None) };
    deflate(image, at + head)
}

/// The length of a gzip member's head.
fn gzip_head(bytes: &[u8]) -> Option<u64> {
    let mut head = Head(bytes);
    head.number(3)?;
    let flags = head.number(1)?;
    head.number(6)?;
    if flags & 4 != 0 {
        let extra = usize::try_from(head.number(2)?).ok()?;
        head.0 = head.0.get(extra..)?;
    }
    for text in [8, 16] {
        if flags & text != 0 {
            head.skip_text()?;
        }
    }
    if flags & 2 != 0 {
        head.number(2)?;
    }
    Some(length_of(bytes) - length_of(head.0))
}

/// A raw stream; only unpacking it tells where it ends.
fn deflate(image: &Image<'_>, at: u64) -> Result<Option<Found>, EncodeError> {
    let mut failure = None;
    let unpacked = unpack_unmeasured(Streamed::Deflate, image.content_max, |from| {
        let length = if from == 0 { FIRST_BYTES } else { NEXT_BYTES };
        image.bytes(at + from, length).unwrap_or_else(|err| {
            failure = Some(err);
            Vec::new()
        })
    });
    if let Some(failure) = failure {
        return Err(failure);
    }
    let Some((packed, content)) = unpacked else { return Ok(None) };
    let part = part(Kind::Deflate, at, packed, length_of(&content));
    Ok(part.map(|part| Found { parts: vec![part], end: at + packed }))
}

/// Blocks of 8 MiB, each after its packed length, up to one that is shorter.
fn lz4_legacy(image: &Image<'_>, mut at: u64) -> Result<Option<Found>, EncodeError> {
    let mut parts = Vec::new();
    loop {
        let bytes = image.bytes(at, 4)?;
        let size = Head(&bytes).number(4).unwrap_or(0);
        let Some(part) = lz4_block(image, at + 4, size, LEGACY_BLOCK_BYTES)? else { break };
        at += 4 + size;
        let is_whole = usize::try_from(part.unpacked) == Ok(LEGACY_BLOCK_BYTES);
        parts.push(part);
        if !is_whole {
            break;
        }
    }
    Ok((!parts.is_empty()).then_some(Found { parts, end: at }))
}

/// The independent blocks of a frame.
fn lz4_frame(image: &Image<'_>, at: u64) -> Result<Option<Found>, EncodeError> {
    let bytes = image.bytes(at, 2)?;
    let Some(flags) = Head(&bytes).number(2) else { return Ok(None) };
    let (has_version, is_independent) = (flags & 0xc0 == 0x40, flags & 0x20 != 0);
    let block_bytes = 1usize << (8 + 2 * (flags >> 12 & 7));
    if !has_version || !is_independent || flags & 0x03 != 0 || block_bytes < 64 << 10 {
        return Ok(None);
    }
    let mut end = at + 3 + if flags & 8 != 0 { 8 } else { 0 };
    let checksum = if flags & 0x10 != 0 { 4 } else { 0 };
    let mut parts = Vec::new();
    loop {
        let bytes = image.bytes(end, 4)?;
        let Some(size) = Head(&bytes).number(4) else { break };
        let (is_stored, size) = (size >> 31 == 1, size & 0x7fff_ffff);
        if size == 0 || size > length_of(&bytes) + u64::try_from(block_bytes).unwrap_or(0) {
            break;
        }
        if !is_stored {
            let Some(part) = lz4_block(image, end + 4, size, block_bytes)? else { break };
            parts.push(part);
        }
        end += 4 + size + checksum;
    }
    Ok((!parts.is_empty()).then_some(Found { parts, end }))
}

/// One block of a known packed length.
fn lz4_block(
    image: &Image<'_>,
    at: u64,
    size: u64,
    content_max: usize,
) -> Result<Option<Part>, EncodeError> {
    let most = u64::try_from(content_max + content_max / 255 + 16).unwrap_or(u64::MAX);
    if size == 0 || size > most || at + size > image.length {
        return Ok(None);
    }
    let packed = image.bytes(at, size)?;
    let unpacked = unpack_unmeasured(Streamed::Lz4, content_max, |from| {
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        packed.get(from..).unwrap_or_default().to_vec()
    });
    Ok(unpacked.and_then(|(_, content)| part(Kind::Lz4, at, size, length_of(&content))))
}

/// Only told: packing again takes more memory than a device has.
fn xz(image: &Image<'_>, at: u64) -> Result<Option<Found>, EncodeError> {
    let bytes = image.bytes(at, 12)?;
    let mut head = Head(&bytes);
    let (Some(_), Some(flags)) = (head.number(6), head.number(2)) else { return Ok(None) };
    let is_known = flags & 0xff == 0 && flags >> 8 <= 10;
    // Where it ends is not looked for; its beginning tells whether it is in the base.
    let packed = u32::try_from(NEXT_BYTES.min(image.length - at)).unwrap_or(0);
    let part = Part { kind: Kind::Xz, offset: at, packed, unpacked: u32::MAX, has_checksum: false };
    Ok(is_known.then_some(Found { parts: vec![part], end: at + 12 }))
}
