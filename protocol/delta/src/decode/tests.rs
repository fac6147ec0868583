//! Frames: the codecs against their oracle, and hostile payloads.
#![allow(clippy::cast_possible_truncation, reason = "test data is small")]

use super::*;
use crate::control::{Instruction, StreamMethod, control_bytes};
use crate::header::ImageId;
use crate::{FRAME_RESULT_BYTES_MAX, OutsideBase};
use proptest::prelude::*;
use std::vec::Vec;

type Decoded = Result<Vec<u8>, DeltaError<OutsideBase>>;

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(bytes, 3).unwrap()
}

/// A header with one frame that makes `result` from all of `base`.
fn header(codec: Codec, base: &[u8], result: &[u8], payload: &[u8]) -> Header {
    let id = |bytes: &[u8]| ImageId { length: bytes.len() as u64, sha256: [0; 32] };
    let frame = Frame {
        payload_offset: 0,
        payload_length: u32::try_from(payload.len()).unwrap(),
        result_offset: 0,
        result_length: u32::try_from(result.len()).unwrap(),
        window_offset: 0,
        window_length: base.len() as u64,
        codec,
        digest: Frame::digest_of(result),
    };
    Header::new(id(base), id(result), vec![frame]).unwrap()
}

fn decoded(codec: Codec, base: &[u8], result: &[u8], payload: &[u8]) -> Decoded {
    let header = header(codec, base, result, payload);
    let mut out = vec![1, 2, 3];
    let outcome = decode_frame(&header, 0, payload, &mut { base }, &mut out);
    if outcome.is_err() {
        assert_eq!(out, [], "nothing unchecked is left behind");
    }
    outcome.map(|()| out)
}

fn text(length: usize) -> Vec<u8> {
    (0..length).map(|i| u8::try_from(i * i / 7 % 251).unwrap()).collect()
}

