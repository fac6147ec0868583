//! The bytes of a block that the packer can see: what lies before its place as far as a match may
//! reach, and what has come so far. Places are counted from the start of the block. Pages of one
//! and the same byte are kept as that byte, because a run has to be seen to its end before anything
//! in it can be written, and kernels have runs of megabytes.

use crate::error::Fault;
use std::collections::VecDeque;

/// How far back a match may lie, and one more.
pub(super) const REACH_BYTES: usize = 64 << 10;

/// The length of a page.
const PAGE_BYTES: usize = 4 << 10;

/// How many bytes are kept side by side at most, and how many when these are reached.
pub(super) const RECENT_BYTES_MAX: usize = 256 << 10;
const RECENT_BYTES: usize = 128 << 10;

/// A page of the block.
enum Page {
    Mixed(Box<[u8]>),
    Run(u8),
}

/// Bytes that lie side by side.
#[derive(Clone, Copy)]
enum Piece<'a> {
    Mixed(&'a [u8]),
    Run(u8, usize),
}

/// A sliding buffer with room for a fixed number of mixed pages.
pub(super) struct Window {
    pages: VecDeque<Page>,
    /// Where the first page begins, and where the last byte ends.
    start: usize,
    end: usize,
    mixed: usize,
    mixed_max: usize,
    /// The last bytes once more, side by side, and where they begin: nearly all that is asked for
    /// lies there, and is had without looking for its page.
    recent: Vec<u8>,
    recent_start: usize,
}

impl Window {
    pub(super) fn new(capacity: usize) -> Window {
        Window {
            pages: VecDeque::new(),
            start: 0,
            end: 0,
            mixed: 0,
            mixed_max: capacity / PAGE_BYTES,
            recent: Vec::with_capacity(RECENT_BYTES_MAX),
            recent_start: 0,
        }
    }

    /// The place after the last byte that has come.
    pub(super) fn end(&self) -> usize {
        self.end
    }

