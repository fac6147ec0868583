//! The control block of a section: which bytes of the base make which bytes of the result. What is
//! added to them and what is inserted between them is in the frames.

#[cfg(test)]
mod tests;

use crate::error::ControlFault;
use crate::number::{Numbers, push_number, push_signed};
use alloc::collections::BinaryHeap;
use alloc::vec::Vec;

/// No section has more instructions.
pub const OPS_MAX: usize = 1 << 16;

/// No control block is longer before it is compressed.
pub const CONTROL_BYTES_MAX: usize = 1 << 21;

/// How many of the last displacements an instruction can name by their age.
const RECENT: usize = 15;

/// One step of making a section: `add` bytes from the base at `old` and the differences, then
/// `insert` literal bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Op {
    /// Where in the base the bytes begin that are added to.
    pub old: u64,
    /// How many.
    pub add: u32,
    /// How many literal bytes follow.
    pub insert: u32,
}

/// The columns of a control block: how many bytes are added, how many inserted, which displacement,
/// and displacements that are new.
pub const COLUMNS: usize = 4;

/// The columns for these instructions, of which the first makes the byte `first` of the result.
pub fn control_columns(ops: &[Op], first: u64) -> [Vec<u8>; COLUMNS] {
    let [mut adds, mut inserts, mut ages, mut news] = [const { Vec::new() }; COLUMNS];
    let mut recent = [0i64; RECENT];
    let mut new = first;
    for op in ops {
        push_number(&mut adds, op.add.into());
        push_number(&mut inserts, op.insert.into());
        if op.add > 0 {
            let displacement = op.old.wrapping_sub(new).cast_signed();
            let age = recent.iter().position(|known| *known == displacement);
            ages.push(age.and_then(|age| u8::try_from(age).ok()).unwrap_or(RECENT_MISS));
            if age.is_none() {
                push_signed(&mut news, displacement.wrapping_sub(recent[0]));
            }
            remember(&mut recent, displacement, age);
        }
        new = new.wrapping_add(op.add.into()).wrapping_add(op.insert.into());
    }
    [adds, inserts, ages, news]
}

/// The age that stands for a displacement that is not among the recent ones.
const RECENT_MISS: u8 = 15;

/// Brings a displacement to the front.
fn remember(recent: &mut [i64; RECENT], displacement: i64, age: Option<usize>) {
    let end = age.map_or(RECENT, |age| age.saturating_add(1));
    if let Some(moved) = recent.get_mut(..end) {
        moved.rotate_right(1);
    }
    recent[0] = displacement;
}

/// Bytes of the result that are made from bytes of the base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Where they begin in the base.
    pub(crate) old: u64,
    /// Where they begin in the section.
    pub(crate) new: u32,
    /// How many there are; literals follow up to the next piece.
    pub(crate) add: u32,
}

/// Bytes that an instruction, or a part of one, makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    /// Where it reads the base.
    pub old: u64,
    /// Where it begins in the result.
    pub new: u64,
    /// How many bytes it makes from the base.
    pub add: usize,
    /// How many it makes from literals after these.
    pub insert: usize,
}

/// From each of these places on, the bytes of the base stand in the result where the piece of that
/// number has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Origins {
    olds: Vec<u64>,
    numbers: Vec<u32>,
    /// How many places lie before the start of each of [`BUCKETS`] equal parts of the base, each of
    /// which has two to the power of `bucket_bits` bytes.
    buckets: Vec<u32>,
    bucket_bits: u32,
}

/// Into so many parts places are sorted, so that few steps lead to one.
const BUCKETS: usize = 1 << 12;

impl Origins {
    fn with_capacity(count: usize) -> Origins {
        let (mut olds, mut numbers) = (Vec::new(), Vec::new());
        olds.reserve_exact(count);
        numbers.reserve_exact(count);
        Origins { olds, numbers, buckets: Vec::new(), bucket_bits: 0 }
    }

    fn note(&mut self, old: u64, number: u32) {
        if self.numbers.last() != Some(&number) {
            self.olds.push(old);
            self.numbers.push(number);
        }
    }

    /// Sorts the places into parts; they are in order.
    fn index(&mut self) {
        let Some(last) = self.olds.last() else { return };
        self.bucket_bits =
            (u64::BITS.wrapping_sub(last.leading_zeros())).saturating_sub(BUCKETS.ilog2());
        self.buckets.reserve_exact(BUCKETS.saturating_add(1));
        let mut count = 0usize;
        for bucket in 0..=BUCKETS {
            let start = u64::try_from(bucket).unwrap_or(u64::MAX).checked_shl(self.bucket_bits);
            let start = start.unwrap_or(u64::MAX);
            while self.olds.get(count).is_some_and(|old| *old < start) {
                count = count.saturating_add(1);
            }
            self.buckets.push(u32::try_from(count).unwrap_or(u32::MAX));
        }
    }