/// One instruction of the bsdiff stream, without bytes.
fn head(add: u64, insert: u64, seek: u64) -> Vec<u8> {
    [add, insert, seek].iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn bsdiff_of(base: &[u8], result: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    ::bsdiff::diff(base, result, &mut stream).unwrap();
    stream
}

/// What a hostile bsdiff stream comes to. The result is long enough for any payload.
fn hostile(stream: &[u8]) -> DeltaError<OutsideBase> {
    decoded(Codec::Bsdiff, &text(1000), &text(5000), &zstd(stream)).unwrap_err()
}

fn control(fault: ControlFault) -> DeltaError<OutsideBase> {
    DeltaError::Control { frame: 0, fault }
}

#[test]
fn every_codec_makes_the_result() {
    let base = text(3000);
    let mut result = base.clone();
    result.splice(1000..1010, *b"something else");
    let stream = zstd(&bsdiff_of(&base, &result));
    assert_eq!(decoded(Codec::Stored, &base, &result, &result), Ok(result.clone()));
    assert_eq!(decoded(Codec::Zstd, &base, &result, &zstd(&result)), Ok(result.clone()));
    assert_eq!(decoded(Codec::Copy, &base, &base, &[]), Ok(base.clone()));
    assert_eq!(decoded(Codec::Bsdiff, &base, &result, &stream), Ok(result));
}

#[test]
fn huge_lengths_are_refused() {
    for huge in [5001, 1 << 32, 1 << 63, u64::MAX] {
        assert_eq!(hostile(&head(huge, 0, 0)), control(ControlFault::Lengths));
        assert_eq!(hostile(&head(0, huge, 0)), control(ControlFault::Lengths));
        assert_eq!(hostile(&head(1000, huge, 0)), control(ControlFault::Lengths));
    }
}

#[test]
fn seek_before_the_start_is_refused() {
    let minus_one = 1 | 1 << 63;
    assert_eq!(hostile(&head(0, 0, minus_one)), control(ControlFault::Position));
    let least = u64::MAX;
    assert_eq!(hostile(&head(0, 0, least)), control(ControlFault::Position));
}

#[test]
fn reading_after_the_end_is_refused() {
    let mut stream = head(0, 0, 999);
    stream.extend(head(2, 0, 0));
    stream.extend([0; 2]);
    assert_eq!(hostile(&stream), control(ControlFault::Position));
    let mut stream = head(0, 0, i64::MAX as u64);
    stream.extend(head(0, 0, i64::MAX as u64));
    stream.extend(head(0, 0, i64::MAX as u64));
    assert_eq!(hostile(&stream), control(ControlFault::Position));
}

#[test]
fn endless_empty_instructions_are_refused() {
    let bomb = vec![0; 24 * 5002];
    assert_eq!(hostile(&bomb), control(ControlFault::Count));
}

#[test]
fn stream_that_ends_early_or_goes_on_is_refused() {
    let compression = DeltaError::Compression { frame: 0 };
    assert_eq!(hostile(&head(10, 0, 0)), compression);
    let (base, result) = (text(1000), text(5000));
    let mut stream = bsdiff_of(&base, &result);
    stream.push(0);
    let outcome = decoded(Codec::Bsdiff, &base, &result, &zstd(&stream));
    assert_eq!(outcome, Err(DeltaError::Compression { frame: 0 }));
}

#[test]
fn another_base_is_noticed_by_the_digest() {
    let (base, result) = (text(1000), text(1100));
    let payload = zstd(&bsdiff_of(&base, &result));
    let other = vec![5; 1000];
    let header = header(Codec::Bsdiff, &base, &result, &payload);
    let mut out = Vec::new();
    let outcome = decode_frame(&header, 0, &payload, &mut other.as_slice(), &mut out);
    assert_eq!(outcome, Err(DeltaError::FrameDigest { frame: 0 }));
    let outcome = decode_frame(&header, 0, &payload, &mut &base[..10], &mut out);
    assert!(matches!(outcome, Err(DeltaError::Base(OutsideBase { end: 10, .. }))));
}

#[test]
fn wrong_frame_or_payload_length_is_refused() {
    let result = text(100);
    let header = header(Codec::Stored, &[], &result, &result);
    let mut base: &[u8] = &[];
    let mut out = Vec::new();
    let outcome = decode_frame(&header, 1, &result, &mut base, &mut out);
    assert_eq!(outcome, Err(DeltaError::NoSuchFrame { frame: 1, frames: 1 }));
    let outcome = decode_frame(&header, 0, &result[1..], &mut base, &mut out);
    let expected = DeltaError::PayloadLength { frame: 0, expected: 100, available: 99 };
    assert_eq!(outcome, Err(expected));
}

/// A payload of the codec `split`; long streams are compressed.
fn split_payload(control: &[u8], difference: &[u8], literals: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    for stream in [control, difference, literals] {
        let short = stream.len() < 300;
        let method = if short { StreamMethod::Stored } else { StreamMethod::Zstd };
        let stored = if short { stream.to_vec() } else { zstd(stream) };
        payload.push(method.number());
        payload.extend(u32::try_from(stream.len()).unwrap().to_le_bytes());
        payload.extend(u32::try_from(stored.len()).unwrap().to_le_bytes());
        payload.extend(stored);
    }
    payload
}

fn split_outcome(instructions: &[Instruction], difference: usize, literals: usize) -> Decoded {
    let control = control_bytes(instructions);
    let payload = split_payload(&control, &vec![0; difference], &vec![7; literals]);
    let base = text(1000);
    let mut result = base[20..30].to_vec();
    result.resize(500, 7);
    decoded(Codec::Split, &base, &result, &payload)
}

#[test]
fn split_streams_make_the_result() {
    let one = Instruction { add: 10, insert: 490, shift: 20 };
    assert!(split_outcome(&[one], 10, 490).is_ok());
}

#[test]
fn split_instructions_that_break_a_rule_are_refused() {
    let instruction = |add, insert, shift| Instruction { add, insert, shift };
    let cases = [
        (vec![instruction(u32::MAX, 490, 20)], 10, 490, ControlFault::Lengths),
        (vec![instruction(10, u32::MAX, 20)], 10, 490, ControlFault::Lengths),
        (vec![instruction(10, 490, 20)], 11, 489, ControlFault::Lengths),
        (vec![instruction(10, 480, 20)], 10, 480, ControlFault::Lengths),
        (vec![instruction(10, 490, -1)], 10, 490, ControlFault::Position),
        (vec![instruction(10, 490, 991)], 10, 490, ControlFault::Position),
        (vec![instruction(10, 490, i64::MAX)], 10, 490, ControlFault::Position),
        (vec![], 0, 0, ControlFault::Lengths),
    ];
    for (instructions, difference, literals, fault) in cases {
        let outcome = split_outcome(&instructions, difference, literals);
        assert_eq!(outcome, Err(control(fault)), "{instructions:?}");
    }
}

#[test]
fn split_heads_that_lie_are_refused() {
    let result = text(400);
    let control_stream = control_bytes(&[Instruction { add: 0, insert: 400, shift: 0 }]);
    let payload = split_payload(&control_stream, &[], &result);
    let lie = |at: usize, with: &[u8]| {
        let (mut payload, mut result) = (payload.clone(), result.clone());
        payload[at..at + with.len()].copy_from_slice(with);
        result.resize(payload.len(), 0);
        decoded(Codec::Split, &[], &result, &payload)
    };
    let encoding = Err(control(ControlFault::Encoding));
    assert_eq!(lie(0, &[7]), encoding);
    assert_eq!(lie(5, &u32::MAX.to_le_bytes()), encoding);
    assert_eq!(lie(1, &u32::MAX.to_le_bytes()), encoding);
    assert_eq!(lie(1, &4u32.to_le_bytes()), Err(DeltaError::Compression { frame: 0 }));
}

/// A base, and a result that was made from pieces of it and of others.
fn images() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let piece = prop::collection::vec(any::<u8>(), 1..40);
    let edits = prop::collection::vec((any::<prop::sample::Index>(), 0usize..300, piece), 0..8);
    (prop::collection::vec(any::<u8>(), 1..1500), edits).prop_map(|(base, edits)| {
        let mut result = Vec::new();
        for (at, length, piece) in edits {
            let at = at.index(base.len());
            result.extend(&base[at..base.len().min(at + length)]);
            result.extend(piece);
        }
        result.push(0);
        (base, result)
    })
}

