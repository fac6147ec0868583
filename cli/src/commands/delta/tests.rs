//! Deltas made, shown and applied by the commands themselves, and what they refuse.

#![allow(clippy::disallowed_methods, reason = "all of this is a test")]

use std::fs;
use std::path::Path;

use clap::Parser as _;

use crate::commands::Cli;

fn run(words: &[&str]) -> Result<(), String> {
    let words = ["lazaret"].iter().chain(words);
    let cli = Cli::try_parse_from(words).map_err(|err| err.to_string())?;
    cli.run().map_err(|err| err.chain().map(ToString::to_string).collect::<Vec<_>>().join(": "))
}

fn image(length: usize, mut state: u32) -> Vec<u8> {
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

fn in_folder(folder: &Path, name: &str) -> String {
    folder.join(name).to_str().unwrap().to_owned()
}

#[test]
fn a_delta_that_was_made_is_shown_and_makes_its_image_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| in_folder(folder.path(), name);
    let base = image(80_000, 1);
    let mut result = base.clone();
    result.splice(30_000..31_000, image(500, 2));
    fs::write(path("base"), &base).unwrap();
    fs::write(path("result"), &result).unwrap();
    let make = ["delta", "make", &path("base"), &path("result"), &path("delta"), "--json"];
    run(&make).unwrap();
    assert!(fs::metadata(path("delta")).unwrap().len() < 2000);
    run(&["delta", "inspect", &path("delta"), "--json"]).unwrap();
    run(&["delta", "apply", &path("base"), &path("delta"), &path("again")]).unwrap();
    assert_eq!(fs::read(path("again")).unwrap(), result);
    // Nothing is written over unasked.
    run(&make).unwrap_err();
    run(&["delta", "make", "--force", &path("base"), &path("result"), &path("delta")]).unwrap();
}

#[test]
fn another_base_a_damaged_delta_and_too_little_memory_leave_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| in_folder(folder.path(), name);
    fs::write(path("base"), image(50_000, 1)).unwrap();
    fs::write(path("other"), image(50_000, 2)).unwrap();
    fs::write(path("result"), image(60_000, 1)).unwrap();
    run(&["delta", "make", &path("base"), &path("result"), &path("delta")]).unwrap();
    let apply = |base: &str, delta: &str, more: &[&str]| {
        let words = ["delta", "apply", &path(base), &path(delta), &path("again")];
        run(&[&words, more].concat()).unwrap_err()
    };
    assert!(apply("other", "delta", &[]).contains("base is not the one"));
    assert!(apply("result", "delta", &[]).contains("expected a base of 50000 bytes"));
    assert!(apply("base", "delta", &["--ram-bytes-max", "1000"]).contains("1000 are allowed"));
    assert!(apply("base", "base", &[]).contains("expected a delta of format"));
    let mut damaged = fs::read(path("delta")).unwrap();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    fs::write(path("damaged"), &damaged).unwrap();
    apply("base", "damaged", &[]);
    fs::write(path("cut"), &damaged[..last]).unwrap();
    assert!(apply("base", "cut", &[]).contains("expected a delta of"));
    assert!(!Path::new(&path("again")).exists());
}
