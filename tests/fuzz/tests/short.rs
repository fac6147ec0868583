//! Every target in its table, for about a second each.
#![allow(clippy::panic, clippy::print_stdout, reason = "a test")]

use std::time::Duration;

use lazaret_fuzz::{TARGETS, short};

/// One test for all: the allocator counts for the whole process, so targets run one by one.
#[test]
fn no_target_panics_or_allocates_beyond_its_limit() {
    for target in TARGETS {
        match short::run(target, 1, 20_000, Duration::from_secs(1)) {
            Ok(ran) => {
                assert!(
                    ran.inputs >= 20,
                    "{}: only {} inputs in a second",
                    target.name,
                    ran.inputs
                );
                println!("{}: {} inputs, {} bytes", target.name, ran.inputs, ran.peak_bytes);
            }
            Err(finding) => panic!(
                "{}: {}; the input: {}",
                target.name,
                finding.what,
                String::from_utf8_lossy(&finding.input)
            ),
        }
    }
}
