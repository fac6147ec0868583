//! Fuzz targets: one file per parser of bytes that somebody else wrote, one row each in
//! [`TARGETS`]. Every row is run for about a second within the tests, and for as long as one likes,
//! guided by coverage, by `cargo xtask fuzz TARGET --minutes N`. What a target must not do: panic,
//! take long, or allocate more than its row allows.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "a finding of a fuzz target is a panic"
)]

use peak_alloc::PeakAlloc;

pub mod mutate;
pub mod short;
mod signer;
mod targets;

pub use targets::{TARGETS, raw_targets};

/// Counts what is allocated, in every program that links this library.
#[global_allocator]
pub static ALLOCATED: PeakAlloc = PeakAlloc;

/// One parser, and what it may cost.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it reads, and from whom, in a few words.
    pub about: &'static str,
    /// Reads one input. A panic is a finding.
    pub run: fn(&[u8]),
    /// Valid inputs, from which the others are made.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// The longest input tried, in bytes.
    pub input_bytes_max: usize,
    /// What one input may have allocated at any moment.
    pub memory: Memory,
}

/// How much memory an input may take: `base + per_byte * length`.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// In bytes, whatever the input.
    pub base: usize,
    /// In bytes for each byte of input.
    pub per_byte: usize,
}

impl Memory {
    /// The allowance for an input of `length` bytes.
    #[must_use]
    pub const fn allowed(self, length: usize) -> usize {
        self.base.saturating_add(self.per_byte.saturating_mul(length))
    }
}

impl Target {
    /// The target of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Target> {
        TARGETS.iter().find(|target| target.name == name)
    }

    /// Reads one input and measures what it had allocated at its peak, in bytes.
    ///
    /// # Errors
    /// It was more than the row allows.
    pub fn read(&self, input: &[u8]) -> Result<usize, OverAllowance> {
        let before = ALLOCATED.current_usage();
        ALLOCATED.reset_peak_usage();
        (self.run)(input);
        let took = ALLOCATED.peak_usage().saturating_sub(before);
        let allowed = self.memory.allowed(input.len());
        if took > allowed { Err(OverAllowance { took, allowed }) } else { Ok(took) }
    }
}

/// An input that took more memory than its row allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverAllowance {
    /// In bytes.
    pub took: usize,
    /// In bytes.
    pub allowed: usize,
}
