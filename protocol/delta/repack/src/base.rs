//! The base as the delta sees it: expanded. Parts are unpacked when they are read; what was
//! unpacked last is kept. Parts too long to be held are unpacked piece by piece, from marks to go
//! back to.

mod stream;

use crate::codec::Codec;
use crate::error::{BaseError, Fault};
use crate::memory::{CACHE_BYTES, WHOLE_BYTES_MAX};
use lazaret_protocol_delta::BaseReader;
use lazaret_protocol_delta::layout::{Layout, Placed, Segment};
use std::collections::VecDeque;
use stream::{PAGE_BYTES, Streams};

/// A delta may make the device unpack so many times what the parts have, and no more.
const EFFORT_FACTOR: u64 = 256;

/// A base whose packed parts read as if they were not.
pub struct ExpandedBase<B> {
    base: B,
    placed: Vec<Placed>,
    length: u64,
    cache: Cache,
    streams: Streams,
    /// How many bytes may still be unpacked, of how many.
    effort: (u64, u64),
}

impl<B: std::fmt::Debug> std::fmt::Debug for ExpandedBase<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("ExpandedBase");
        shown.field("base", &self.base).field("length", &self.length).finish_non_exhaustive()
    }
}

/// A part of the base that is being read.
#[derive(Clone, Copy)]
struct Part {
    number: usize,
    codec: Codec,
    offset: u64,
    packed: u32,
    unpacked: u32,
}

impl<B: BaseReader> ExpandedBase<B> {
    /// The base with this layout and `length` bytes on disk. Its codecs are checked when they are
    /// read; [`crate::memory_bytes`] checks them all beforehand.
    ///
    /// # Errors
    /// When the layout is not that of such an image.
    pub fn new(base: B, layout: &Layout, length: u64) -> Result<ExpandedBase<B>, Fault> {
        let expanded = layout.expanded_length(length).ok_or(Fault::Layout)?;
        let placed: Vec<Placed> = layout.placed().collect();
        let packed = |placed: &&Placed| matches!(placed.segment, Segment::Packed { .. });
        let lengths = placed.iter().filter(packed).map(|placed| placed.segment.expanded_length());
        let content: u64 = lengths.sum();
        let effort = content.saturating_mul(EFFORT_FACTOR);
        Ok(ExpandedBase {
            base,
            streams: Streams::new(content),
            placed,
            length: expanded,
            cache: Cache::default(),
            effort: (effort, effort),
        })
    }

    /// The base on disk.
    pub fn packed(&mut self) -> &mut B {
        &mut self.base
    }

    /// How many bytes have been unpacked.
    pub fn unpacked_bytes(&self) -> u64 {
        self.effort.1 - self.effort.0
    }

    /// Fills the start of `buf` from one segment, and says with how many bytes.
    fn read_some(&mut self, offset: u64, buf: &mut [u8]) -> Result<usize, BaseError<B::Error>> {
        let after = self.placed.partition_point(|placed| placed.expanded_offset <= offset);
        let number = after.checked_sub(1).ok_or(BaseError::Outside)?;
        let placed = *self.placed.get(number).ok_or(BaseError::Outside)?;
        let into = offset - placed.expanded_offset;
        let left = placed.segment.expanded_length().saturating_sub(into);
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        let buf = buf.get_mut(..count).unwrap_or_default();
        match placed.segment {
            Segment::Plain { .. } => {
                self.base.read_at(placed.packed_offset + into, buf).map_err(BaseError::Packed)?;
                Ok(count)
            }
            Segment::Packed { codec, parameter, packed, unpacked } => {
                let codec = Codec::from_numbers(codec, parameter).map_err(BaseError::Part)?;
                let offset = placed.packed_offset;
                self.read_part(Part { number, codec, offset, packed, unpacked }, into, buf)
            }
        }
    }

