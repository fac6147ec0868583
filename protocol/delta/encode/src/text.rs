//! The part of the base that is searched: the blocks that the pre-match left over, joined to one
//! text, and where each of them stands in the base.

use crate::error::{EncodeError, Side};
use crate::prematch::{BLOCK_BYTES, Same};
use crate::source::{ReadAt, read};

/// A stretch of the text that is one stretch of the base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    text: u64,
    old: u64,
    length: u64,
}

/// Which blocks of the base make up the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    runs: Vec<Run>,
    length: u64,
}

impl Text {
    /// All blocks of the base that are not wholly covered, and those beside them, so that a match
    /// may reach a little over its block.
    pub(crate) fn new(base_length: u64, covered: &[Same]) -> Text {
        let block = BLOCK_BYTES as u64;
        let mut covered: Vec<(u64, u64)> =
            covered.iter().map(|same| (same.old, same.old + same.length)).collect();
        covered.sort_unstable();
        let mut text = Text { runs: Vec::new(), length: 0 };
        let mut end = 0;
        for (from, to) in covered.into_iter().chain([(base_length, base_length)]) {
            if from > end {
                // Uncovered from `end` to `from`: whole blocks, and one more on each side.
                let start = (end / block).saturating_sub(1) * block;
                let stop = (from.div_ceil(block) + 1).saturating_mul(block).min(base_length);
                text.push(start, stop);
            }
            end = end.max(to);
        }
        text
    }

    fn push(&mut self, mut start: u64, stop: u64) {
        if let Some(last) = self.runs.last_mut() {
            let end = last.old + last.length;
            if start <= end {
                let more = stop.saturating_sub(end);
                last.length += more;
                self.length += more;
                return;
            }
            start = start.max(end);
        }
        if stop > start {
            self.runs.push(Run { text: self.length, old: start, length: stop - start });
            self.length += stop - start;
        }
    }

    /// How long the text is.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Reads a stretch of the text.
    pub(crate) fn read(
        &self,
        base: &dyn ReadAt,
        start: u64,
        length: u64,
    ) -> Result<Vec<u8>, EncodeError> {
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
        for (old, length) in self.olds(start, length) {
            let mut left = length;
            while left > 0 {
                let want = left.min(1 << 20);
                bytes.extend(read(base, Side::Base, old + (length - left), want)?);
                left -= want;
            }
        }
        Ok(bytes)
    }

    /// The stretches of the base behind a stretch of the text: offset and length.
    pub(crate) fn olds(&self, start: u64, length: u64) -> impl Iterator<Item = (u64, u64)> {
        let end = start + length;
        let first = self.runs.partition_point(|run| run.text + run.length <= start);
        self.runs.iter().skip(first).take_while(move |run| run.text < end).map(move |run| {
            let from = start.max(run.text);
            let to = end.min(run.text + run.length);
            (run.old + (from - run.text), to - from)
        })
    }

    /// Where a place of the base stands in the text, if it does.
    pub(crate) fn place(&self, old: u64) -> Option<u64> {
        let before = self.runs.partition_point(|run| run.old <= old).checked_sub(1)?;
        let run = self.runs.get(before)?;
        (old - run.old < run.length).then(|| run.text + (old - run.old))
    }
}
