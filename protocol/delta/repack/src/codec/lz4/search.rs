//! Finding the longest match: hash table and chains over the last 64 KiB, as liblz4's levels 3 to 9
//! search them. The choice between matches is in `parse`.

use super::window::{REACH_BYTES, Window};

/// The shortest match.
pub(super) const MATCH_BYTES_MIN: usize = 4;

/// No match reaches into so many last bytes of a block.
const LAST_LITERALS: usize = 5;

const HASH_LOG: u32 = 15;

/// So much is added to a place to make its index, so that zero is no index, and no match.
const BIAS: usize = REACH_BYTES;

/// From this many attempts on, runs of one byte are stepped over as wholes.
const RUNS_FROM_ATTEMPTS: u32 = 129;

/// A match that was found.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Match {
    /// Its length; zero if none was found.
    pub(super) length: usize,
    /// How far back it lies.
    pub(super) offset: usize,
    /// How far it begins before the place that was asked for.
    pub(super) back: usize,
}

/// More input is needed before the search can be made.
#[derive(Debug)]
pub(super) struct Starved;

/// Hash table and chains.
pub(super) struct Search {
    heads: Vec<u32>,
    /// By the low 16 bits of an index, how far before it the next of its chain lies.
    steps: Vec<u16>,
    next: usize,
    attempts: u32,
    /// The length of the block.
    length: usize,
}

/// What one search looks for.
#[derive(Clone, Copy)]
struct Wanted {
    place: usize,
    /// How far before its place a match may begin.
    back: usize,
    pattern: u32,
    /// The lowest index that a match may have.
    lowest: usize,
    /// Up to where bytes are compared, and whether more would be if they were there.
    limit: usize,
    is_cut: bool,
}

/// Where a run of one byte leads the search.
enum Turn {
    /// Go on with the chain.
    Follow,
    /// Go on at this index.
    Jump(usize),
    /// This many bytes match at this index; go on with its chain.
    Found(usize, usize),
}

impl Search {
    pub(super) fn new(attempts: u32, length: usize) -> Search {
        let heads = vec![0; 1 << HASH_LOG];
        Search { heads, steps: vec![0; REACH_BYTES], next: 0, attempts, length }
    }

    /// The longest match that covers `place`, begins at `low` or later, and is longer than
    /// `longest`.
    pub(super) fn longest(
        &mut self,
        window: &Window,
        place: usize,
        low: usize,
        longest: usize,
    ) -> Result<Match, Starved> {
        let limit = self.length.saturating_sub(LAST_LITERALS).min(window.end());
        let is_cut = limit < self.length.saturating_sub(LAST_LITERALS);
        if is_cut && place + 2 * MATCH_BYTES_MIN > limit {
            return Err(Starved);
        }
        self.insert(window, place);
        let lowest = BIAS.max((place + BIAS + 1).saturating_sub(REACH_BYTES));
        let pattern = window.four(place);
        let wanted = Wanted { place, back: place - low, pattern, lowest, limit, is_cut };
        self.walk(window, wanted, longest)
    }

    /// Enters all places before `place`.
    fn insert(&mut self, window: &Window, place: usize) {
        while self.next < place {
            let index = self.next + BIAS;
            let Some(head) = self.heads.get_mut(hash(window.four(self.next))) else { return };
            let before = usize::try_from(*head).unwrap_or(0);
            *head = u32::try_from(index).unwrap_or(0);
            let step = u16::try_from(index - before).unwrap_or(u16::MAX);
            if let Some(slot) = self.steps.get_mut(index % REACH_BYTES) {
                *slot = step;
            }
            self.next += 1;
        }
    }

    fn step(&self, index: usize) -> usize {
        self.steps.get(index % REACH_BYTES).copied().unwrap_or(u16::MAX).into()
    }