proptest! {
    #[test]
    fn stream_of_the_crate_decodes_as_its_own_patch_does((base, result) in images()) {
        let stream = bsdiff_of(&base, &result);
        let mut theirs = Vec::new();
        ::bsdiff::patch(&base, &mut stream.as_slice(), &mut theirs).unwrap();
        let payload = zstd(&stream);
        let mut padded = result.clone();
        // A payload may not be longer than the result, which it is for the smallest results.
        prop_assume!(payload.len() <= padded.len());
        prop_assert_eq!(&theirs, &padded);
        padded = decoded(Codec::Bsdiff, &base, &result, &payload).unwrap();
        prop_assert_eq!(padded, theirs);
    }

    #[test]
    fn random_instructions_never_panic_or_overrun(
        heads in prop::collection::vec((0u64..3000, 0u64..3000, any::<u64>(), any::<bool>()), 0..9)
    ) {
        let mut stream = Vec::new();
        for (add, insert, seek, is_near) in heads {
            stream.extend(head(add, insert, if is_near { seek & (1 << 63 | 0x3ff) } else { seek }));
            stream.extend(vec![3; (add + insert) as usize]);
        }
        let _ = hostile(&stream);
    }

    #[test]
    fn random_split_payloads_never_panic_or_overrun(
        list in prop::collection::vec((0u32..200, 0u32..200, -300i64..300), 0..9)
    ) {
        let list: Vec<Instruction> = list
            .into_iter()
            .map(|(add, insert, shift)| Instruction { add, insert, shift })
            .collect();
        let add: u32 = list.iter().map(|i| i.add).sum();
        let insert: u32 = list.iter().map(|i| i.insert).sum();
        let (add, insert) = (vec![1; add as usize], vec![2; insert as usize]);
        let payload = split_payload(&control_bytes(&list), &add, &insert);
        let result = vec![0; payload.len().min(FRAME_RESULT_BYTES_MAX as usize)];
        let _ = decoded(Codec::Split, &text(1000), &result, &payload);
    }

    #[test]
    fn damaged_payloads_never_make_another_result(
        (base, result) in images(), at in any::<prop::sample::Index>(), with in 1u8..
    ) {
        let mut payload = zstd(&bsdiff_of(&base, &result));
        prop_assume!(payload.len() <= result.len());
        let at = at.index(payload.len());
        payload[at] ^= with;
        if let Ok(made) = decoded(Codec::Bsdiff, &base, &result, &payload) {
            prop_assert_eq!(made, result);
        }
    }
}