    /// The last place at or before `old`, or else the first.
    fn before(&self, old: u64) -> usize {
        let bucket_of = old.checked_shr(self.bucket_bits).unwrap_or(0);
        let bucket_of = usize::try_from(bucket_of).unwrap_or(usize::MAX);
        let bucket = bucket_of.min(BUCKETS.saturating_sub(1));
        let count = |bucket: usize| {
            let count = self.buckets.get(bucket).copied().unwrap_or(0);
            usize::try_from(count).unwrap_or(0)
        };
        let from = count(bucket);
        let end =
            if bucket_of >= BUCKETS { self.olds.len() } else { count(bucket.saturating_add(1)) };
        let inside = self.olds.get(from..end).unwrap_or_default();
        from.saturating_add(inside.partition_point(|place| *place <= old)).saturating_sub(1)
    }
}

/// The instructions of one section, checked: they make the section exactly, and nothing outside the
/// base is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    first: u64,
    length: u32,
    pieces: Vec<Piece>,
    origins: Origins,
}

/// What a parsed instruction takes.
/// Every piece may cover another one's middle, and so begin two stretches of the map.
pub(crate) const OP_BYTES: usize = size_of::<Piece>() + 2 * (size_of::<u64>() + size_of::<u32>());

/// What the map takes besides, however long it is.
pub(crate) const MAP_BYTES: usize = (BUCKETS + 1) * size_of::<u32>();

/// What making the map takes besides, per instruction: the pieces in order, and those that are
/// open.
pub(crate) const OP_WORK_BYTES: usize = 4 + size_of::<(u32, u32)>() * 2;

impl Control {
    /// Takes instructions for the section that begins at `first` in the result and has `length`
    /// bytes.
    ///
    /// # Errors
    /// When they make another length, leave the base, or are too many.
    pub fn new(
        ops: impl IntoIterator<Item = Op>,
        first: u64,
        length: u32,
        base_length: u64,
    ) -> Result<Control, ControlFault> {
        let mut made = Control { first, length, pieces: Vec::new(), origins: Origins::default() };
        let mut at = 0u32;
        for op in ops {
            made.push(op, at, base_length)?;
            at = at
                .checked_add(op.add)
                .and_then(|at| at.checked_add(op.insert))
                .filter(|at| *at <= length)
                .ok_or(ControlFault::Lengths)?;
        }
        if at != length {
            return Err(ControlFault::Lengths);
        }
        made.order();
        Ok(made)
    }

    /// Reads `count` instructions back from the columns.
    pub(crate) fn parse(
        columns: [&[u8]; COLUMNS],
        count: usize,
        place: (u64, u32),
        base_length: u64,
    ) -> Result<Control, ControlFault> {
        let (first, length) = place;
        let mut made = Control {
            first,
            length,
            pieces: Vec::with_capacity(count.min(OPS_MAX)),
            origins: Origins::default(),
        };
        let mut reader = OpReader::new(columns, first);
        let mut at = 0u32;
        for _ in 0..count {
            let op = reader.read()?;
            made.push(op, at, base_length)?;
            at = at
                .checked_add(op.add)
                .and_then(|at| at.checked_add(op.insert))
                .filter(|at| *at <= length)
                .ok_or(ControlFault::Lengths)?;
        }
        if at != length {
            return Err(ControlFault::Lengths);
        }
        reader.finish()?;
        made.order();
        Ok(made)
    }

    fn push(&mut self, op: Op, at: u32, base_length: u64) -> Result<(), ControlFault> {
        if self.pieces.len() >= OPS_MAX || (op.add == 0 && op.insert == 0) {
            return Err(ControlFault::Count);
        }
        if op.old.checked_add(op.add.into()).is_none_or(|end| end > base_length) {
            return Err(ControlFault::Position);
        }
        self.pieces.push(Piece { old: op.old, new: at, add: op.add });
        Ok(())
    }

    /// Makes the map: of the pieces that read a byte of the base, the longest says where it went.
    fn order(&mut self) {
        let numbered = || self.pieces.iter().zip(0u32..).filter(|(piece, _)| piece.add > 0);
        let mut order: Vec<u32> = Vec::with_capacity(numbered().count());
        order.extend(numbered().map(|(_, number)| number));
        let piece = |number: u32| usize::try_from(number).ok().and_then(|at| self.pieces.get(at));
        order.sort_unstable_by_key(|number| (piece(*number).map(|piece| piece.old), *number));
        let mut origins = Origins::with_capacity(order.len().saturating_mul(2));
        let mut open: BinaryHeap<(u32, u32)> = BinaryHeap::with_capacity(order.len());
        let mut starts =
            order.iter().filter_map(|number| Some((*number, piece(*number)?))).peekable();
        let end_of =
            |number: u32| piece(number).map_or(0, |it| it.old.saturating_add(it.add.into()));
        loop {
            // The longest of those open holds until it ends, or until a longer one begins.
            let Some((_, longest)) = open.peek().copied() else {
                let Some((number, next)) = starts.next() else { break };
                open.push((next.add, number));
                origins.note(next.old, number);
                continue;
            };
            let end = end_of(longest);
            match starts.next_if(|(_, next)| next.old < end) {
                Some((number, next)) => {
                    open.push((next.add, number));
                    if let Some((_, longest)) = open.peek() {
                        origins.note(next.old, *longest);
                    }
                }
                None => {
                    open.pop();
                    while open.peek().is_some_and(|(_, number)| end_of(*number) <= end) {
                        open.pop();
                    }
                    if let Some((_, longest)) = open.peek() {
                        origins.note(end, *longest);
                    }
                }
            }
        }
        origins.index();
        self.origins = origins;
    }

