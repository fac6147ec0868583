//! The header: its bytes, its limits, and the tables that say where everything lies. Decoding a
//! frame is in `decode`; computing digests of whole images is the caller's.

mod parse;
#[cfg(test)]
mod tests;

use crate::address::Addresses;
use crate::base::BaseReader;
use crate::codec::Codec;
use crate::error::DeltaError;
use crate::layout::Layout;
use crate::left::{self, LeftAlone};
use crate::number::push_number;
use crate::stream::{StreamMethod, push_stream};
use crate::{HEADER_BYTES_MAX, MAGIC, ram};
use alloc::vec;
use alloc::vec::Vec;
use sha2::{Digest, Sha256};

/// What the caller allows a delta to cost. Both are checked before anything is allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeLimits {
    /// The most memory that decoding may take, in bytes, payload and result of a frame included.
    pub ram_bytes_max: u64,
    /// The longest result, in bytes: the length of the slot.
    pub result_bytes_max: u64,
}

/// Which image is meant: its length and SHA-256 on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageId {
    /// Length in bytes.
    pub length: u64,
    /// SHA-256 of all bytes.
    pub sha256: [u8; 32],
}

/// One frame: which payload makes which piece of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Where the payload begins, from the start of the delta.
    pub payload_offset: u64,
    /// Where the frame's bytes begin in the (expanded) result.
    pub result_offset: u64,
    /// Length of the payload in bytes.
    pub payload_length: u32,
    /// How many bytes of the result the frame makes.
    pub result_length: u32,
    /// Which section it belongs to.
    pub section: u32,
    /// How the payload becomes the result.
    pub codec: Codec,
    /// The first half of the SHA-256 of the frame's bytes.
    pub digest: [u8; 16],
}

impl Frame {
    /// The truncated digest of a frame's result.
    pub fn digest_of(result: &[u8]) -> [u8; 16] {
        let mut digest = [0; 16];
        for (to, from) in digest.iter_mut().zip(Sha256::digest(result)) {
            *to = from;
        }
        digest
    }
}

/// Neighbouring frames that share a control block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Section {
    /// Where the control block begins, from the start of the delta.
    pub control_offset: u64,
    /// Length of the control block in bytes.
    pub control_length: u32,
    /// The sum of its columns' lengths.
    pub columns_length: u32,
    /// How many instructions there are.
    pub ops: u32,
    /// How many frames.
    pub frames: u32,
    /// Where its first byte stands in the result.
    pub result_offset: u64,
    /// How many bytes its frames make.
    pub result_length: u32,
}

/// Both images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Images {
    /// The image that the delta starts from.
    pub base: ImageId,
    /// The image that the delta makes.
    pub result: ImageId,
}

/// What a header says besides its index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tables {
    /// The base's packed parts.
    pub base_layout: Layout,
    /// The result's packed parts.
    pub result_layout: Layout,
    /// Where both images run.
    pub addresses: Addresses,
    /// All sections, in the order of the result.
    pub sections: Vec<Section>,
    /// The result's compressed parts that stay packed, and why: for people.
    pub left_alone: Vec<LeftAlone>,
}

/// A parsed header. It exists only if all its numbers agree with each other and with the limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    images: Images,
    ram_bytes: u64,
    frame_bytes: u32,
    frames: Vec<Frame>,
    tables: Tables,
    /// The length of the base, expanded.
    base_expanded: u64,
}

impl Header {
    /// The bytes of a header, as the encoder makes it: of frames only codec, length of payload and
    /// digest count, of sections the numbers of frames and instructions and the lengths of the
    /// control block. `pack` compresses the tables, if it can.
    ///
    /// # Errors
    /// The same rules as in [`Header::parse`], but for the limits: that a delta takes too much
    /// memory is the encoder's to see.
    pub fn build(
        images: Images,
        frame_bytes: u32,
        frames: &[Frame],
        tables: &Tables,
        pack: impl FnOnce(&[u8]) -> Option<Vec<u8>>,
    ) -> Result<(Header, Vec<u8>), DeltaError> {
        let raw = tables.to_bytes();
        let (mut stored, mut method) = (pack(&raw), StreamMethod::Lzma);
        stored = stored.filter(|stored| stored.len() < raw.len());
        if stored.is_none() {
            method = StreamMethod::Stored;
        }
        let mut stream = Vec::new();
        push_stream(&mut stream, method, raw.len(), stored.as_deref().unwrap_or(&raw));
        // The memory needed depends on what parsing finds, and stands in front of it.
        let bytes = to_bytes(images, frame_bytes, frames, &stream, u64::MAX >> 1)?;
        let limits = DecodeLimits { ram_bytes_max: u64::MAX, result_bytes_max: u64::MAX };
        let (header, _) = parse::header(&bytes, &limits)?;
        let needed = ram::header_bytes(bytes.len(), raw.len(), &header);
        let bytes = to_bytes(images, frame_bytes, frames, &stream, needed)?;
        let (header, _) = parse::header(&bytes, &limits)?;
        Ok((header, bytes))
    }

