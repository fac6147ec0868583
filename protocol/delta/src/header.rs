//! The header: its bytes, its limits, and the index that says where every frame lies. Decoding a
//! frame is in `decode`; computing digests of whole images is the caller's.

mod parse;
#[cfg(test)]
mod tests;

use crate::base::BaseReader;
use crate::codec::Codec;
use crate::error::DeltaError;
use crate::{FRAME_ENTRY_BYTES, HEADER_BYTES_MAX, HEADER_BYTES_MIN, MAGIC, ram};
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

/// Which image is meant: its length and SHA-256.
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
    /// Length of the payload in bytes.
    pub payload_length: u32,
    /// Where the frame's bytes begin in the result.
    pub result_offset: u64,
    /// How many bytes of the result the frame makes.
    pub result_length: u32,
    /// Where the window of the base begins.
    pub window_offset: u64,
    /// Length of the window; no byte of the base outside it is read.
    pub window_length: u64,
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

/// A parsed header. It exists only if all its numbers agree with each other and with the limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    base: ImageId,
    result: ImageId,
    ram_bytes: u64,
    frames: Vec<Frame>,
}

impl Header {
    /// Puts a header together, as the encoder does. Payload and result offsets of the frames are
    /// set to the running sums, whatever they were.
    ///
    /// # Errors
    /// The same rules as in [`Header::parse`], but for the limits.
    pub fn new(base: ImageId, result: ImageId, frames: Vec<Frame>) -> Result<Header, DeltaError> {
        let ram_bytes = ram_needed(&frames);
        let mut header = Header { base, result, ram_bytes, frames };
        let bytes = header.to_bytes()?;
        let limits = DecodeLimits { ram_bytes_max: u64::MAX, result_bytes_max: u64::MAX };
        (header, _) = Header::parse(&bytes, &limits)?;
        Ok(header)
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
    /// for more than `limits` allow.
    pub fn parse(bytes: &[u8], limits: &DecodeLimits) -> Result<(Header, usize), DeltaError> {
        parse::header(bytes, limits)
    }

    /// The header's bytes, checksum included.
    ///
    /// # Errors
    /// When there are more frames than a header may have.
    pub fn to_bytes(&self) -> Result<Vec<u8>, DeltaError> {
        let count = u32::try_from(self.frames.len()).unwrap_or(u32::MAX);
        let length = self
            .frames
            .len()
            .checked_mul(FRAME_ENTRY_BYTES)
            .and_then(|entries| entries.checked_add(HEADER_BYTES_MIN))
            .filter(|length| *length <= HEADER_BYTES_MAX)
            .and_then(|length| u32::try_from(length).ok())
            .ok_or(DeltaError::HeaderLength { length: u32::MAX, frames: count })?;
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&count.to_le_bytes());
        bytes.extend_from_slice(&self.ram_bytes.to_le_bytes());
        for image in [&self.base, &self.result] {
            bytes.extend_from_slice(&image.length.to_le_bytes());
            bytes.extend_from_slice(&image.sha256);
        }
        bytes.extend_from_slice(&[0; 8]);
        for frame in &self.frames {
            bytes.extend_from_slice(&frame.window_offset.to_le_bytes());
            bytes.extend_from_slice(&frame.window_length.to_le_bytes());
            bytes.extend_from_slice(&frame.result_length.to_le_bytes());
            bytes.extend_from_slice(&frame.payload_length.to_le_bytes());
            bytes.extend_from_slice(&[frame.codec.number(), 0, 0, 0]);
            bytes.extend_from_slice(&frame.digest);
        }
        let checksum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&checksum);
        Ok(bytes)
    }

    /// The image that the delta starts from.
    pub fn base(&self) -> &ImageId {
        &self.base
    }

    /// The image that the delta makes.
    pub fn result(&self) -> &ImageId {
        &self.result
    }

    /// The memory that decoding takes, in bytes.
    pub fn ram_bytes(&self) -> u64 {
        self.ram_bytes
    }

    /// All frames, in the order of the result.
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// Reads the whole base and checks that it is the one that the delta was made from. The frames'
    /// own digests also notice a wrong base, but only after payloads have been fetched.
    ///
    /// # Errors
    /// [`DeltaError::WrongBase`], or the reader's error.
    pub fn check_base<B: BaseReader>(&self, base: &mut B) -> Result<(), DeltaError<B::Error>> {
        let mut hasher = Sha256::new();
        let mut chunk = vec![0; ram::BASE_CHUNK_BYTES];
        let mut offset = 0u64;
        while offset < self.base.length {
            let left = self.base.length.saturating_sub(offset);
            let want = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
            let part = chunk.get_mut(..want).unwrap_or_default();
            base.read_at(offset, part).map_err(DeltaError::Base)?;
            hasher.update(&*part);
            offset = offset.saturating_add(u64::try_from(want).unwrap_or(u64::MAX));
        }
        if hasher.finalize().as_slice() != self.base.sha256 {
            return Err(DeltaError::WrongBase);
        }
        Ok(())
    }
}

/// The memory that decoding these frames takes: the index and the most demanding frame.
pub(crate) fn ram_needed(frames: &[Frame]) -> u64 {
    let count = u64::try_from(frames.len()).unwrap_or(u64::MAX);
    let most = frames
        .iter()
        .map(|frame| ram::frame_bytes(frame.codec, frame.result_length, frame.payload_length))
        .max()
        .unwrap_or(0);
    count.saturating_mul(ram::INDEX_ENTRY_BYTES).saturating_add(most)
}