    fn walk(&self, window: &Window, wanted: Wanted, longest: usize) -> Result<Match, Starved> {
        let head = self.heads.get(hash(wanted.pattern)).copied().unwrap_or(0);
        let mut index = usize::try_from(head).unwrap_or(0);
        let mut best = Match { length: longest, offset: 0, back: 0 };
        let own = wanted.place + BIAS;
        let mut run = None;
        let mut attempts = self.attempts;
        while index >= wanted.lowest && attempts > 0 {
            attempts -= 1;
            if let Some(found) = compare(window, wanted, index - BIAS, best.length)? {
                best = Match { offset: own - index, ..found };
            }
            let step = self.step(index);
            let is_in_run = self.attempts >= RUNS_FROM_ATTEMPTS && step == 1;
            let turn =
                if is_in_run { turn(window, wanted, index - 1, &mut run)? } else { Turn::Follow };
            match turn {
                Turn::Follow => index -= step,
                Turn::Jump(to) => index = to,
                Turn::Found(length, at) => {
                    if best.length < length {
                        if own - at >= REACH_BYTES {
                            break;
                        }
                        best = Match { length, offset: own - at, back: 0 };
                    }
                    index = at - self.step(at).min(at);
                }
            }
        }
        Ok(best)
    }
}

fn hash(four: u32) -> usize {
    let mixed = four.wrapping_mul(2_654_435_761) >> (u32::BITS - HASH_LOG);
    usize::try_from(mixed).unwrap_or(0)
}

/// The match at `candidate`, if it is longer than `longest`.
#[inline]
fn compare(
    window: &Window,
    wanted: Wanted,
    candidate: usize,
    longest: usize,
) -> Result<Option<Match>, Starved> {
    let probe = longest - 1;
    let low = wanted.place - wanted.back;
    // The bytes that a longer match must have; the candidate's begin as far before it.
    let same = (candidate + probe).checked_sub(wanted.back).map(|place| window.two(place));
    if same != Some(window.two(low + probe)) || window.four(candidate) != wanted.pattern {
        return Ok(None);
    }
    let back = window.common_back(candidate, wanted.place, low);
    let forward =
        counted(wanted, wanted.place, window.common(candidate, wanted.place, wanted.limit))?;
    let length = forward + back;
    Ok((length > longest).then_some(Match { length, offset: 0, back }))
}

/// A count that begins at `from`, if it did not end only because the input does.
fn counted(wanted: Wanted, from: usize, count: usize) -> Result<usize, Starved> {
    if wanted.is_cut && from + count >= wanted.limit { Err(Starved) } else { Ok(count) }
}

/// What to do about the candidate before one whose chain steps by one: if both stand in a run of
/// the byte that is looked for, the run is taken as a whole.
fn turn(
    window: &Window,
    wanted: Wanted,
    before: usize,
    run: &mut Option<Option<usize>>,
) -> Result<Turn, Starved> {
    let [byte, rest @ ..] = wanted.pattern.to_le_bytes();
    let source = match *run {
        Some(known) => known,
        None if rest == [byte; 3] => {
            let place = wanted.place + MATCH_BYTES_MIN;
            let more = counted(wanted, place, window.run(place, wanted.limit, byte))?;
            Some(more + MATCH_BYTES_MIN)
        }
        None => None,
    };
    *run = Some(source);
    let Some(source) = source.filter(|_| before >= wanted.lowest) else { return Ok(Turn::Follow) };
    let place = before - BIAS;
    if window.four(place) != wanted.pattern {
        return Ok(Turn::Follow);
    }
    let after = place + MATCH_BYTES_MIN;
    let forward = counted(wanted, after, window.run(after, wanted.limit, byte))? + MATCH_BYTES_MIN;
    let back = window.run_back(place, wanted.lowest - BIAS, byte);
    if back + forward >= source && forward <= source {
        return Ok(Turn::Jump(before + forward - source));
    }
    let first = before - back;
    if wanted.back > 0 {
        return Ok(Turn::Jump(first));
    }
    Ok(Turn::Found(source.min(back + forward), first))
}
