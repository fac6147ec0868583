//! The suffix array of a window, and the search for the longest match in it. It takes five bytes
//! per byte of the window.

use libsais::SuffixArrayConstruction;
use std::io;

/// Matches are compared no further during the search; the one found is extended afterwards. So
/// windows full of repetitions do not make the search quadratic.
const COMPARED_BYTES_MAX: usize = 1024;

/// One bucket per pair of first bytes.
const BUCKETS: usize = 1 << 16;

/// A window of the base, searchable.
pub(crate) struct Index {
    window: Vec<u8>,
    order: Vec<i32>,
    /// For every pair of bytes, the first place in `order` of a suffix that begins with it or with
    /// something greater; then the number of suffixes.
    buckets: Vec<usize>,
}

impl Index {
    /// Sorts the suffixes of a window of less than 2 GiB.
    pub(crate) fn new(window: Vec<u8>) -> io::Result<Index> {
        let mut order = vec![0; window.len()];
        SuffixArrayConstruction::for_text(&window)
            .in_borrowed_buffer(&mut order)
            .single_threaded()
            .run()
            .map_err(|error| io::Error::other(format!("suffix sorting failed: {error:?}")))?;
        let buckets = buckets(&window);
        Ok(Index { window, order, buckets })
    }

    /// The window itself.
    pub(crate) fn window(&self) -> &[u8] {
        &self.window
    }

    /// Where the suffixes begin, in their order.
    #[cfg(test)]
    pub(super) fn sorted(&self) -> impl Iterator<Item = usize> {
        self.order.iter().filter_map(|place| usize::try_from(*place).ok())
    }

    /// Where the longest match of a prefix of `piece` stands, and how long it is. Matches of a
    /// single byte are not looked for.
    pub(crate) fn longest(&self, piece: &[u8]) -> (usize, usize) {
        let Some([first, second]) = piece.first_chunk::<2>() else { return (0, 0) };
        let bucket = usize::from(u16::from_be_bytes([*first, *second]));
        let mut low = self.buckets.get(bucket).copied().unwrap_or(0);
        let mut high = self.buckets.get(bucket + 1).copied().unwrap_or(0);
        let compared = piece.get(..COMPARED_BYTES_MAX.min(piece.len())).unwrap_or(piece);
        let (mut best, mut below, mut above) = ((0, 0), 2, 2);
        while low < high {
            let middle = low.midpoint(high);
            let place = self.order.get(middle).and_then(|place| usize::try_from(*place).ok());
            let place = place.unwrap_or(0);
            let suffix = self.window.get(place..).unwrap_or_default();
            let known = usize::min(below, above);
            let length = known + agreement(tail(suffix, known), tail(compared, known));
            if length > best.1 {
                best = (place, length);
            }
            let Some(wanted) = compared.get(length) else {
                break;
            };
            if suffix.get(length).is_none_or(|found| found < wanted) {
                (low, below) = (middle + 1, length);
            } else {
                (high, above) = (middle, length);
            }
        }
        let (place, length) = best;
        if length == 0 {
            return best;
        }
        (place, length + agreement(tail(&self.window, place + length), tail(piece, length)))
    }
}

/// How many suffixes sort before each pair of bytes. The last suffix has one byte only, and sorts
/// before all pairs that begin with it.
fn buckets(window: &[u8]) -> Vec<usize> {
    let mut counts = vec![0; BUCKETS];
    for pair in window.array_windows::<2>() {
        if let Some(count) = counts.get_mut(usize::from(u16::from_be_bytes(*pair))) {
            *count += 1;
        }
    }
    let last = window.last().map_or(BUCKETS, |byte| usize::from(*byte) << 8);
    let mut sum = 0;
    let mut buckets = Vec::with_capacity(BUCKETS + 1);
    for (pair, count) in counts.into_iter().enumerate() {
        if pair == last {
            sum += 1;
        }
        buckets.push(sum);
        sum += count;
    }
    buckets.push(sum);
    buckets
}

fn tail(bytes: &[u8], from: usize) -> &[u8] {
    bytes.get(from..).unwrap_or_default()
}

/// How many bytes agree from the start.
pub(crate) fn agreement(left: &[u8], right: &[u8]) -> usize {
    const WIDE: usize = 16;
    let (wide_left, _) = left.as_chunks::<WIDE>();
    let (wide_right, _) = right.as_chunks::<WIDE>();
    let wide = wide_left.iter().zip(wide_right).take_while(|(l, r)| l == r).count() * WIDE;
    let rest = tail(left, wide).iter().zip(tail(right, wide)).take_while(|(l, r)| l == r);
    wide + rest.count()
}
