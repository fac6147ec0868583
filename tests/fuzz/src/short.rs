//! The short run: a number of inputs from one seed. It is no search, but it meets what is shallow,
//! and it is the same each time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::Target;
use crate::mutate::{Dice, mutated};

/// How long one input may take. The slowest honest one takes some milliseconds unoptimised.
const INPUT_TIME_MAX: Duration = Duration::from_secs(10);

/// What a run did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ran {
    /// Inputs read.
    pub inputs: u64,
    /// The most that one had allocated, in bytes.
    pub peak_bytes: usize,
}

/// An input that a target does not bear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The input.
    pub input: Vec<u8>,
    /// What it did.
    pub what: String,
}

/// Reads all seeds, and then inputs made from them, until `inputs` are read or `time` is over.
///
/// # Errors
/// The first finding.
pub fn run(target: &Target, seed: u64, inputs: u64, time: Duration) -> Result<Ran, Box<Finding>> {
    let seeds = (target.seeds)();
    let mut dice = Dice::new(seed);
    let mut ran = Ran { inputs: 0, peak_bytes: 0 };
    let begun = Instant::now();
    for seed in &seeds {
        one(target, seed, &mut ran)?;
    }
    while ran.inputs < inputs && begun.elapsed() < time {
        one(target, &mutated(&mut dice, &seeds, target.input_bytes_max), &mut ran)?;
    }
    Ok(ran)
}

/// Reads one input, and says what is wrong with that.
///
/// # Errors
/// It panics, takes too much memory or takes too long.
pub fn one(target: &Target, input: &[u8], ran: &mut Ran) -> Result<(), Box<Finding>> {
    let begun = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| target.read(input)));
    let what = match outcome {
        Err(_) => "it panics".to_string(),
        Ok(Err(over)) => format!("it allocates {} bytes, allowed are {}", over.took, over.allowed),
        Ok(Ok(_)) if begun.elapsed() > INPUT_TIME_MAX => {
            format!("it takes {:?}", begun.elapsed())
        }
        Ok(Ok(peak)) => {
            ran.inputs = ran.inputs.saturating_add(1);
            ran.peak_bytes = ran.peak_bytes.max(peak);
            return Ok(());
        }
    };
    Err(Box::new(Finding { input: input.to_vec(), what }))
}
