//! Making inputs from valid ones, from one seed: no clock and no randomness of the system, so that
//! a number replays a run.

/// SplitMix64 (Steele, Lea, Flood 2014): small, and good enough to pick bytes with.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// The dice of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, 0 where that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX);
        usize::try_from(self.roll() % end.max(1)).unwrap_or(0)
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len()))
    }
}

/// Pieces that parsers of JSON, numbers and names trip over.
const PIECES: &[&[u8]] = &[
    b"0",
    b"-1",
    b"-0",
    b"1e9",
    b"1.5",
    b"18446744073709551615",
    b"18446744073709551616",
    b"9223372036854775808",
    b"null",
    b"true",
    b"\"\"",
    b"{}",
    b"[]",
    b"[[[[[[[[[[[[[[[[",
    b"{\"a\":",
    b"\\u0000",
    b"\\ud800",
    b"\xff",
    b"\x00",
    b"../",
    b"%2e%2e%2f",
    b"*",
    b"?",
    b"[!-]",
    b"1970-01-01T00:00:00Z",
    b"9999-12-31T23:59:60Z",
    b"\r\n",
    b",",
    b"\"",
    b"}",
    b"]",
];

/// An input made from `seeds` by one to eight small changes.
pub fn mutated(dice: &mut Dice, seeds: &[Vec<u8>], length_max: usize) -> Vec<u8> {
    let mut input = dice.pick(seeds).cloned().unwrap_or_default();
    for _ in 0..=dice.below(8) {
        change(dice, &mut input, seeds);
    }
    input.truncate(length_max);
    input
}

fn change(dice: &mut Dice, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
    let at = dice.below(input.len());
    match dice.below(9) {
        0 => flip(dice, input, at),
        1 => {
            let byte = u8::try_from(dice.below(256)).unwrap_or(0);
            if let Some(here) = input.get_mut(at) {
                *here = byte;
            }
        }
        2 => input.truncate(at),
        3 => drop(input.drain(at..at.saturating_add(1 + dice.below(16)).min(input.len()))),
        4 | 5 => insert(input, at, dice.pick(PIECES).copied().unwrap_or_default()),
        6 => {
            // A piece of itself again: members that come twice, lists that grow.
            let end = at.saturating_add(1 + dice.below(200)).min(input.len());
            let piece = input.get(at..end).unwrap_or_default().to_vec();
            let to = dice.below(input.len());
            insert(input, to, &piece);
        }
        7 => {
            let other = dice.pick(seeds).cloned().unwrap_or_default();
            let from = other.get(dice.below(other.len())..).unwrap_or_default();
            input.truncate(at);
            input.extend_from_slice(from);
        }
        _ => digit(dice, input, at),
    }
}

fn flip(dice: &mut Dice, input: &mut [u8], at: usize) {
    let bit = 1_u8 << dice.below(8);
    if let Some(here) = input.get_mut(at) {
        *here ^= bit;
    }
}

fn insert(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    let at = at.min(input.len());
    input.splice(at..at, piece.iter().copied());
}

/// Another digit in place of the next one: numbers that stay numbers.
fn digit(dice: &mut Dice, input: &mut [u8], at: usize) {
    let to = b'0' + u8::try_from(dice.below(10)).unwrap_or(0);
    let digit = input.iter_mut().skip(at).find(|byte| byte.is_ascii_digit());
    if let Some(digit) = digit {
        *digit = to;
    }
}
