//! Every refusal of the header, and that no bytes get past it.

use super::*;
use crate::{FRAME_RESULT_BYTES_MAX, IndexFault};
use proptest::prelude::*;
use std::vec::Vec;

const GENEROUS: DecodeLimits = DecodeLimits { ram_bytes_max: 8 << 20, result_bytes_max: 1 << 30 };

fn frame(codec: Codec, window: (u64, u64), result_length: u32, payload_length: u32) -> Frame {
    Frame {
        payload_offset: 0,
        payload_length,
        result_offset: 0,
        result_length,
        window_offset: window.0,
        window_length: window.1,
        codec,
        digest: [9; 16],
    }
}

fn header() -> Header {
    let base = ImageId { length: 5000, sha256: [1; 32] };
    let result = ImageId { length: 4200, sha256: [2; 32] };
    let frames = vec![
        frame(Codec::Copy, (100, 2000), 2000, 0),
        frame(Codec::Split, (0, 5000), 2000, 70),
        frame(Codec::Stored, (0, 0), 200, 200),
    ];
    Header::new(base, result, frames).unwrap()
}

/// The header's bytes with some replaced, and a checksum that fits.
fn altered(at: usize, with: &[u8]) -> Vec<u8> {
    let mut bytes = header().to_bytes().unwrap();
    bytes[at..at + with.len()].copy_from_slice(with);
    let end = bytes.len() - 32;
    let checksum = Sha256::digest(&bytes[..end]);
    bytes[end..].copy_from_slice(&checksum);
    bytes
}

fn refusal(bytes: &[u8]) -> DeltaError {
    Header::parse(bytes, &GENEROUS).unwrap_err()
}

#[test]
fn header_survives_its_bytes_and_offsets_are_running_sums() {
    let bytes = header().to_bytes().unwrap();
    let (parsed, used) = Header::parse(&bytes, &GENEROUS).unwrap();
    assert_eq!((&parsed, used), (&header(), 152 + 3 * 44));
    let places: Vec<_> =
        parsed.frames().iter().map(|f| (f.payload_offset, f.result_offset)).collect();
    assert_eq!(places, [(284, 0), (284, 2000), (354, 4000)]);
}

#[test]
fn length_needed_is_known_after_twenty_bytes() {
    let bytes = header().to_bytes().unwrap();
    assert_eq!(Header::length_needed(&[]), Ok(20));
    assert_eq!(Header::length_needed(&bytes[..19]), Ok(20));
    assert_eq!(Header::length_needed(&bytes[..20]), Ok(284));
}

#[test]
fn another_format_is_refused_from_its_first_byte() {
    assert_eq!(Header::length_needed(b"B"), Err(DeltaError::WrongMagic));
    assert_eq!(refusal(b"lazaret-delta-2\n"), DeltaError::WrongMagic);
}

#[test]
fn header_length_out_of_bounds_is_refused() {
    for length in [0, 151, (1 << 20) + 1, u32::MAX] {
        let bytes = altered(16, &length.to_le_bytes());
        assert_eq!(refusal(&bytes), DeltaError::HeaderLength { length, frames: 0 });
    }
}

#[test]
fn truncated_header_says_how_much_it_needs() {
    let bytes = header().to_bytes().unwrap();
    let incomplete = DeltaError::HeaderIncomplete { needed: 284, available: 283 };
    assert_eq!(refusal(&bytes[..283]), incomplete);
}

#[test]
fn number_of_frames_must_fill_the_header() {
    for frames in [0, 2, 4, u32::MAX] {
        let bytes = altered(20, &frames.to_le_bytes());
        assert_eq!(refusal(&bytes), DeltaError::HeaderLength { length: 284, frames });
    }
}

#[test]
fn changed_byte_breaks_the_checksum() {
    let mut bytes = header().to_bytes().unwrap();
    bytes[60] ^= 1;
    assert_eq!(refusal(&bytes), DeltaError::HeaderChecksum);
}

