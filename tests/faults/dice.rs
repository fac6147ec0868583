//! Chance from a seed.

/// A generator of numbers (xorshift64*), the same for the same seed.
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// The dice of `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % end
    }

    /// Heads.
    pub(crate) fn coin(&mut self) -> bool {
        self.below(2) == 0
    }
}