    /// Takes the first of `bytes`, at most a page, and returns the others. `anchor` is the place
    /// before which only matches reach.
    ///
    /// # Errors
    /// When there is no room.
    pub(super) fn fill<'a>(&mut self, bytes: &'a [u8], anchor: usize) -> Result<&'a [u8], Fault> {
        let at = self.end % PAGE_BYTES;
        if at == 0 {
            self.forget(anchor);
            if self.mixed >= self.mixed_max {
                return Err(Fault::Buffer);
            }
            self.mixed += 1;
            self.pages.push_back(Page::Mixed(vec![0; PAGE_BYTES].into_boxed_slice()));
        }
        let (now, later) = bytes.split_at((PAGE_BYTES - at).min(bytes.len()));
        if let Some(Page::Mixed(page)) = self.pages.back_mut()
            && let Some(to) = page.get_mut(at..at + now.len())
        {
            to.copy_from_slice(now);
        }
        if self.recent.len() + now.len() > RECENT_BYTES_MAX {
            let dropped = self.recent.len() - RECENT_BYTES;
            self.recent.drain(..dropped);
            self.recent_start += dropped;
        }
        self.recent.extend_from_slice(now);
        self.end += now.len();
        if self.end.is_multiple_of(PAGE_BYTES) {
            self.settle();
        }
        Ok(later)
    }

    /// Drops the pages that nothing reaches any more.
    fn forget(&mut self, anchor: usize) {
        while self.start + PAGE_BYTES + REACH_BYTES <= anchor {
            if let Some(Page::Mixed(_)) = self.pages.pop_front() {
                self.mixed -= 1;
            }
            self.start += PAGE_BYTES;
        }
    }

    /// Keeps the last page, which is full, as one byte if it can be.
    fn settle(&mut self) {
        let Some(last) = self.pages.back_mut() else { return };
        let Page::Mixed(bytes) = last else { return };
        if let Some(byte) = bytes.first().copied()
            && bytes.iter().all(|other| *other == byte)
        {
            *last = Page::Run(byte);
            self.mixed -= 1;
        }
    }

    /// All bytes from a place on, if they lie side by side.
    #[inline]
    fn recent(&self, place: usize) -> Option<&[u8]> {
        self.recent.get(place.checked_sub(self.recent_start)?..)
    }

    /// The bytes between two places, if they lie side by side.
    #[inline]
    fn between(&self, from: usize, to: usize) -> Option<&[u8]> {
        self.recent.get(from.checked_sub(self.recent_start)?..to.checked_sub(self.recent_start)?)
    }

    /// The bytes from a place up to the end of its page, or of what has come.
    fn after(&self, place: usize) -> Piece<'_> {
        let (page, at) = self.page(place);
        let length = (PAGE_BYTES - at).min(self.end.saturating_sub(place));
        match page {
            Some(Page::Mixed(bytes)) => {
                Piece::Mixed(bytes.get(at..at + length).unwrap_or_default())
            }
            Some(Page::Run(byte)) => Piece::Run(*byte, length),
            None => Piece::Mixed(&[]),
        }
    }

    /// The bytes before a place down to the start of their page.
    fn before(&self, place: usize) -> Piece<'_> {
        let (page, at) = self.page(place.wrapping_sub(1));
        match page {
            Some(Page::Mixed(bytes)) => Piece::Mixed(bytes.get(..=at).unwrap_or_default()),
            Some(Page::Run(byte)) => Piece::Run(*byte, at + 1),
            None => Piece::Mixed(&[]),
        }
    }

    fn page(&self, place: usize) -> (Option<&Page>, usize) {
        let into = place.wrapping_sub(self.start);
        (self.pages.get(into / PAGE_BYTES), into % PAGE_BYTES)
    }

    #[inline]
    fn bytes<const COUNT: usize>(&self, place: usize) -> [u8; COUNT] {
        match self.recent(place).and_then(|bytes| bytes.first_chunk()) {
            Some(bytes) => *bytes,
            None => self.bytes_in_pages(place),
        }
    }

    #[cold]
    fn bytes_in_pages<const COUNT: usize>(&self, place: usize) -> [u8; COUNT] {
        match self.after(place) {
            Piece::Mixed(bytes) if bytes.len() >= COUNT => {
                bytes.first_chunk().copied().unwrap_or([0; COUNT])
            }
            Piece::Run(byte, length) if length >= COUNT => [byte; COUNT],
            _ => {
                let mut at = place;
                [0; COUNT].map(|_| {
                    at += 1;
                    match self.after(at - 1) {
                        Piece::Mixed(bytes) => bytes.first().copied().unwrap_or(0),
                        Piece::Run(byte, _) => byte,
                    }
                })
            }
        }
    }

    /// Four bytes as a number.
    pub(super) fn four(&self, place: usize) -> u32 {
        u32::from_le_bytes(self.bytes(place))
    }

    /// Two bytes as a number.
    pub(super) fn two(&self, place: usize) -> u16 {
        u16::from_le_bytes(self.bytes(place))
    }

    /// How many bytes from `earlier` on are those from `later` on, up to `limit`.
    pub(super) fn common(&self, earlier: usize, later: usize, limit: usize) -> usize {
        let length = limit.saturating_sub(later);
        let sides = (self.between(earlier, earlier + length), self.between(later, later + length));
        if let (Some(one), Some(other)) = sides {
            return common(one, other);
        }
        let mut count = 0;
        while later + count < limit {
            let left = limit - later - count;
            let (one, other) = (self.after(earlier + count), self.after(later + count));
            let length = one.length().min(other.length()).min(left);
            let same = same_at_start(one, other, length);
            count += same;
            if same < length || length == 0 {
                break;
            }
        }
        count
    }

    /// How many bytes before `earlier` are those before `later`, down to `low` of the latter.
    pub(super) fn common_back(&self, earlier: usize, later: usize, low: usize) -> usize {
        let reach = (later - low).min(earlier);
        let sides = (self.between(earlier - reach, earlier), self.between(later - reach, later));
        if let (Some(one), Some(other)) = sides {
            let pairs = one.iter().rev().zip(other.iter().rev());
            return pairs.take_while(|(one, other)| one == other).count();
        }
        let mut count = 0;
        while count < reach {
            let (one, other) = (self.before(earlier - count), self.before(later - count));
            let length = one.length().min(other.length()).min(reach - count);
            let same = same_at_end(one, other, length);
            count += same;
            if same < length || length == 0 {
                break;
            }
        }
        count
    }

    /// How many bytes from `place` on, up to `limit`, are `byte`.
    pub(super) fn run(&self, place: usize, limit: usize, byte: u8) -> usize {
        if let Some(bytes) = self.between(place, limit) {
            return run(bytes, byte);
        }
        let mut count = 0;
        while place + count < limit {
            let piece = self.after(place + count);
            let length = piece.length().min(limit - place - count);
            let same = same_at_start(piece, Piece::Run(byte, length), length);
            count += same;
            if same < length || length == 0 {
                break;
            }
        }
        count
    }

    /// How many bytes before `place`, down to `low`, are `byte`.
    pub(super) fn run_back(&self, place: usize, low: usize, byte: u8) -> usize {
        let mut count = 0;
        while place - count > low {
            let piece = self.before(place - count);
            let length = piece.length().min(place - count - low);
            let same = same_at_end(piece, Piece::Run(byte, length), length);
            count += same;
            if same < length || length == 0 {
                break;
            }
        }
        count
    }

    /// Hands out the bytes between two places.
    pub(super) fn copy(&self, mut from: usize, to: usize, out: crate::codec::Out<'_>) {
        if let Some(bytes) = self.between(from, to) {
            return out(bytes);
        }
        while from < to {
            let piece = self.after(from);
            let length = piece.length().min(to - from);
            if length == 0 {
                return;
            }
            match piece {
                Piece::Mixed(bytes) => out(bytes.get(..length).unwrap_or_default()),
                Piece::Run(byte, _) => out(&vec![byte; length]),
            }
            from += length;
        }
    }
}

