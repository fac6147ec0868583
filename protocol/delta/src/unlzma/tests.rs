//! The limits of an LZMA stream: lengths, properties, damage.
#![allow(clippy::cast_possible_truncation, reason = "test data is small")]

use super::*;
use lzma_rust2::{LzmaOptions, LzmaWriter};
use proptest::prelude::*;
use std::io::Write as _;
use std::vec;
use std::vec::Vec;

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let options = LzmaOptions { dict_size: 1 << 20, ..LzmaOptions::with_preset(1) };
    let mut writer = LzmaWriter::new_no_header(Vec::new(), &options, false).unwrap();
    writer.write_all(bytes).unwrap();
    let mut stream = vec![options.get_props()];
    stream.extend(writer.finish().unwrap());
    stream
}

fn read(stream: &[u8], length: usize) -> Result<Vec<u8>, Malformed> {
    let mut bytes = vec![0; length];
    decode(stream, &mut bytes)?;
    Ok(bytes)
}

fn text(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * i % 251) as u8).collect()
}

#[test]
fn stream_is_read_whole() {
    for length in [1, 2, 999, 1000, 1001, 70_000, 700_000] {
        assert_eq!(read(&compressed(&text(length)), length), Ok(text(length)));
    }
}

#[test]
fn stream_of_another_length_is_refused() {
    let stream = compressed(&text(5000));
    assert_eq!(read(&stream, 5001), Err(Malformed));
    assert_eq!(read(&stream, 4000), Err(Malformed));
}

#[test]
fn bytes_after_the_stream_are_refused() {
    let mut stream = compressed(&text(5000));
    stream.extend([0; 100]);
    assert_eq!(read(&stream, 5000), Err(Malformed));
}

#[test]
fn properties_that_cost_memory_are_refused() {
    let mut stream = compressed(&text(500));
    for properties in [8 + 9 * 4, 5, 3 + 9 * 2, 255] {
        stream[0] = properties;
        assert_eq!(read(&stream, 500), Err(Malformed));
    }
    assert_eq!(read(&[], 500), Err(Malformed));
}

proptest! {
    #[test]
    fn every_setting_of_the_encoder_is_read(
        pattern in prop::collection::vec(any::<u8>(), 1..400), length in 1usize..30_000,
        bits in prop::sample::select(vec![(3, 0, 2), (0, 2, 2), (0, 0, 0), (4, 0, 0), (1, 3, 4)]),
    ) {
        let bytes: Vec<u8> = (0..length).map(|i| {
            pattern[(i * 7 / 3) % pattern.len()].wrapping_add((i / 1000) as u8)
        }).collect();
        let (lc, lp, pb) = bits;
        let options = LzmaOptions { lc, lp, pb, dict_size: 1 << 20, ..LzmaOptions::with_preset(6) };
        let out = vec![options.get_props()];
        let mut writer = LzmaWriter::new_no_header(out, &options, false).unwrap();
        writer.write_all(&bytes).unwrap();
        prop_assert_eq!(read(&writer.finish().unwrap(), length), Ok(bytes));
    }

    #[test]
    fn damaged_stream_never_panics(
        length in 1usize..20_000, at in any::<prop::sample::Index>(), with in any::<[u8; 3]>()
    ) {
        let mut stream = compressed(&text(length));
        let at = at.index(stream.len());
        for (to, from) in stream[at..].iter_mut().zip(with) {
            *to = from;
        }
        let _ = read(&stream, length);
    }

    #[test]
    fn random_stream_never_panics(stream in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&stream, 1000);
    }
}
