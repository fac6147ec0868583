//! All frames of one delta: which stretch of the base is searched for which frames, and the work on
//! all cores. A stretch is searched as a whole, by one index that all its frames share.

use crate::error::{EncodeError, Side};
use crate::frame::EncodedFrame;
use crate::matching::{Index, scan};
use crate::options::EncodeOptions;
use crate::parallel::parallel;
use crate::sketch::Sketch;
use crate::source::{ReadAt, read};
use lazaret_protocol_delta::{FRAME_ENTRY_BYTES, HEADER_BYTES_MIN};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// So many neighbouring frames are scanned as one piece: what one frame learns about displacements
/// helps the next.
const FRAMES_PER_PIECE: usize = 4;

/// Counts frames and bytes while they are made.
pub(crate) struct Tally<P> {
    frames: usize,
    done: AtomicUsize,
    bytes: AtomicU64,
    bytes_max: u64,
    progress: P,
}

impl<P: Fn(usize, usize) + Sync> Tally<P> {
    /// Before the first frame.
    pub(crate) fn new(frames: usize, options: &EncodeOptions, progress: P) -> Tally<P> {
        let header = HEADER_BYTES_MIN.saturating_add(frames.saturating_mul(FRAME_ENTRY_BYTES));
        let bytes = AtomicU64::new(u64::try_from(header).unwrap_or(u64::MAX));
        let bytes_max = options.delta_bytes_max;
        Tally { frames, done: AtomicUsize::new(0), bytes, bytes_max, progress }
    }

    /// Counts a frame, and refuses it if the delta is too long with it.
    fn count(&self, made: EncodedFrame) -> Result<EncodedFrame, EncodeError> {
        let length = u64::from(made.frame.payload_length);
        let before = self.bytes.fetch_add(length, Ordering::Relaxed);
        if before.saturating_add(length) > self.bytes_max {
            return Err(EncodeError::SavesTooLittle { allowed: self.bytes_max });
        }
        (self.progress)(self.done.fetch_add(1, Ordering::Relaxed) + 1, self.frames);
        Ok(made)
    }
}

/// What all frames of one delta share.
pub(crate) struct Job<'a, B: ?Sized, R: ?Sized> {
    pub(crate) base: &'a B,
    pub(crate) base_length: u64,
    pub(crate) result: &'a R,
    pub(crate) result_length: u64,
    pub(crate) sketch: &'a Sketch,
    pub(crate) options: &'a EncodeOptions,
}