#[test]
fn memory_above_the_limit_is_refused() {
    let needed = u64::MAX;
    let bytes = altered(24, &needed.to_le_bytes());
    assert_eq!(refusal(&bytes), DeltaError::Memory { needed, allowed: 8 << 20 });
}

#[test]
fn memory_below_what_the_frames_need_is_refused() {
    let needed = header().ram_bytes();
    let declared = needed - 1;
    let bytes = altered(24, &declared.to_le_bytes());
    assert_eq!(refusal(&bytes), DeltaError::MemoryUnderstated { declared, needed });
}

#[test]
fn declared_result_of_two_to_the_sixty_third_is_refused() {
    let length = 1 << 63;
    let bytes = altered(72, &u64::to_le_bytes(length));
    assert_eq!(refusal(&bytes), DeltaError::ResultTooLong { length, allowed: 1 << 30 });
}

#[test]
fn result_that_its_frames_do_not_make_is_refused() {
    let bytes = altered(72, &4201u64.to_le_bytes());
    assert_eq!(refusal(&bytes), DeltaError::ResultLength { frames: 4200, declared: 4201 });
}

#[test]
fn reserved_bytes_are_refused() {
    assert_eq!(refusal(&altered(115, &[1])), DeltaError::Reserved);
    let fault = IndexFault::Reserved;
    assert_eq!(refusal(&altered(120 + 25, &[1])), DeltaError::Index { frame: 0, fault });
}

#[test]
fn index_entries_that_break_a_rule_are_refused() {
    let long = (FRAME_RESULT_BYTES_MAX + 1).to_le_bytes();
    let cases: [(usize, &[u8], usize, IndexFault); 8] = [
        (120 + 24, &[5], 0, IndexFault::Codec(5)),
        (164, &u64::MAX.to_le_bytes(), 1, IndexFault::Window),
        (164, &1u64.to_le_bytes(), 1, IndexFault::Window),
        (120 + 8, &1999u64.to_le_bytes(), 0, IndexFault::Window),
        (120 + 16, &[0; 4], 0, IndexFault::ResultLength),
        (120 + 16, &long, 0, IndexFault::ResultLength),
        (120 + 20, &[1], 0, IndexFault::PayloadLength),
        (164 + 20, &2001u32.to_le_bytes(), 1, IndexFault::PayloadLength),
    ];
    for (at, with, frame, fault) in cases {
        assert_eq!(refusal(&altered(at, with)), DeltaError::Index { frame, fault });
    }
}

#[test]
fn only_the_base_it_was_made_from_is_accepted() {
    let base = vec![7u8; 40_000];
    let id = ImageId { length: 40_000, sha256: Sha256::digest(&base).into() };
    let empty = ImageId { length: 0, sha256: [0; 32] };
    let header = Header::new(id, empty, vec![]).unwrap();
    assert_eq!(header.check_base(&mut base.as_slice()), Ok(()));
    let mut other = base.clone();
    other[39_999] = 8;
    assert_eq!(header.check_base(&mut other.as_slice()), Err(DeltaError::WrongBase));
    let short = crate::OutsideBase { offset: 32 << 10, length: 40_000 - (32 << 10), end: 39_999 };
    assert_eq!(header.check_base(&mut &base[..39_999]), Err(DeltaError::Base(short)));
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(tail in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(&tail);
        let _ = Header::parse(&bytes, &GENEROUS);
    }

    #[test]
    fn altered_header_parses_to_a_consistent_one_or_not_at_all(
        at in 16usize..252, with in any::<[u8; 8]>()
    ) {
        let at = at.min(244);
        if let Ok((header, used)) = Header::parse(&altered(at, &with), &GENEROUS) {
            let sum: u64 = header.frames().iter().map(|f| u64::from(f.result_length)).sum();
            prop_assert_eq!(sum, header.result().length);
            prop_assert!(header.ram_bytes() <= GENEROUS.ram_bytes_max);
            prop_assert_eq!(used, header.to_bytes().unwrap().len());
        }
    }
}
