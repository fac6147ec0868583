//! The scan over a piece of the result: which matches to take, and how far they reach.

use super::index::{Index, agreement};
use super::steps::{Step, Steps};

/// A match elsewhere must agree in this many bytes more than the running one, or it is not worth
/// an instruction.
const MARGIN: usize = 8;

/// While this many bytes agree with the running match, nothing else is searched for.
const RUN_BYTES: usize = 16;

/// What stands around a piece: where in the window the bytes before it go on, and where those after
/// it begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Around {
    pub(crate) before: Option<usize>,
    pub(crate) after: Option<usize>,
}

/// Finds the steps that make `piece` from the window.
pub(crate) fn scan(index: &Index, piece: &[u8], around: Around) -> Steps {
    let mut scan = Scan {
        index,
        piece,
        // Past the window's end nothing agrees.
        done: Match { at: 0, position: around.before.unwrap_or(index.window().len()) },
        steps: Steps::default(),
    };
    let mut at = 0;
    while at < piece.len() {
        let found = scan.next_match(at);
        if found.is_new && found.start.at < piece.len() {
            scan.settle(found.start, true);
        }
        at = found.start.at + found.length;
    }
    let end = Match { at: piece.len(), position: around.after.unwrap_or(0) };
    scan.settle(end, around.after.is_some());
    scan.steps
}

/// A place in the piece and the place in the window that it is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Match {
    at: usize,
    position: usize,
}

/// The next exact match. Unless it is new, it continues the running one.
struct Found {
    start: Match,
    length: usize,
    is_new: bool,
}

struct Scan<'a> {
    index: &'a Index,
    piece: &'a [u8],
    /// Where the running match begins; everything before it has its steps.
    done: Match,
    steps: Steps,
}

impl Scan<'_> {
    /// The byte of the window that the running match holds against the byte of the piece at `at`.
    fn running(&self, at: usize) -> Option<&u8> {
        self.index.window().get(self.done.position + at - self.done.at)
    }

    fn agrees(&self, at: usize) -> bool {
        self.piece.get(at).is_some_and(|byte| self.running(at) == Some(byte))
    }

    /// Goes on from `at` to the first place where either a match elsewhere agrees in clearly more
    /// bytes than the running one does, or the running one is as good as any.
    fn next_match(&self, mut at: usize) -> Found {
        // How many bytes agree with the running match, of those from `at` to `counted`.
        let (mut agreeing, mut counted) = (0usize, at);
        while at < self.piece.len() {
            let (position, length, is_run) = self.match_at(at);
            while counted < at + length {
                agreeing += usize::from(self.agrees(counted));
                counted += 1;
            }
            let start = Match { at, position };
            if length > 0 && length == agreeing {
                return Found { start, length, is_new: false };
            }
            if !is_run && length > agreeing + MARGIN {
                return Found { start, length, is_new: true };
            }
            agreeing -= usize::from(at < counted && self.agrees(at));
            at += 1;
            counted = counted.max(at);
        }
        Found { start: Match { at, position: 0 }, length: 0, is_new: true }
    }

    /// The longest match at `at`, or the running one if it is long enough not to look further.
    fn match_at(&self, at: usize) -> (usize, usize, bool) {
        let rest = self.piece.get(at..).unwrap_or_default();
        let position = self.done.position + at - self.done.at;
        let run = agreement(self.index.window().get(position..).unwrap_or_default(), rest);
        if run >= RUN_BYTES {
            return (position, run, true);
        }
        let (position, length) = self.index.longest(rest);
        (position, length, false)
    }

    /// Makes the step for what lies between the running match and the next: the running match is
    /// extended forwards and the next one backwards, as long as more bytes agree than differ, and
    /// what neither reaches is inserted. Then the next match is the running one.
    fn settle(&mut self, next: Match, reaches_back: bool) {
        let gap = next.at - self.done.at;
        let mut forwards = self.extend_forwards(gap);
        let mut backwards = if reaches_back { self.extend_backwards(next, gap) } else { 0 };
        if forwards + backwards > gap {
            let overlap = forwards + backwards - gap;
            let kept = self.divide(next, forwards - overlap, overlap);
            forwards = forwards - overlap + kept;
            backwards -= kept;
        }
        let insert = gap - forwards - backwards;
        self.steps.push(Step { position: self.done.position, add: forwards, insert });
        self.done = Match { at: next.at - backwards, position: next.position - backwards };
        if next.at == self.piece.len() {
            self.steps.push(Step { position: self.done.position, add: backwards, insert: 0 });
        }
    }

    /// The number of bytes, at most `gap`, for which agreeing bytes outnumber differing ones most.
    fn extend_forwards(&self, gap: usize) -> usize {
        let left = self.index.window().len().saturating_sub(self.done.position);
        let agreeing = (0..gap.min(left)).map(|i| self.agrees(self.done.at + i));
        most_agreeing(agreeing)
    }

    /// The same before the next match, backwards.
    fn extend_backwards(&self, next: Match, gap: usize) -> usize {
        let window = self.index.window();
        let agreeing = (1..=gap.min(next.position))
            .map(|i| window.get(next.position - i) == self.piece.get(next.at - i));
        most_agreeing(agreeing)
    }

    /// Both matches reach over `overlap` bytes, which begin `from` bytes into the running one: how
    /// many of them the running one keeps, so that most bytes agree.
    fn divide(&self, next: Match, from: usize, overlap: usize) -> usize {
        let window = self.index.window();
        let (mut score, mut best, mut kept) = (0i64, 0, 0);
        for i in 0..overlap {
            let at = self.done.at + from + i;
            let before_next = next.at - at;
            score += i64::from(self.agrees(at));
            let other = next.position.checked_sub(before_next).and_then(|p| window.get(p));
            score -= i64::from(other == self.piece.get(at));
            if score > best {
                (best, kept) = (score, i + 1);
            }
        }
        kept
    }
}

/// The length of the prefix in which agreeing bytes outnumber differing ones most.
fn most_agreeing(agreeing: impl Iterator<Item = bool>) -> usize {
    let (mut score, mut best, mut length) = (0i64, 0, 0);
    for (index, agrees) in agreeing.enumerate() {
        score += if agrees { 1 } else { -1 };
        if score > best {
            (best, length) = (score, index + 1);
        }
    }
    length
}