    /// How many bytes [`Header::parse`] needs, known from the first 20 bytes; until there are that
    /// many, the answer is 20.
    ///
    /// # Errors
    /// When the prefix is not that of this format, or the length is out of bounds.
    pub fn length_needed(prefix: &[u8]) -> Result<usize, DeltaError> {
        parse::length_needed(prefix)
    }

    /// Reads the header from the first bytes of a delta, and returns it with its length.
    ///
    /// # Errors
    /// When the bytes are too few, are not a header of this format, contradict themselves, or ask
    /// for more than `limits` or [`ram::BYTES_MAX`] allow.
    pub fn parse(bytes: &[u8], limits: &DecodeLimits) -> Result<(Header, usize), DeltaError> {
        let ram_bytes_max = limits.ram_bytes_max.min(ram::BYTES_MAX);
        parse::header(bytes, &DecodeLimits { ram_bytes_max, ..*limits })
    }

    /// The image that the delta starts from.
    pub fn base(&self) -> &ImageId {
        &self.images.base
    }

    /// The image that the delta makes.
    pub fn result(&self) -> &ImageId {
        &self.images.result
    }

    /// The memory that decoding takes, in bytes.
    pub fn ram_bytes(&self) -> u64 {
        self.ram_bytes
    }

    /// The length of every frame's result but the last one's.
    pub fn frame_bytes(&self) -> u32 {
        self.frame_bytes
    }

    /// All frames, in the order of the result.
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// All sections, in the order of the result.
    pub fn sections(&self) -> &[Section] {
        &self.tables.sections
    }

    /// Layouts, addresses and sections.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// The length of the base, expanded.
    pub fn base_expanded_length(&self) -> u64 {
        self.base_expanded
    }

    /// The length of the result, expanded: the sum over all frames.
    pub fn result_expanded_length(&self) -> u64 {
        let end = |frame: &Frame| frame.result_offset.saturating_add(frame.result_length.into());
        self.frames.last().map_or(0, end)
    }

    /// The length of the whole delta.
    pub fn delta_length(&self) -> Option<u64> {
        let end = |frame: &Frame| frame.payload_offset.saturating_add(frame.payload_length.into());
        self.frames.last().map(end)
    }

    /// Reads the whole base as it lies on disk and checks that it is the one that the delta was
    /// made from. The frames' own digests also notice a wrong base, but only after payloads have
    /// been fetched.
    ///
    /// # Errors
    /// [`DeltaError::WrongBase`], or the reader's error.
    pub fn check_base<B: BaseReader>(&self, base: &mut B) -> Result<(), DeltaError<B::Error>> {
        let mut hasher = Sha256::new();
        let mut chunk = vec![0; ram::BASE_CHUNK_BYTES];
        let mut offset = 0u64;
        while offset < self.images.base.length {
            let left = self.images.base.length.saturating_sub(offset);
            let want = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
            let part = chunk.get_mut(..want).unwrap_or_default();
            base.read_at(offset, part).map_err(DeltaError::Base)?;
            hasher.update(&*part);
            offset = offset.saturating_add(u64::try_from(want).unwrap_or(u64::MAX));
        }
        if hasher.finalize().as_slice() != self.images.base.sha256 {
            return Err(DeltaError::WrongBase);
        }
        Ok(())
    }
}

impl Tables {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.base_layout.push_bytes(&mut bytes);
        self.result_layout.push_bytes(&mut bytes);
        self.addresses.push_bytes(&mut bytes);
        push_number(&mut bytes, u64::try_from(self.sections.len()).unwrap_or(u64::MAX));
        for section in &self.sections {
            let numbers =
                [section.frames, section.ops, section.columns_length, section.control_length];
            for number in numbers {
                push_number(&mut bytes, number.into());
            }
        }
        left::push_bytes(&self.left_alone, &mut bytes);
        bytes
    }
}

fn to_bytes(
    images: Images,
    frame_bytes: u32,
    frames: &[Frame],
    tables: &[u8],
    ram_bytes: u64,
) -> Result<Vec<u8>, DeltaError> {
    let count = u32::try_from(frames.len()).unwrap_or(u32::MAX);
    let length = frames
        .len()
        .checked_mul(crate::FRAME_ENTRY_BYTES)
        .and_then(|entries| entries.checked_add(crate::HEADER_BYTES_MIN))
        .and_then(|length| length.checked_add(tables.len()))
        .filter(|length| *length <= HEADER_BYTES_MAX)
        .and_then(|length| u32::try_from(length).ok())
        .ok_or(DeltaError::HeaderLength { length: u32::MAX, frames: count })?;
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&count.to_le_bytes());
    bytes.extend_from_slice(&ram_bytes.to_le_bytes());
    for image in [&images.base, &images.result] {
        bytes.extend_from_slice(&image.length.to_le_bytes());
        bytes.extend_from_slice(&image.sha256);
    }
    bytes.extend_from_slice(&frame_bytes.to_le_bytes());
    for frame in frames {
        let [a, b, c, _] = frame.payload_length.to_le_bytes();
        bytes.extend_from_slice(&[frame.codec.number(), a, b, c]);
        bytes.extend_from_slice(&frame.digest);
    }
    bytes.extend_from_slice(tables);
    let checksum = Sha256::digest(&bytes);
    bytes.extend_from_slice(&checksum);
    Ok(bytes)
}
