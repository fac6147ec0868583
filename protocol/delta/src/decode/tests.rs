//! Frames: the codecs against their oracle, and hostile payloads.
#![allow(clippy::cast_possible_truncation, reason = "test data is small")]

use super::*;
use crate::control::{Op, control_columns};
use crate::header::{ImageId, Images, Tables};
use crate::stream::{StreamMethod, push_stream};
use crate::{FRAME_RESULT_BYTES_MAX, OutsideBase};
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

type Decoded = Result<Vec<u8>, DeltaError<OutsideBase>>;

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(bytes, 3).unwrap()
}

/// A decoder for one frame that makes `result` from `base` by these instructions.
fn decoder(
    codec: Codec,
    base: &[u8],
    result: &[u8],
    (ops, payload): (&[Op], &[u8]),
) -> Result<Decoder, DeltaError> {
    let id = |bytes: &[u8]| ImageId { length: bytes.len() as u64, sha256: [0; 32] };
    let frame = Frame {
        payload_offset: 0,
        result_offset: 0,
        payload_length: u32::try_from(payload.len()).unwrap(),
        result_length: 0,
        section: 0,
        codec,
        digest: Frame::digest_of(result),
    };
    let columns = control_columns(ops, 0);
    let mut block = Vec::new();
    for column in &columns {
        push_stream(&mut block, StreamMethod::Stored, column.len(), column);
    }
    let section = Section {
        control_offset: 0,
        control_length: block.len() as u32,
        columns_length: columns.iter().map(|column| column.len() as u32).sum(),
        ops: ops.len() as u32,
        frames: 1,
        result_offset: 0,
        result_length: 0,
    };
    let tables = Tables { sections: vec![section], ..Tables::default() };
    let images = Images { base: id(base), result: id(result) };
    let frame_bytes = FRAME_RESULT_BYTES_MAX;
    let (header, _) = Header::build(images, frame_bytes, &[frame], &tables, |_| None)?;
    let mut decoder = Decoder::new(header);
    decoder.load_control(0, &block)?;
    Ok(decoder)
}

/// All of the result from literals.
fn inserted(result: &[u8]) -> [Op; 1] {
    [Op { old: 0, add: 0, insert: result.len() as u32 }]
}

fn run(mut decoder: Decoder, mut base: &[u8], payload: &[u8]) -> Decoded {
    let mut out = vec![1, 2, 3];
    let outcome = decoder.frame(0, payload, &mut base, &mut out);
    if outcome.is_err() {
        assert_eq!(out, [], "nothing unchecked is left behind");
    }
    outcome.map(|()| out)
}

/// With a codec that needs no instructions.
fn decoded(codec: Codec, base: &[u8], result: &[u8], payload: &[u8]) -> Decoded {
    run(decoder(codec, base, result, (&inserted(result), payload)).unwrap(), base, payload)
}

/// A payload of the codec `bsdiff` with all of the base as its window.
fn windowed(base: &[u8], stream: &[u8]) -> Vec<u8> {
    let mut payload = vec![0; 8];
    payload.extend((base.len() as u64).to_le_bytes());
    payload.extend(zstd(stream));
    payload
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
    let base = text(1000);
    decoded(Codec::Bsdiff, &base, &text(5000), &windowed(&base, stream)).unwrap_err()
}

fn control(fault: ControlFault) -> DeltaError<OutsideBase> {
    DeltaError::Control { frame: 0, fault }
}

#[test]
fn every_codec_makes_the_result() {
    let base = text(3000);
    let mut result = base.clone();
    result.splice(1000..1010, *b"something else");
    let stream = windowed(&base, &bsdiff_of(&base, &result));
    assert_eq!(decoded(Codec::Stored, &base, &result, &result), Ok(result.clone()));
    assert_eq!(decoded(Codec::Zstd, &base, &result, &zstd(&result)), Ok(result.clone()));
    let ops = [Op { old: 2000, add: 1000, insert: 0 }, Op { old: 0, add: 1000, insert: 0 }];
    let moved = [&base[2000..], &base[..1000]].concat();
    let copying = decoder(Codec::Copy, &base, &moved, (&ops, &[])).unwrap();
    assert_eq!(run(copying, &base, &[]), Ok(moved));
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
    let outcome = decoded(Codec::Bsdiff, &base, &result, &windowed(&base, &stream));
    assert_eq!(outcome, Err(DeltaError::Compression { frame: 0 }));
}

