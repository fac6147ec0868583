//! Deltas: nothing of them is believed. Their checksums keep chance away and no attacker, so they
//! are made good before the input is read once more.

use std::sync::LazyLock;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol_delta::{DecodeLimits, Decoder, Header};
use lazaret_protocol_delta_encode::{EncodeOptions, encode};

const LIMITS: DecodeLimits = DecodeLimits { ram_bytes_max: 4 << 20, result_bytes_max: 1 << 20 };

/// An old image: text that repeats with changes, so that all codecs find work.
static BASE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    (0..3000_u32)
        .flat_map(|line| format!("{} line {}\n", line % 7, line * 37).into_bytes())
        .collect()
});

pub(crate) fn header(input: &[u8]) {
    let _raw = Header::parse(input, &LIMITS);
    let good = checked(input);
    let Ok((header, length)) = Header::parse(&good, &LIMITS) else { return };
    assert!(length <= good.len(), "a header longer than what it was read from");
    assert!(header.ram_bytes() <= LIMITS.ram_bytes_max, "more memory than allowed");
    assert!(header.result().length <= LIMITS.result_bytes_max, "a longer result than allowed");
}

pub(crate) fn frames(input: &[u8]) {
    let good = checked(input);
    let Ok((header, _)) = Header::parse(&good, &LIMITS) else { return };
    let piece = |from: u64, length: u32| {
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        good.get(from..from.saturating_add(length))
    };
    let mut decoder = Decoder::new(header);
    let mut out = Vec::new();
    for number in 0..decoder.header().frames().len().min(8) {
        if let Some((section, at)) = decoder.control_wanted(number) {
            let Some(block) = piece(at.control_offset, at.control_length) else { continue };
            if decoder.load_control(section, block).is_err() {
                continue;
            }
        }
        let Some(frame) = decoder.header().frames().get(number).copied() else { continue };
        let Some(payload) = piece(frame.payload_offset, frame.payload_length) else { continue };
        match decoder.frame(number, payload, &mut BASE.as_slice(), &mut out) {
            Ok(()) => assert_eq!(
                u32::try_from(out.len()),
                Ok(frame.result_length),
                "a frame of another length than its index says"
            ),
            Err(_) => assert!(out.is_empty(), "nothing unchecked is left behind"),
        }
    }
}

/// The input with the header's checksum as it should be.
fn checked(input: &[u8]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    let Ok(length) = Header::length_needed(&bytes) else { return bytes };
    let Some((body, sum)) =
        bytes.get_mut(..length).and_then(|h| h.split_at_mut_checked(length - 32))
    else {
        return bytes;
    };
    sum.copy_from_slice(Sha256Digest::of(body).as_bytes());
    bytes
}

pub(crate) fn header_seeds() -> Vec<Vec<u8>> {
    let delta = frame_seeds().into_iter().next().unwrap_or_default();
    let length = Header::length_needed(&delta).unwrap_or(0);
    vec![delta.get(..length).unwrap_or_default().to_vec()]
}

pub(crate) fn frame_seeds() -> Vec<Vec<u8>> {
    let mut changed = BASE.clone();
    for at in (0..changed.len()).step_by(997) {
        changed.insert(at, b'!');
    }
    let fresh: Vec<u8> = (0..20_000_u32).flat_map(u32::to_le_bytes).collect();
    [changed, BASE.clone(), fresh].iter().filter_map(|result| delta_to(result)).collect()
}

fn delta_to(result: &[u8]) -> Option<Vec<u8>> {
    let options = EncodeOptions { frame_bytes: 16 << 10, threads: 1, ..EncodeOptions::default() };
    let mut delta = Vec::new();
    encode(&*BASE, &result, &options, |_, _| {}, &mut delta).ok()?;
    Some(delta)
}
