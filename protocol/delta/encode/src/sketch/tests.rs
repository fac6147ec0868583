//! That windows follow content.
#![allow(clippy::cast_possible_truncation, reason = "test data is small")]

use super::*;

/// Bytes without any pattern, the same every time.
fn noise(length: u64, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    };
    (0..length).map(next).collect()
}

fn sketch_of(base: &[u8]) -> Sketch {
    let mut builder = SketchBuilder::new(base.len() as u64);
    for part in base.chunks(777) {
        builder.push(part);
    }
    builder.finish()
}

#[test]
fn window_follows_content_that_moved_by_megabytes() {
    let base = noise(4 << 20, 1);
    let sketch = sketch_of(&base);
    let piece = &base[3_000_000..3_100_000];
    let start = sketch.window(piece, 0, 256 << 10);
    assert!(start <= 3_000_000 && start + (256 << 10) >= 3_100_000, "window begins at {start}");
}

#[test]
fn window_of_unknown_content_lies_around_the_same_offset() {
    let sketch = sketch_of(&noise(4 << 20, 1));
    let start = sketch.window(&noise(100_000, 2), 1 << 20, 300_000);
    assert_eq!(start, (1 << 20) - 100_000);
    assert_eq!(sketch.window(&noise(100_000, 2), 9 << 20, 300_000), (4 << 20) - 300_000);
}

#[test]
fn window_is_never_past_the_base() {
    let sketch = sketch_of(&noise(1000, 1));
    assert_eq!(sketch.window(&noise(5000, 1), 1 << 40, 1000), 0);
    assert_eq!(sketch_of(&[]).window(&[1, 2], 7, 0), 0);
}
