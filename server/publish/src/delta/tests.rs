//! Deltas between files on a disk.

use super::*;
use lazaret_protocol_delta::MAGIC;

/// Bytes that no compressor shortens, the same for the same seed (splitmix64).
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let word = move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).to_le_bytes()
    };
    std::iter::repeat_with(word).flatten().take(length).collect()
}

fn files(base: &[u8], result: &[u8]) -> (tempfile::TempDir, [PathBuf; 3]) {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["base", "result", "delta"].map(|name| folder.path().join(name));
    durable::write_new(&paths[0], base, Access::Public).unwrap();
    durable::write_new(&paths[1], result, Access::Public).unwrap();
    (folder, paths)
}

#[test]
fn a_delta_says_what_it_is() {
    let base = noise(1, 300_000);
    let mut result = base.clone();
    result[150_000..150_100].copy_from_slice(&noise(2, 100));
    let (_folder, [base_path, result_path, out]) = files(&base, &result);
    let made = make_delta(&base_path, &result_path, &out, |_, _| ()).unwrap();
    let written = std::fs::read(&out).unwrap();
    assert_eq!(made.length, u64::try_from(written.len()).unwrap());
    assert!(made.length < 20_000, "{} bytes for 100 changed ones", made.length);
    assert_eq!(made.sha256, Sha256Digest::of(&written));
    assert_eq!(made.custom.base_sha256, Sha256Digest::of(&base));
    assert_eq!(made.custom.result_sha256, Sha256Digest::of(&result));
    assert_eq!(made.custom.result_length, 300_000);
    assert!(MAGIC.starts_with(DELTA_FORMAT.as_bytes()));
    // Made again in its place, it is the same.
    assert_eq!(make_delta(&base_path, &result_path, &out, |_, _| ()).unwrap(), made);
}

#[test]
fn a_delta_that_saves_nothing_is_not_made() {
    let (_folder, [base, result, out]) = files(&noise(1, 300_000), &noise(2, 300_000));
    let refused = make_delta(&base, &result, &out, |_, _| ()).unwrap_err();
    assert!(matches!(refused, MakeDeltaError::NotWorthIt { allowed: 240_000 }), "{refused:?}");
    assert!(!out.exists());
}

#[test]
fn an_image_that_is_not_there_is_named() {
    let (_folder, [base, _, out]) = files(b"a", b"b");
    let missing = base.with_extension("missing");
    let refused = make_delta(&base, &missing, &out, |_, _| ()).unwrap_err();
    let MakeDeltaError::Image { path, .. } = refused else { panic!("{refused:?}") };
    assert_eq!(path, missing);
}