    /// Where the section begins in the result.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The pieces that make the bytes from `start` to `end` of the section, cut to that range, each
    /// with where its literals end.
    pub(crate) fn pieces(&self, start: u32, end: u32) -> impl Iterator<Item = (Piece, u32)> {
        let from = self.pieces.partition_point(|piece| piece.new <= start).saturating_sub(1);
        let ends = self.pieces.iter().skip(1).map(|next| next.new).chain([self.length]);
        let numbered = self.pieces.iter().zip(ends).skip(from);
        numbered.take_while(move |(piece, _)| piece.new < end).map(move |(piece, stop)| {
            let cut = start.saturating_sub(piece.new);
            let new = piece.new.max(start);
            let add = piece.add.saturating_sub(cut).min(end.saturating_sub(new));
            let old = piece.old.saturating_add(cut.min(piece.add).into());
            (Piece { old, new, add }, stop.min(end))
        })
    }

    /// What makes the `length` bytes from `offset` of the result on, in order; for encoders.
    pub fn pieces_between(&self, offset: u64, length: u64) -> impl Iterator<Item = Made> {
        let start = offset.saturating_sub(self.first);
        let start = u32::try_from(start).unwrap_or(self.length);
        let end = start.saturating_add(u32::try_from(length).unwrap_or(u32::MAX)).min(self.length);
        self.pieces(start, end).map(|(piece, stop)| Made {
            old: piece.old,
            new: self.first.saturating_add(piece.new.into()),
            add: usize::try_from(piece.add).unwrap_or(usize::MAX),
            insert: usize::try_from(stop.saturating_sub(piece.new).saturating_sub(piece.add))
                .unwrap_or(usize::MAX),
        })
    }

    /// Where the byte of the base at `old` most likely stands in the result: by the longest piece
    /// that reads it, or the last one before it. `hint` is the answer's place, for the next
    /// question.
    pub fn map(&self, old: u64, hint: &mut usize) -> Option<u64> {
        let olds = &self.origins.olds;
        let is_at = |at: usize| {
            olds.get(at).is_some_and(|origin| *origin <= old)
                && olds.get(at.wrapping_add(1)).is_none_or(|next| *next > old)
        };
        if !is_at(*hint) {
            *hint = self.origins.before(old);
        }
        let piece = self.piece_at(*hint)?;
        let new = self.first.wrapping_add(piece.new.into());
        Some(new.wrapping_add(old).wrapping_sub(piece.old))
    }

    fn piece_at(&self, at: usize) -> Option<&Piece> {
        let number = self.origins.numbers.get(at)?;
        self.pieces.get(usize::try_from(*number).ok()?)
    }
}

/// Reads instructions from the columns.
struct OpReader<'a> {
    adds: Numbers<'a>,
    inserts: Numbers<'a>,
    ages: &'a [u8],
    news: Numbers<'a>,
    recent: [i64; RECENT],
    new: u64,
}

impl<'a> OpReader<'a> {
    fn new([adds, inserts, ages, news]: [&'a [u8]; COLUMNS], new: u64) -> OpReader<'a> {
        let (adds, inserts, news) = (Numbers(adds), Numbers(inserts), Numbers(news));
        OpReader { adds, inserts, ages, news, recent: [0; RECENT], new }
    }

    fn read(&mut self) -> Result<Op, ControlFault> {
        let add = self.adds.next().ok_or(ControlFault::Encoding)?;
        let insert = self.inserts.next().ok_or(ControlFault::Encoding)?;
        let add = u32::try_from(add).map_err(|_| ControlFault::Lengths)?;
        let insert = u32::try_from(insert).map_err(|_| ControlFault::Lengths)?;
        let mut old = 0;
        if add > 0 {
            let (age, rest) = self.ages.split_first().ok_or(ControlFault::Encoding)?;
            self.ages = rest;
            let age = usize::from(*age);
            let displacement = match self.recent.get(age) {
                Some(known) => *known,
                None => {
                    let by = self.news.next_signed().ok_or(ControlFault::Encoding)?;
                    self.recent[0].checked_add(by).ok_or(ControlFault::Position)?
                }
            };
            remember(&mut self.recent, displacement, Some(age).filter(|age| *age < RECENT));
            old = self.new.checked_add_signed(displacement).ok_or(ControlFault::Position)?;
        }
        self.new = self.new.saturating_add(add.into()).saturating_add(insert.into());
        Ok(Op { old, add, insert })
    }

    fn finish(&self) -> Result<(), ControlFault> {
        let is_done = self.adds.0.is_empty()
            && self.inserts.0.is_empty()
            && self.ages.is_empty()
            && self.news.0.is_empty();
        if is_done { Ok(()) } else { Err(ControlFault::Encoding) }
    }
}