#[test]
fn another_base_is_noticed_by_the_digest() {
    let (base, result) = (text(1000), text(1100));
    let payload = windowed(&base, &bsdiff_of(&base, &result));
    let made = || decoder(Codec::Bsdiff, &base, &result, (&inserted(&result), &payload)).unwrap();
    let outcome = run(made(), &[5; 1000], &payload);
    assert_eq!(outcome, Err(DeltaError::FrameDigest { frame: 0 }));
    let outcome = run(made(), &base[..10], &payload);
    assert!(matches!(outcome, Err(DeltaError::Base(OutsideBase { end: 10, .. }))));
}

#[test]
fn wrong_frame_or_payload_length_is_refused() {
    let result = text(100);
    let made = || decoder(Codec::Stored, &[], &result, (&inserted(&result), &result)).unwrap();
    let mut base: &[u8] = &[];
    let outcome = made().frame(1, &result, &mut base, &mut Vec::new());
    assert_eq!(outcome, Err(DeltaError::NoSuchFrame { frame: 1, frames: 1 }));
    let outcome = run(made(), base, &result[1..]);
    let expected = DeltaError::PayloadLength { frame: 0, expected: 100, available: 99 };
    assert_eq!(outcome, Err(expected));
}

/// A payload of the codec `split` with streams as they are.
fn split_payload(kind: u8, streams: &[&[u8]]) -> Vec<u8> {
    let mut payload = vec![kind];
    for stream in streams {
        push_stream(&mut payload, StreamMethod::Stored, stream.len(), stream);
    }
    payload
}

const SPARSE: u8 = 16;

/// Ten bytes of the base with two of them changed, ten literals, then eighty bytes of the base.
fn split_case() -> (Vec<u8>, Vec<u8>, [Op; 2]) {
    let base = text(1000);
    let mut result = base[20..30].to_vec();
    result[3] = result[3].wrapping_add(9);
    result[9] = result[9].wrapping_add(1);
    result.extend([7; 10]);
    result.extend(&base[500..580]);
    let ops = [Op { old: 20, add: 10, insert: 10 }, Op { old: 500, add: 80, insert: 0 }];
    (base, result, ops)
}

fn split_outcome(payload: &[u8]) -> Decoded {
    let (base, result, ops) = split_case();
    run(decoder(Codec::Split, &base, &result, (&ops, payload)).unwrap(), &base, payload)
}

#[test]
fn split_streams_make_the_result() {
    let mut dense = [0; 90];
    (dense[3], dense[9]) = (9, 1);
    // A dense payload is longer than the result here, and so refused; that is the header's rule.
    let sparse = split_payload(SPARSE, &[&[3, 5], &[9, 1], &[7; 10]]);
    assert_eq!(split_outcome(&sparse), Ok(split_case().1));
    let (base, mut result, _) = split_case();
    let ops = [Op { old: 20, add: 10, insert: 90 }];
    result.truncate(20);
    result.resize(1000, 7);
    let ops = [Op { insert: 990, ..ops[0] }];
    let mut payload = vec![0];
    push_stream(&mut payload, StreamMethod::Stored, 10, &dense[..10]);
    let literals = lzma(&[7; 990]);
    push_stream(&mut payload, StreamMethod::Lzma, 990, &literals);
    let decoder = decoder(Codec::Split, &base, &result, (&ops, &payload)).unwrap();
    assert_eq!(run(decoder, &base, &payload), Ok(result));
}

