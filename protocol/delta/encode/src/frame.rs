//! One frame: reads its piece and its window, tries every codec, keeps the shortest payload.

use crate::compress;
use crate::error::{EncodeError, Side};
use crate::matching;
use crate::options::EncodeOptions;
use crate::sketch::Sketch;
use crate::source::{ReadAt, read};
use crate::streams;
use lazaret_protocol_delta::{Codec, Frame};
use std::io;

/// Below this, the codec with a single stream is tried too.
const SMALL_PAYLOAD_BYTES: usize = 2 << 10;

/// What all frames of one encoding share.
pub(crate) struct Job<'a, B: ?Sized, R: ?Sized> {
    pub(crate) base: &'a B,
    pub(crate) base_length: u64,
    pub(crate) result: &'a R,
    pub(crate) result_length: u64,
    pub(crate) sketch: &'a Sketch,
    pub(crate) options: &'a EncodeOptions,
}

/// A finished frame. Its offsets are not set; the header sets them.
pub(crate) struct EncodedFrame {
    pub(crate) frame: Frame,
    pub(crate) payload: Vec<u8>,
}

impl<B: ReadAt + ?Sized, R: ReadAt + ?Sized> Job<'_, B, R> {
    /// How many frames there are.
    pub(crate) fn frames(&self) -> u64 {
        self.result_length.div_ceil(self.options.frame_bytes.into())
    }

    /// Makes frame `number`.
    pub(crate) fn encode(&self, number: usize) -> Result<EncodedFrame, EncodeError> {
        let frame_bytes = u64::from(self.options.frame_bytes);
        let offset = u64::try_from(number).unwrap_or(u64::MAX).saturating_mul(frame_bytes);
        let length = frame_bytes.min(self.result_length.saturating_sub(offset));
        let piece = read(self.result, Side::Result, offset, length)?;
        if let Some(place) = self.exact_copy(&piece, offset)? {
            return Ok(finished(&piece, Codec::Copy, (place, length), Vec::new()));
        }
        let window_bytes = self.options.window_bytes.min(self.base_length);
        let start = self.sketch.window(&piece, offset, window_bytes);
        let window = read(self.base, Side::Base, start, window_bytes)?;
        let (codec, payload) = smallest(&window, &piece, self.options.zstd_level)
            .map_err(|source| EncodeError::Frame { frame: number, source })?;
        let range = match codec {
            Codec::Stored | Codec::Zstd => (0, 0),
            Codec::Copy | Codec::Bsdiff | Codec::Split => (start, window_bytes),
        };
        Ok(finished(&piece, codec, range, payload))
    }

    /// Where the whole piece stands in the base unchanged, if it is found at the same offset or
    /// where its samples say.
    fn exact_copy(&self, piece: &[u8], offset: u64) -> Result<Option<u64>, EncodeError> {
        let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        let voted = self.sketch.displacements(piece);
        let voted = voted.into_iter().filter_map(|shift| u64::try_from(shift).ok());
        for place in std::iter::once(offset).chain(voted) {
            if place.checked_add(length).is_none_or(|end| end > self.base_length) {
                continue;
            }
            if read(self.base, Side::Base, place, length)? == piece {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }
}

/// The shortest payload for the piece; of equals, the one that is simpler to decode.
fn smallest(window: &[u8], piece: &[u8], level: i32) -> io::Result<(Codec, Vec<u8>)> {
    let instructions = matching::reference(window, piece)?;
    let split = streams::split(window, piece, &instructions, level)?;
    let mut candidates =
        vec![(Codec::Stored, piece.to_vec()), (Codec::Zstd, compress::zstd(piece, level)?)];
    // One stream instead of three saves their heads, and loses everything else: it is worth a try
    // only where the heads count.
    if split.len() < SMALL_PAYLOAD_BYTES {
        let stream = streams::bsdiff(window, piece, &instructions)?;
        candidates.push((Codec::Bsdiff, compress::zstd(&stream, level)?));
    }
    candidates.push((Codec::Split, split));
    let shortest = candidates.into_iter().min_by_key(|(_, payload)| payload.len());
    shortest.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn finished(piece: &[u8], codec: Codec, window: (u64, u64), payload: Vec<u8>) -> EncodedFrame {
    let frame = Frame {
        payload_offset: 0,
        payload_length: u32::try_from(payload.len()).unwrap_or(u32::MAX),
        result_offset: 0,
        result_length: u32::try_from(piece.len()).unwrap_or(u32::MAX),
        window_offset: window.0,
        window_length: window.1,
        codec,
        digest: Frame::digest_of(piece),
    };
    EncodedFrame { frame, payload }
}
