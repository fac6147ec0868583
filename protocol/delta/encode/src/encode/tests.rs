//! Whole deltas: round trips, resuming, determinism, damage.
#![allow(clippy::cast_possible_truncation, reason = "test data is small")]

use super::*;
use lazaret_protocol_delta::{DecodeLimits, Decoder, DeltaError};
use proptest::prelude::*;
use std::sync::Mutex;

const LIMITS: DecodeLimits = DecodeLimits { ram_bytes_max: 8 << 20, result_bytes_max: 1 << 30 };

fn small() -> EncodeOptions {
    EncodeOptions {
        frame_bytes: 4 << 10,
        window_bytes: 64 << 10,
        zstd_level: 3,
        threads: 2,
        ..EncodeOptions::default()
    }
}

fn delta(base: &[u8], result: &[u8], options: &EncodeOptions) -> (Vec<u8>, EncodeSummary) {
    let mut out = Vec::new();
    let summary = encode(&base, &result, options, |_, _| {}, &mut out).unwrap();
    assert_eq!(summary.delta_bytes, out.len() as u64);
    (out, summary)
}

/// Decodes the frames from `first` on, as a device does that already has those before.
fn resumed(delta: &[u8], mut base: &[u8], first: usize) -> Result<Vec<u8>, DeltaError> {
    let (header, _) = Header::parse(delta, &LIMITS)?;
    let frames = header.frames().to_vec();
    let mut decoder = Decoder::new(header);
    let (mut result, mut out) = (Vec::new(), Vec::new());
    let part = |offset: u64, length: u32| {
        let start = usize::try_from(offset).unwrap();
        &delta[start..start + length as usize]
    };
    for (number, frame) in frames.iter().enumerate().skip(first) {
        if let Some((section, at)) = decoder.control_wanted(number) {
            let block = part(at.control_offset, at.control_length);
            decoder.load_control(section, block)?;
        }
        let payload = part(frame.payload_offset, frame.payload_length);
        decoder.frame(number, payload, &mut base, &mut out).map_err(|error| match error {
            DeltaError::FrameDigest { frame } => DeltaError::FrameDigest { frame },
            DeltaError::Compression { frame } => DeltaError::Compression { frame },
            DeltaError::Control { frame, fault } => DeltaError::Control { frame, fault },
            other => panic!("{other:?}"),
        })?;
        result.extend_from_slice(&out);
    }
    Ok(result)
}

/// Bytes with some structure, the same every time.
fn image(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed;
    let next = |i: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if i % 16 < 6 { (i / 64 % 256) as u8 } else { (state >> 25) as u8 }
    };
    (0..length).map(next).collect()
}

/// A pair as an update makes it: bytes changed, inserted, removed, moved.
fn pair() -> (Vec<u8>, Vec<u8>) {
    let base = image(60_000, 1);
    let mut result = base.clone();
    result.splice(5_000..5_000, image(900, 2));
    result.drain(30_000..31_500);
    let moved: Vec<u8> = result.drain(40_000..44_000).collect();
    result.splice(9_000..9_000, moved);
    result.iter_mut().step_by(701).for_each(|byte| *byte ^= 0x40);
    result.extend_from_slice(&base[8192..16384]);
    (base, result)
}

#[test]
fn delta_of_an_edited_image_is_small_and_decodes() {
    let (base, result) = pair();
    let (delta, summary) = delta(&base, &result, &small());
    assert_eq!(resumed(&delta, &base, 0).unwrap(), result);
    assert!(delta.len() < result.len() / 8, "{summary:?}");
}

#[test]
fn resuming_at_any_frame_gives_the_same_bytes() {
    let (base, result) = pair();
    let (delta, _) = delta(&base, &result, &small());
    let (header, _) = Header::parse(&delta, &LIMITS).unwrap();
    for (number, frame) in header.frames().iter().enumerate() {
        let start = usize::try_from(frame.result_offset).unwrap();
        assert_eq!(resumed(&delta, &base, number).unwrap(), result[start..]);
    }
}

#[test]
fn number_of_threads_does_not_change_the_bytes() {
    let (base, result) = pair();
    let with = |threads| delta(&base, &result, &EncodeOptions { threads, ..small() }).0;
    let one = with(1);
    assert_eq!(one, with(2));
    assert_eq!(one, with(7));
    assert_eq!(one, with(0));
}

#[test]
fn progress_grows_to_its_end() {
    let (base, result) = pair();
    let seen = Mutex::new(Vec::new());
    let see = |done, total| seen.lock().unwrap().push((done, total));
    encode(&base, &result, &small(), see, &mut Vec::new()).unwrap();
    let seen = seen.into_inner().unwrap();
    let total = 2 * result.len() as u64;
    assert!(seen.iter().all(|(done, all)| done <= all && *all == total));
    assert_eq!(seen.iter().map(|(done, _)| *done).max(), Some(total));
}

#[test]
fn unchanged_frames_are_copied_wherever_they_stand() {
    let base = image(100_000, 3);
    let mut result = image(4096, 9);
    result.extend_from_slice(&base[50_000..50_000 + 3 * 4096]);
    let (delta, summary) = delta(&base, &result, &small());
    assert_eq!(summary.frames_by_codec[2], 3);
    assert_eq!(resumed(&delta, &base, 0).unwrap(), result);
}

#[test]
fn base_longer_than_the_window_is_searched_where_the_content_is() {
    let base = image(400_000, 3);
    // The halves change places, so that everything is displaced by three windows, and every block
    // differs, so that all of it has to be searched for.
    let mut result = base[200_000..].to_vec();
    result.extend_from_slice(&base[..200_000]);
    result.iter_mut().step_by(1013).for_each(|byte| *byte ^= 0x11);
    let options = EncodeOptions { threads: 1, ..small() };
    let (delta, summary) = delta(&base, &result, &options);
    assert_eq!(resumed(&delta, &base, 0).unwrap(), result);
    assert!(delta.len() < result.len() / 20, "{summary:?}");
}

