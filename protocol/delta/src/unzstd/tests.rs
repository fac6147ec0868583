//! The limits of a compressed stream: bombs, windows, lengths, damage.

use super::*;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;
use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

fn compressed(bytes: &[u8], window_log: u32) -> Vec<u8> {
    let mut compressor = Compressor::new(3).unwrap();
    compressor.set_parameter(CParameter::WindowLog(window_log)).unwrap();
    compressor.compress(bytes).unwrap()
}

fn read(stream: &[u8], length: usize) -> Result<Vec<u8>, Malformed> {
    let mut bytes = vec![0; length];
    let mut stream = ZstdStream::new(stream)?;
    for part in bytes.chunks_mut(1000) {
        stream.read_exact(part)?;
    }
    stream.finish()?;
    Ok(bytes)
}

fn text(length: usize) -> Vec<u8> {
    (0..length).map(|i| u8::try_from(i * i % 251).unwrap()).collect()
}

#[test]
fn stream_longer_than_its_window_is_read_whole() {
    let bytes = text(700_000);
    assert_eq!(read(&compressed(&bytes, 15), 700_000), Ok(bytes.clone()));
    assert_eq!(read(&compressed(&bytes, 19), 700_000), Ok(bytes));
}

#[test]
fn empty_stream_is_read() {
    assert_eq!(read(&compressed(&[], 19), 0), Ok(Vec::new()));
}

#[test]
fn window_above_the_limit_is_refused() {
    let stream = compressed(&text(1 << 20), 20);
    assert!(matches!(ZstdStream::new(&stream), Err(Malformed)));
}

#[test]
fn stream_of_another_length_is_refused() {
    let stream = compressed(&text(5000), 19);
    assert_eq!(read(&stream, 4999), Err(Malformed));
    assert_eq!(read(&stream, 5001), Err(Malformed));
}

#[test]
fn bytes_after_the_frame_are_refused() {
    let mut stream = compressed(&text(5000), 19);
    stream.push(0);
    assert_eq!(read(&stream, 5000), Err(Malformed));
}

#[test]
fn bomb_costs_no_more_than_what_was_asked_for() {
    // 64 blocks of 128 KiB of zeros, four bytes each: RLE blocks after a head with a 512 KiB
    // window.
    let mut bomb = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 9 << 3];
    let head = |last: u32| ((128 << 10) << 3 | 1 << 1 | last).to_le_bytes();
    for _ in 0..64 {
        bomb.extend(&head(0)[..3]);
        bomb.push(0);
    }
    bomb.extend(&head(1)[..3]);
    bomb.push(0);
    assert_eq!(read(&bomb, 65 * (128 << 10)).map(|bytes| bytes.len()), Ok(65 * (128 << 10)));
    let mut stream = ZstdStream::new(&bomb).unwrap();
    stream.read_exact(&mut [0; 10]).unwrap();
    // The window has to be full before bytes can leave it: five blocks, and not sixty-five.
    assert_eq!(stream.decoder.blocks_decoded(), 5);
    assert_eq!(stream.finish(), Err(Malformed));
}

#[test]
fn block_with_a_megabyte_of_literals_is_refused() {
    // One compressed block: RLE literals with a 20-bit size of 2^20 - 1, and no sequences.
    let literals = (0xf_ffffu32 << 4 | 3 << 2 | 1).to_le_bytes();
    let mut stream = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 9 << 3];
    stream.extend(&(5u32 << 3 | 2 << 1 | 1).to_le_bytes()[..3]);
    stream.extend([literals[0], literals[1], literals[2], 0, 0]);
    assert!(!literals_are_bounded(&stream[6..]));
    assert_eq!(read(&stream, 0xf_ffff), Err(Malformed));
}

proptest! {
    #[test]
    fn damaged_stream_never_panics(
        length in 1usize..20_000, at in any::<prop::sample::Index>(), with in any::<[u8; 3]>()
    ) {
        let mut stream = compressed(&text(length), 19);
        let at = at.index(stream.len());
        for (to, from) in stream[at..].iter_mut().zip(with) {
            *to = from;
        }
        let _ = read(&stream, length);
    }

    #[test]
    fn random_stream_never_panics(tail in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut stream = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 9 << 3];
        stream.extend(&tail);
        let _ = read(&stream, 1000);
    }
}