    /// Fills the start of `buf` from a packed part, and says with how many bytes.
    fn read_part(
        &mut self,
        part: Part,
        into: u64,
        buf: &mut [u8],
    ) -> Result<usize, BaseError<B::Error>> {
        let page_bytes =
            if part.unpacked <= WHOLE_BYTES_MAX { u64::from(u32::MAX) } else { PAGE_BYTES };
        let key = (part.number, into / page_bytes);
        if !self.cache.has(key) {
            let page = self.page(part, into / page_bytes)?;
            self.cache.keep(key, page);
        }
        let start = usize::try_from(into % page_bytes).unwrap_or(usize::MAX);
        let content = self.cache.content(key).get(start..).unwrap_or_default();
        let count = content.len().min(buf.len());
        if count == 0 {
            return Err(BaseError::Part(Fault::Malformed));
        }
        for (to, from) in buf.iter_mut().zip(content) {
            *to = *from;
        }
        Ok(count)
    }

    /// Unpacks the whole part, or a page of it.
    fn page(&mut self, part: Part, page: u64) -> Result<Vec<u8>, BaseError<B::Error>> {
        if part.unpacked <= WHOLE_BYTES_MAX {
            spend(&mut self.effort, part.unpacked.into())?;
            let length = |length: u32| usize::try_from(length).unwrap_or(usize::MAX);
            let mut packed = vec![0; length(part.packed)];
            self.base.read_at(part.offset, &mut packed).map_err(BaseError::Packed)?;
            return part.codec.unpack(&packed, length(part.unpacked)).map_err(BaseError::Part);
        }
        if !part.codec.is_streamed() {
            let (name, unpacked) = (part.codec.name(), part.unpacked);
            return Err(BaseError::Part(Fault::TooLong { name, unpacked }));
        }
        self.streams.page(&mut self.base, part, page, &mut self.effort)
    }
}

/// Counts what is unpacked, and refuses what is too much.
fn spend<E: core::error::Error + 'static>(
    effort: &mut (u64, u64),
    bytes: u64,
) -> Result<(), BaseError<E>> {
    effort.0 = effort.0.checked_sub(bytes).ok_or(BaseError::Effort { allowed: effort.1 })?;
    Ok(())
}

impl<B: BaseReader> BaseReader for ExpandedBase<B> {
    type Error = BaseError<B::Error>;

    fn read_at(&mut self, mut offset: u64, mut buf: &mut [u8]) -> Result<(), Self::Error> {
        if self.placed.is_empty() {
            return self.base.read_at(offset, buf).map_err(BaseError::Packed);
        }
        let length = u64::try_from(buf.len()).unwrap_or(u64::MAX);
        if offset.checked_add(length).is_none_or(|end| end > self.length) {
            return Err(BaseError::Outside);
        }
        while !buf.is_empty() {
            let count = self.read_some(offset, buf)?;
            offset += u64::try_from(count).unwrap_or(u64::MAX);
            buf = buf.get_mut(count..).unwrap_or_default();
        }
        Ok(())
    }
}

/// Which unpacked bytes: the number of the segment, and of the page in it.
type Key = (usize, u64);

/// What was unpacked last, the latest in front. Together they are no longer than [`CACHE_BYTES`],
/// unless it is only one.
#[derive(Default)]
struct Cache {
    pages: VecDeque<(Key, Vec<u8>)>,
    bytes: usize,
}

impl Cache {
    /// Whether these bytes are there; if so, they are in front.
    fn has(&mut self, key: Key) -> bool {
        let Some(at) = self.pages.iter().position(|(other, _)| *other == key) else { return false };
        if at > 0
            && let Some(page) = self.pages.remove(at)
        {
            self.pages.push_front(page);
        }
        true
    }

    fn keep(&mut self, key: Key, page: Vec<u8>) {
        self.bytes += page.len();
        self.pages.push_front((key, page));
        while self.bytes > CACHE_BYTES && self.pages.len() > 1 {
            let old = self.pages.pop_back();
            self.bytes -= old.map_or(0, |(_, page)| page.len());
        }
    }

    fn content(&self, key: Key) -> &[u8] {
        let front = self.pages.front().filter(|(other, _)| *other == key);
        front.map_or(&[], |(_, page)| page.as_slice())
    }
}
