//! Holds the decoder to the memory that its header declares, by counting what it allocates. It is a
//! program of its own, because an allocator counts for the whole program.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]
#![allow(clippy::cast_possible_truncation, reason = "test data is small")]

use lazaret_protocol_delta::{DecodeLimits, Decoder, Header};
use lazaret_protocol_delta_encode::{EncodeOptions, encode};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Bytes that compress to about a half, the same every time.
fn image(length: usize, mut state: u32) -> Vec<u8> {
    let next = |i: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if i % 4 < 2 { (i / 64 % 256) as u8 } else { (state >> 25) as u8 }
    };
    (0..length).map(next).collect()
}

/// What decoding allocates at most, payloads included, and what the header declares.
fn measured(base: &[u8], result: &[u8], frame_bytes: u32) -> (usize, usize) {
    let options = EncodeOptions { frame_bytes, zstd_level: 3, ..EncodeOptions::default() };
    let mut delta = Vec::new();
    encode(&base, &result, &options, |_, _| {}, &mut delta).unwrap();
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let limits = DecodeLimits { ram_bytes_max: 8 << 20, result_bytes_max: 1 << 30 };
    let (header, _) = Header::parse(&delta, &limits).unwrap();
    let declared = header.ram_bytes() as usize;
    let frames = header.frames().len();
    let mut decoder = Decoder::new(header);
    let mut out = Vec::new();
    let part = |offset: u64, length: u32| delta[offset as usize..][..length as usize].to_vec();
    for number in 0..frames {
        if let Some((section, at)) = decoder.control_wanted(number) {
            let block = part(at.control_offset, at.control_length);
            decoder.load_control(section, &block).unwrap();
        }
        let frame = decoder.header().frames()[number];
        let payload = part(frame.payload_offset, frame.payload_length);
        decoder.frame(number, &payload, &mut { base }, &mut out).unwrap();
    }
    (MEMORY.peak_usage() - before, declared)
}

#[test]
fn decoding_takes_no_more_memory_than_the_header_declares() {
    let base = image(600_000, 1);
    let mut edited = base.clone();
    edited.splice(200_000..200_000, image(100_000, 2));
    edited.iter_mut().step_by(997).for_each(|byte| *byte ^= 3);
    let unrelated = image(600_000, 7);
    for (result, frame_bytes) in
        [(&edited, 1 << 20), (&edited, 64 << 10), (&unrelated, 512 << 10), (&base, 512 << 10)]
    {
        let (peak, declared) = measured(&base, result, frame_bytes);
        assert!(peak <= declared, "{peak} bytes at the peak, {declared} declared");
    }
}