impl Piece<'_> {
    fn length(&self) -> usize {
        match self {
            Piece::Mixed(bytes) => bytes.len(),
            Piece::Run(_, length) => *length,
        }
    }
}

/// The length of the common start of two pieces, of at most `length`, which both have.
fn same_at_start(one: Piece<'_>, other: Piece<'_>, length: usize) -> usize {
    match (one, other) {
        (Piece::Mixed(one), Piece::Mixed(other)) => {
            common(one.get(..length).unwrap_or_default(), other.get(..length).unwrap_or_default())
        }
        (Piece::Run(one, _), Piece::Run(other, _)) => {
            if one == other {
                length
            } else {
                0
            }
        }
        (Piece::Mixed(bytes), Piece::Run(byte, _)) | (Piece::Run(byte, _), Piece::Mixed(bytes)) => {
            bytes.iter().take(length).take_while(|other| **other == byte).count()
        }
    }
}

/// The length of the common end of two pieces, of at most `length`, which both have.
fn same_at_end(one: Piece<'_>, other: Piece<'_>, length: usize) -> usize {
    match (one, other) {
        (Piece::Mixed(one), Piece::Mixed(other)) => {
            let pairs = one.iter().rev().zip(other.iter().rev());
            pairs.take(length).take_while(|(one, other)| one == other).count()
        }
        (Piece::Run(one, _), Piece::Run(other, _)) => {
            if one == other {
                length
            } else {
                0
            }
        }
        (Piece::Mixed(bytes), Piece::Run(byte, _)) | (Piece::Run(byte, _), Piece::Mixed(bytes)) => {
            bytes.iter().rev().take(length).take_while(|other| **other == byte).count()
        }
    }
}

/// How many bytes at the start are `byte`, by eight bytes.
fn run(bytes: &[u8], byte: u8) -> usize {
    let whole = bytes.as_chunks::<8>().0.iter().take_while(|word| **word == [byte; 8]).count() * 8;
    let rest = bytes.get(whole..).unwrap_or_default().iter();
    whole + rest.take_while(|other| **other == byte).count()
}

/// The length of the common start of two slices, by eight bytes.
#[inline]
fn common(one: &[u8], other: &[u8]) -> usize {
    let mut count = 0;
    let words = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
    for (left, right) in one.as_chunks::<8>().0.iter().zip(other.as_chunks::<8>().0) {
        let difference = words(left) ^ words(right);
        if difference != 0 {
            return count + usize::try_from(difference.trailing_zeros() / 8).unwrap_or(0);
        }
        count += 8;
    }
    let one = one.get(count..).unwrap_or_default().iter();
    let other = other.get(count..).unwrap_or_default().iter();
    count + one.zip(other).take_while(|(left, right)| left == right).count()
}