fn lzma(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let options = lzma_rust2::LzmaOptions::with_preset(1);
    let head = vec![options.get_props()];
    let mut writer = lzma_rust2::LzmaWriter::new_no_header(head, &options, false).unwrap();
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

#[test]
fn split_payloads_that_break_a_rule_are_refused() {
    use ControlFault::{Encoding, Kind, Lengths};
    let cases: [(u8, &[&[u8]], ControlFault); 11] = [
        (6, &[&[], &[7; 10]], Kind(6)),
        (48, &[&[], &[7; 10]], Kind(48)),
        (64, &[&[], &[7; 10]], Kind(64)),
        (0, &[&[0; 9], &[7; 10]], Lengths),
        (SPARSE, &[&[3, 5], &[9], &[7; 10]], Lengths),
        (SPARSE, &[&[3, 5], &[9, 1, 1], &[7; 10]], Lengths),
        (SPARSE, &[&[3, 86], &[9, 1], &[7; 10]], Lengths),
        (SPARSE, &[&[3, 0x85], &[9, 1], &[7; 10]], Encoding),
        (SPARSE, &[&[3, 5], &[9, 1], &[7; 9]], Lengths),
        (SPARSE, &[&[3, 5], &[9, 1], &[7; 11]], Lengths),
        (SPARSE, &[&[3, 5], &[9, 1], &[7; 10], &[]], Encoding),
    ];
    for (kind, streams, fault) in cases {
        let payload = split_payload(kind, streams);
        assert_eq!(split_outcome(&payload), Err(control(fault)), "{kind} {streams:?}");
    }
}

#[test]
fn split_heads_that_lie_are_refused() {
    let good = split_payload(SPARSE, &[&[3, 5], &[9, 1], &[7; 10]]);
    let lie = |at: usize, with: u8| {
        let mut payload = good.clone();
        payload[at] = with;
        split_outcome(&payload)
    };
    assert_eq!(lie(1, 7), Err(control(ControlFault::Encoding)));
    assert_eq!(lie(2, 99), Err(control(ControlFault::Encoding)));
    assert_eq!(lie(1, 1), Err(control(ControlFault::Encoding)));
}

#[test]
fn a_copy_with_literals_is_refused() {
    let (base, result, ops) = split_case();
    let copying = decoder(Codec::Copy, &base, &result, (&ops, &[])).unwrap();
    assert_eq!(run(copying, &base, &[]), Err(control(ControlFault::Lengths)));
}

#[test]
fn frames_before_their_control_block_are_refused() {
    let (base, result, ops) = split_case();
    let payload = split_payload(SPARSE, &[&[3, 5], &[9, 1], &[7; 10]]);
    let loaded = decoder(Codec::Split, &base, &result, (&ops, &payload)).unwrap();
    let fresh = Decoder::new(loaded.header().clone());
    assert_eq!(fresh.control_wanted(0).map(|(section, _)| section), Some(0));
    assert_eq!(loaded.control_wanted(0), None);
    assert_eq!(run(fresh, &base, &payload), Err(control(ControlFault::Missing)));
}

#[test]
fn control_blocks_that_are_cut_or_longer_are_refused() {
    let (base, result, ops) = split_case();
    let header = decoder(Codec::Copy, &base, &result, (&ops, &[])).unwrap().header().clone();
    let mut block = Vec::new();
    for column in &control_columns(&ops, 0) {
        push_stream(&mut block, StreamMethod::Stored, column.len(), column);
    }
    let mut decoder = Decoder::new(header);
    for end in 0..block.len() {
        assert!(decoder.load_control(0, &block[..end]).is_err());
    }
    let fault = ControlFault::Lengths;
    block.push(0);
    assert_eq!(
        decoder.load_control(0, &block),
        Err(DeltaError::ControlBlock { section: 0, fault })
    );
    let outcome = decoder.load_control(1, &[]);
    assert_eq!(outcome, Err(DeltaError::NoSuchSection { section: 1, sections: 1 }));
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
        let payload = windowed(&base, &stream);
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
        kind in any::<u8>(), gaps in prop::collection::vec(any::<u8>(), 0..30),
        values in prop::collection::vec(any::<u8>(), 0..30), literals in 8usize..12,
    ) {
        let payload = split_payload(kind & 55, &[&gaps, &values, &vec![7; literals]]);
        if let Ok(made) = split_outcome(&payload) {
            prop_assert_eq!(made, split_case().1);
        }
    }

    #[test]
    fn damaged_payloads_never_make_another_result(
        (base, result) in images(), at in any::<prop::sample::Index>(), with in 1u8..
    ) {
        let mut payload = windowed(&base, &bsdiff_of(&base, &result));
        prop_assume!(payload.len() <= result.len());
        let at = at.index(payload.len());
        payload[at] ^= with;
        if let Ok(made) = decoded(Codec::Bsdiff, &base, &result, &payload) {
            prop_assert_eq!(made, result);
        }
    }
}