#[test]
fn another_base_is_refused() {
    let (base, result) = pair();
    let (delta, _) = delta(&base, &result, &small());
    let mut other = base.clone();
    other.iter_mut().for_each(|byte| *byte ^= 1);
    let (header, _) = Header::parse(&delta, &LIMITS).unwrap();
    assert_eq!(header.check_base(&mut other.as_slice()), Err(DeltaError::WrongBase));
    assert_eq!(header.check_base(&mut base.as_slice()), Ok(()));
    assert_eq!(resumed(&delta, &other, 0), Err(DeltaError::FrameDigest { frame: 0 }));
}

#[test]
fn empty_images_have_deltas() {
    let result = image(5000, 1);
    for (base, result) in [(&[][..], &[][..]), (&[], &result), (&result, &[])] {
        let (delta, _) = delta(base, result, &small());
        assert_eq!(resumed(&delta, base, 0).unwrap(), result);
    }
}

#[test]
fn options_out_of_range_are_refused() {
    let with = |options: EncodeOptions| {
        let outcome = encode(&Vec::new(), &Vec::new(), &options, |_, _| {}, &mut Vec::new());
        matches!(outcome, Err(EncodeError::Option { .. }))
    };
    assert!(with(EncodeOptions { frame_bytes: 0, ..small() }));
    assert!(with(EncodeOptions { frame_bytes: (1 << 20) + 1, ..small() }));
    assert!(with(EncodeOptions { window_bytes: 0, ..small() }));
    assert!(with(EncodeOptions { zstd_level: 23, ..small() }));
    assert!(!with(small()));
}

#[test]
fn delta_that_saves_too_little_is_not_made() {
    let (base, result) = pair();
    let allowed = 500;
    let options = EncodeOptions { delta_bytes_max: allowed, ..small() };
    let mut out = Vec::new();
    let outcome = encode(&base, &result, &options, |_, _| {}, &mut out);
    assert!(matches!(outcome, Err(EncodeError::SavesTooLittle { allowed: 500 })));
    assert_eq!(out, []);
}

#[test]
fn image_that_cannot_be_read_is_named() {
    struct Broken;
    impl ReadAt for Broken {
        fn length(&self) -> std::io::Result<u64> {
            Ok(10_000)
        }
        fn read_exact_at(&self, _: u64, _: &mut [u8]) -> std::io::Result<()> {
            Err(std::io::ErrorKind::NotConnected.into())
        }
    }
    let fine = image(10_000, 1);
    let outcome = encode(&Broken, &fine, &small(), |_, _| {}, &mut Vec::new());
    assert!(matches!(outcome, Err(EncodeError::Read { side: Side::Base, .. })));
    let outcome = encode(&fine, &Broken, &small(), |_, _| {}, &mut Vec::new());
    assert!(matches!(outcome, Err(EncodeError::Read { side: Side::Result, .. })));
}

#[derive(Debug, Clone)]
enum Edit {
    Insert(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index, usize),
    Change(prop::sample::Index, u8),
    Move(prop::sample::Index, usize, prop::sample::Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        (at(), prop::collection::vec(any::<u8>(), 1..3000)).prop_map(|(a, b)| Edit::Insert(a, b)),
        (at(), 1usize..3000).prop_map(|(a, n)| Edit::Remove(a, n)),
        (at(), 1u8..).prop_map(|(a, x)| Edit::Change(a, x)),
        (at(), 1usize..9000, at()).prop_map(|(a, n, b)| Edit::Move(a, n, b)),
    ]
}

fn edited(base: &[u8], edits: Vec<Edit>) -> Vec<u8> {
    let mut result = base.to_vec();
    for edit in edits {
        result.push(0);
        match edit {
            Edit::Insert(at, bytes) => {
                let at = at.index(result.len());
                result.splice(at..at, bytes);
            }
            Edit::Remove(at, length) => {
                let at = at.index(result.len());
                result.drain(at..result.len().min(at + length));
            }
            Edit::Change(at, with) => {
                let at = at.index(result.len());
                result[at] ^= with;
            }
            Edit::Move(at, length, to) => {
                let at = at.index(result.len());
                let moved: Vec<u8> = result.drain(at..result.len().min(at + length)).collect();
                let to = to.index(result.len() + 1);
                result.splice(to..to, moved);
            }
        }
    }
    result
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn decoding_undoes_encoding(
        length in 0usize..40_000, edits in prop::collection::vec(edit(), 0..6)
    ) {
        let base = image(length, 5);
        let result = edited(&base, edits);
        let (delta, _) = delta(&base, &result, &small());
        prop_assert_eq!(resumed(&delta, &base, 0).unwrap(), result);
    }

    #[test]
    fn decoding_undoes_encoding_of_unrelated_images(
        base in prop::collection::vec(0u8..4, 0..9000),
        result in prop::collection::vec(0u8..4, 0..9000),
    ) {
        let (delta, _) = delta(&base, &result, &small());
        prop_assert_eq!(resumed(&delta, &base, 0).unwrap(), result);
    }

    #[test]
    fn tampered_delta_is_refused_or_makes_the_same_result(
        at in any::<prop::sample::Index>(), with in 1u8..
    ) {
        let (base, result) = pair();
        let (mut delta, _) = delta(&base[..20_000], &result[..20_000], &small());
        let at = at.index(delta.len());
        delta[at] ^= with;
        if let Ok(made) = resumed(&delta, &base[..20_000], 0) {
            prop_assert_eq!(made, &result[..20_000]);
        }
    }
}