impl<B: ReadAt + ?Sized, R: ReadAt + ?Sized> Job<'_, B, R> {
    /// How many frames there are.
    pub(crate) fn frames(&self) -> usize {
        let frames = self.result_length.div_ceil(self.options.frame_bytes.into());
        usize::try_from(frames).unwrap_or(usize::MAX)
    }

    /// Makes all frames, one stretch of the result after the other, so that one index at a time is
    /// in memory.
    pub(crate) fn encode_frames<P: Fn(usize, usize) + Sync>(
        &self,
        tally: &Tally<P>,
    ) -> Result<Vec<EncodedFrame>, EncodeError> {
        let frames = self.frames();
        let per_stretch = self.frames_per_stretch();
        let mut made = Vec::new();
        let mut first = 0;
        while first < frames {
            let end = first.saturating_add(per_stretch).min(frames);
            made.extend(self.encode_stretch(first..end, tally)?);
            first = end;
        }
        Ok(made)
    }

    /// All frames, if the whole base fits into one window; else half a window's worth, so that what
    /// they come from has room to lie scattered.
    fn frames_per_stretch(&self) -> usize {
        if self.base_length <= self.options.window_bytes {
            return usize::MAX;
        }
        let frames = self.options.window_bytes / 2 / u64::from(self.options.frame_bytes);
        usize::try_from(frames).unwrap_or(usize::MAX).max(1)
    }

    /// Makes neighbouring frames. First those that stand in the base unchanged; an index is made
    /// only if there are others.
    fn encode_stretch<P: Fn(usize, usize) + Sync>(
        &self,
        frames: Range<usize>,
        tally: &Tally<P>,
    ) -> Result<Vec<EncodedFrame>, EncodeError> {
        let threads = self.options.thread_count();
        let copies = parallel(frames.len(), threads, |number| {
            self.copy(frames.start + number)?.map(|made| tally.count(made)).transpose()
        })?;
        let pieces = pieces(&copies);
        let mut pieced = Vec::new();
        if !pieces.is_empty() {
            let (start, window) = self.window(&frames)?;
            let failed = |source| EncodeError::Index { source };
            let index = Index::new(window).map_err(failed)?;
            pieced = parallel(pieces.len(), threads, |number| {
                let piece = pieces.get(number).cloned().unwrap_or_default();
                let piece = frames.start + piece.start..frames.start + piece.end;
                self.encode_piece(piece, &index, start)?
                    .into_iter()
                    .map(|made| tally.count(made))
                    .collect::<Result<Vec<_>, _>>()
            })?;
        }
        let mut pieced = pieced.into_iter().flatten();
        Ok(copies.into_iter().filter_map(|copy| copy.or_else(|| pieced.next())).collect())
    }

    /// Where neighbouring frames lie in the result: offset and length.
    fn place(&self, frames: &Range<usize>) -> (u64, u64) {
        let offset = |frame: usize| {
            let frame = u64::try_from(frame).unwrap_or(u64::MAX);
            frame.saturating_mul(self.options.frame_bytes.into()).min(self.result_length)
        };
        (offset(frames.start), offset(frames.end) - offset(frames.start))
    }

    fn read_result(&self, frames: &Range<usize>) -> Result<Vec<u8>, EncodeError> {
        let (offset, length) = self.place(frames);
        read(self.result, Side::Result, offset, length)
    }

    /// The stretch of the base that is searched for these frames: its start and its bytes.
    fn window(&self, frames: &Range<usize>) -> Result<(u64, Vec<u8>), EncodeError> {
        let length = self.options.window_bytes.min(self.base_length);
        let start = if length == self.base_length {
            0
        } else {
            let (offset, _) = self.place(frames);
            self.sketch.window(&self.read_result(frames)?, offset, length)
        };
        Ok((start, read(self.base, Side::Base, start, length)?))
    }

    /// The frame, if its piece stands in the base unchanged: at the same offset, or where its
    /// samples say.
    fn copy(&self, frame: usize) -> Result<Option<EncodedFrame>, EncodeError> {
        let frames = frame..frame + 1;
        let piece = self.read_result(&frames)?;
        let (offset, length) = self.place(&frames);
        let voted = self.sketch.displacements(&piece);
        let voted = voted.into_iter().filter_map(|shift| u64::try_from(shift).ok());
        for place in std::iter::once(offset).chain(voted) {
            if place.checked_add(length).is_none_or(|end| end > self.base_length) {
                continue;
            }
            if read(self.base, Side::Base, place, length)? == piece {
                return Ok(Some(EncodedFrame::copied(&piece, place)));
            }
        }
        Ok(None)
    }

    /// Scans neighbouring frames as one piece, then makes each.
    fn encode_piece(
        &self,
        frames: Range<usize>,
        index: &Index,
        window_start: u64,
    ) -> Result<Vec<EncodedFrame>, EncodeError> {
        let piece = self.read_result(&frames)?;
        let (offset, _) = self.place(&frames);
        let expected = self.sketch.displacements(&piece).first().copied();
        let expected = expected.and_then(|shift| u64::try_from(shift).ok()).unwrap_or(offset);
        let in_window = usize::try_from(expected.saturating_sub(window_start)).unwrap_or(0);
        let mut steps = scan(index, &piece, in_window);
        let frame_bytes = usize::try_from(self.options.frame_bytes).unwrap_or(usize::MAX);
        let mut made = Vec::new();
        for (frame, part) in frames.zip(piece.chunks(frame_bytes)) {
            let steps = steps.cut(part.len());
            let level = self.options.zstd_level;
            let outcome = EncodedFrame::shortest(part, &steps, index.window(), window_start, level);
            made.push(outcome.map_err(|source| EncodeError::Frame { frame, source })?);
        }
        Ok(made)
    }
}

/// Groups neighbouring frames that are not copies.
fn pieces(copies: &[Option<EncodedFrame>]) -> Vec<Range<usize>> {
    let mut pieces: Vec<Range<usize>> = Vec::new();
    for number in (0..copies.len()).filter(|n| copies.get(*n).is_some_and(Option::is_none)) {
        match pieces.last_mut() {
            Some(last) if last.end == number && last.len() < FRAMES_PER_PIECE => last.end += 1,
            _ => pieces.push(number..number + 1),
        }
    }
    pieces
}
