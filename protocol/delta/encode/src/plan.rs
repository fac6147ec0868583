//! How the result is made of the base: long matches first, then the suffix array for what lies
//! between them. What comes out are instructions; how they and their bytes are coded is in `frame`.

use crate::error::{EncodeError, Side};
use crate::matching::{Around, Index, Steps, scan};
use crate::ops::Ops;
use crate::options::EncodeOptions;
use crate::parallel::parallel;
use crate::prematch::{Same, prematch};
use crate::sketch::SketchBuilder;
use crate::source::{ReadAt, read};
use crate::text::Text;

/// What is scanned as one piece, by one thread.
const PIECE_BYTES: u64 = 4 << 20;

/// How much of the text the sketch takes in at a time.
const SKETCH_READ_BYTES: u64 = 1 << 20;

/// The images as they are gone through.
#[derive(Clone, Copy)]
pub(crate) struct Pair<'a> {
    pub(crate) base: &'a dyn ReadAt,
    pub(crate) base_length: u64,
    pub(crate) result: &'a dyn ReadAt,
    pub(crate) result_length: u64,
}

/// A stretch of the result that no long match makes.
#[derive(Debug, Clone, Copy)]
struct Gap {
    new: u64,
    length: u64,
    /// Where in the base the bytes before it go on.
    before: Option<u64>,
    /// Where in the base the bytes after it begin.
    after: Option<u64>,
}

/// Finds the instructions, and tells the long matches among them. `scanned` hears of every byte of
/// the result once it is settled.
pub(crate) fn plan(
    pair: &Pair<'_>,
    options: &EncodeOptions,
    scanned: &(dyn Fn(u64) + Sync),
) -> Result<(Ops, Vec<Same>), EncodeError> {
    let same = prematch(pair.base, pair.result, (pair.base_length, pair.result_length))?;
    let text = Text::new(pair.base_length, &same);
    // A piece that is scanned at once has to find room in half a window.
    let gaps = gaps(pair, &same, PIECE_BYTES.min(options.window_bytes / 2));
    let unscanned: u64 = gaps.iter().map(|gap| gap.length).sum();
    scanned(pair.result_length - unscanned);
    let mut found = Vec::new();
    for group in groups(&gaps, &text, options) {
        found.extend(scan_group(pair, &text, group, options, scanned)?);
    }
    let mut ops = Ops::default();
    let mut rest = same.iter().peekable();
    for (gap, pieces) in gaps.iter().zip(found) {
        while let Some(same) = rest.next_if(|same| same.new < gap.new) {
            ops.add(same.old, same.length);
        }
        for piece in pieces {
            ops.add(piece.0, piece.1);
            ops.insert(piece.2);
        }
    }
    for same in rest {
        ops.add(same.old, same.length);
    }
    debug_assert_eq!(ops.length(), pair.result_length, "the instructions make the result");
    Ok((ops, same))
}

/// What lies between the matches, in pieces.
fn gaps(pair: &Pair<'_>, same: &[Same], piece_bytes: u64) -> Vec<Gap> {
    let mut gaps = Vec::new();
    let end = Same { new: pair.result_length, old: pair.base_length, length: 0 };
    let (mut new, mut before) = (0, Some(0));
    for next in same.iter().chain([&end]) {
        let after = (next.length > 0).then_some(next.old);
        while new < next.new {
            let length = (next.new - new).min(piece_bytes);
            let is_last = new + length == next.new;
            gaps.push(Gap { new, length, before, after: after.filter(|_| is_last) });
            before = before.map(|before| before + length);
            new += length;
        }
        new = next.new + next.length;
        before = Some(next.old + next.length);
    }
    gaps
}

/// All gaps, if one window holds the whole text; else neighbouring ones of half a window, so that
/// what they come from has room to lie scattered.
fn groups<'a>(gaps: &'a [Gap], text: &Text, options: &EncodeOptions) -> Vec<&'a [Gap]> {
    if text.length() <= options.window_bytes {
        return if gaps.is_empty() { Vec::new() } else { vec![gaps] };
    }
    let mut groups = Vec::new();
    let mut rest = gaps;
    while !rest.is_empty() {
        let mut length = 0;
        let count = rest.iter().take_while(|gap| {
            length += gap.length;
            length <= options.window_bytes / 2
        });
        let (group, after) = rest.split_at(count.count().max(1).min(rest.len()));
        groups.push(group);
        rest = after;
    }
    groups
}

/// Instructions as (place in the base, bytes added, bytes inserted).
type Made = Vec<(u64, u64, u64)>;

/// Scans gaps against one window of the text.
fn scan_group(
    pair: &Pair<'_>,
    text: &Text,
    gaps: &[Gap],
    options: &EncodeOptions,
    scanned: &(dyn Fn(u64) + Sync),
) -> Result<Vec<Made>, EncodeError> {
    let length = options.window_bytes.min(text.length());
    let start = window_start(pair, text, gaps, length)?;
    let failed = |source| EncodeError::Index { source };
    let index = Index::new(text.read(pair.base, start, length)?).map_err(failed)?;
    parallel(gaps.len(), options.thread_count(), |number| {
        let Some(gap) = gaps.get(number) else { return Ok(Vec::new()) };
        let piece = read(pair.result, Side::Result, gap.new, gap.length)?;
        let place = |old: Option<u64>| {
            let place = text.place(old?)?.checked_sub(start).filter(|place| *place < length)?;
            usize::try_from(place).ok()
        };
        let around = Around { before: place(gap.before), after: place(gap.after) };
        let steps = scan(&index, &piece, around);
        scanned(gap.length);
        Ok(in_base(&steps, text, start))
    })
}

/// Where the window begins in the text: where the samples of these gaps stand.
fn window_start(
    pair: &Pair<'_>,
    text: &Text,
    gaps: &[Gap],
    length: u64,
) -> Result<u64, EncodeError> {
    if length == text.length() {
        return Ok(0);
    }
    let mut sketch = SketchBuilder::new(text.length());
    let mut at = 0;
    while at < text.length() {
        let want = SKETCH_READ_BYTES.min(text.length() - at);
        sketch.push(&text.read(pair.base, at, want)?);
        at += want;
    }
    let mut bytes = Vec::new();
    for gap in gaps {
        bytes.extend(read(pair.result, Side::Result, gap.new, gap.length)?);
    }
    let expected = gaps.first().and_then(|gap| text.place(gap.before?)).unwrap_or(0);
    Ok(sketch.finish().window(&bytes, expected, length))
}

/// Steps in the window as instructions in the base; one that reaches over the end of a run is cut.
fn in_base(steps: &Steps, text: &Text, start: u64) -> Made {
    let mut made = Made::new();
    for step in steps.iter() {
        let position = start + step.position as u64;
        if step.add > 0 {
            for (old, length) in text.olds(position, step.add as u64) {
                made.push((old, length, 0));
            }
        }
        if step.insert > 0 {
            made.push((0, 0, step.insert as u64));
        }
    }
    made
}
