//! Parts of a base that are too long to be held: unpacked page by page. Reads go mostly forward
//! along a few lines, so the places of the last ones are kept, and for the others, marks at even
//! distances.

use super::{Part, spend};
use crate::codec::{Codec, Unpacker, deflate, lz4};
use crate::error::{BaseError, Fault};
use crate::memory::{LAST_MAX, MARKS_MAX, PIECE_BYTES};
use lazaret_protocol_delta::BaseReader;
use std::collections::VecDeque;

/// How much is unpacked at a time.
pub(super) const PAGE_BYTES: u64 = 16 << 10;

/// Where unpacking of a part stands.
#[derive(Clone)]
struct Place {
    number: usize,
    /// How many packed bytes have been taken, and how many unpacked ones made.
    taken: u64,
    made: u64,
    state: Unpacker,
}

/// The places of the last reads, the latest in front, and the marks.
pub(super) struct Streams {
    last: VecDeque<Place>,
    marks: Vec<Place>,
    /// How many unpacked bytes lie between marks: whole pages.
    distance: u64,
}

impl Streams {
    /// For parts of `content` bytes together.
    pub(super) fn new(content: u64) -> Streams {
        let marks = u64::try_from(MARKS_MAX).unwrap_or(1).saturating_sub(1);
        let distance = content.div_ceil(PAGE_BYTES * marks).max(1) * PAGE_BYTES;
        Streams { last: VecDeque::new(), marks: Vec::new(), distance }
    }

    /// A page of a part.
    pub(super) fn page<B: BaseReader>(
        &mut self,
        base: &mut B,
        part: Part,
        page: u64,
        effort: &mut (u64, u64),
    ) -> Result<Vec<u8>, BaseError<B::Error>> {
        let start = page * PAGE_BYTES;
        let mut place = self.nearest(part, start)?;
        let mut input = Input { base, part, bytes: Vec::new(), at: 0 };
        let mut content = Vec::new();
        while place.made <= start {
            self.mark(&place);
            let length = (u64::from(part.unpacked).saturating_sub(place.made)).min(PAGE_BYTES);
            spend(effort, length)?;
            content.resize(usize::try_from(length).unwrap_or(0), 0);
            input.fill(&mut place, &mut content)?;
            if content.is_empty() {
                return Err(BaseError::Part(Fault::Malformed));
            }
        }
        self.last.push_front(place);
        self.last.truncate(LAST_MAX);
        Ok(content)
    }

    /// The place from which the least is to be unpacked up to `start`.
    fn nearest<E>(&mut self, part: Part, start: u64) -> Result<Place, BaseError<E>>
    where
        E: core::error::Error + 'static,
    {
        let fits = |place: &&Place| place.number == part.number && place.made <= start;
        let mark = self.marks.iter().filter(fits).max_by_key(|place| place.made);
        let reached = mark.map_or(0, |mark| mark.made);
        let last = (self.last.iter().enumerate())
            .filter(|(_, place)| fits(place) && place.made >= reached)
            .max_by_key(|(_, place)| place.made);
        if let Some(last) = last.map(|(at, _)| at).and_then(|at| self.last.remove(at)) {
            return Ok(last);
        }
        if let Some(mark) = mark {
            return Ok(mark.clone());
        }
        let state = match part.codec {
            Codec::Deflate { .. } => Unpacker::Deflate(deflate::Unpacker::new()),
            Codec::Lz4 { .. } => Unpacker::Lz4(lz4::Unpacker::new()),
            Codec::Zstd { .. } => {
                let (name, unpacked) = (part.codec.name(), part.unpacked);
                return Err(BaseError::Part(Fault::TooLong { name, unpacked }));
            }
        };
        Ok(Place { number: part.number, taken: 0, made: 0, state })
    }

    /// Keeps a place, if one is to be kept there and there is room.
    fn mark(&mut self, place: &Place) {
        let is_due = place.made > 0 && place.made.is_multiple_of(self.distance);
        let same = |mark: &Place| mark.number == place.number && mark.made == place.made;
        if is_due && self.marks.len() < MARKS_MAX && !self.marks.iter().any(same) {
            self.marks.push(place.clone());
        }
    }
}

/// The packed bytes of a part, read in pieces.
struct Input<'a, B> {
    base: &'a mut B,
    part: Part,
    bytes: Vec<u8>,
    /// Where in the part the piece begins.
    at: u64,
}

impl<B: BaseReader> Input<'_, B> {
    /// Fills all of `out` from where `place` stands, and moves it on.
    fn fill(&mut self, place: &mut Place, out: &mut [u8]) -> Result<(), BaseError<B::Error>> {
        let mut done = 0;
        while done < out.len() {
            let into = usize::try_from(place.taken.wrapping_sub(self.at)).unwrap_or(usize::MAX);
            if self.bytes.get(into..).is_none_or(<[u8]>::is_empty) {
                self.read(place.taken)?;
            }
            let into = usize::try_from(place.taken - self.at).unwrap_or(usize::MAX);
            let input = self.bytes.get(into..).unwrap_or_default();
            let room = out.get_mut(done..).unwrap_or_default();
            let (taken, made) = place.state.next(input, room).map_err(BaseError::Part)?;
            if taken == 0 && made == 0 {
                return Err(BaseError::Part(Fault::Malformed));
            }
            place.taken += u64::try_from(taken).unwrap_or(u64::MAX);
            place.made += u64::try_from(made).unwrap_or(u64::MAX);
            done += made;
        }
        Ok(())
    }

    /// Reads the piece that begins at `at`; an empty one at the end of the part.
    fn read(&mut self, at: u64) -> Result<(), BaseError<B::Error>> {
        let left = u64::from(self.part.packed).saturating_sub(at);
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE_BYTES);
        self.at = at;
        self.bytes.resize(length, 0);
        self.base.read_at(self.part.offset + at, &mut self.bytes).map_err(BaseError::Packed)
    }
}
