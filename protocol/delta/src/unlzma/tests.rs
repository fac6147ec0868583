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
    let mut stream = LzmaSource::new(stream, length as u32)?;
    for part in bytes.chunks_mut(1000) {
        stream.read_exact(part)?;
    }
    stream.finish()?;
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

#[test]
fn bomb_costs_no_more_than_what_was_asked_for() {
    let stream = compressed(&vec![0; 1 << 20]);
    assert!(stream.len() < 1000);
    let mut source = LzmaSource::new(&stream, 1 << 20).unwrap();
    source.read_exact(&mut [0; 10]).unwrap();
    assert_eq!(source.stream.total_out(), 10);
}

proptest! {
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
