//! The same targets under libFuzzer, which follows the coverage of instrumented code. Built and run
//! by `cargo xtask fuzz`, which names the target in the environment and hands libFuzzer its
//! options.
#![no_main]
#![allow(clippy::panic, reason = "a finding of a fuzz target is a panic")]
#![allow(clippy::disallowed_methods, reason = "libFuzzer takes the command line for itself")]

use std::sync::LazyLock;

use lazaret_fuzz::Target;
use libfuzzer_sys::fuzz_target;

/// Names the target.
const TARGET_VARIABLE: &str = "LAZARET_FUZZ_TARGET";

static TARGET: LazyLock<&'static Target> = LazyLock::new(|| {
    let name = std::env::var(TARGET_VARIABLE).unwrap_or_default();
    let target = Target::named(&name);
    target.unwrap_or_else(|| panic!("expected a target in {TARGET_VARIABLE}, got {name:?}"))
});

fuzz_target!(|input: &[u8]| {
    if let Err(over) = TARGET.read(input) {
        panic!("it allocates {} bytes, allowed are {}", over.took, over.allowed);
    }
});
