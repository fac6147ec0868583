//! Every refusal of the header, and that no bytes get past it.

use super::*;
use crate::layout::Segment;
use crate::{FRAME_RESULT_BYTES_MAX, IndexFault, Region, TableFault};
use proptest::prelude::*;
use std::vec::Vec;

const GENEROUS: DecodeLimits = DecodeLimits { ram_bytes_max: 8 << 20, result_bytes_max: 1 << 30 };

fn frame(codec: Codec, payload_length: u32) -> Frame {
    Frame {
        payload_offset: 0,
        result_offset: 0,
        payload_length,
        result_length: 0,
        section: 0,
        codec,
        digest: [9; 16],
    }
}

const fn section(frames: u32, ops: u32) -> Section {
    Section {
        control_offset: 0,
        control_length: 30,
        columns_length: 20,
        ops,
        frames,
        result_offset: 0,
        result_length: 0,
    }
}

fn images() -> Images {
    let base = ImageId { length: 5000, sha256: [1; 32] };
    Images { base, result: ImageId { length: 4200, sha256: [2; 32] } }
}

fn tables() -> Tables {
    Tables { sections: vec![section(2, 7), section(1, 1)], ..Tables::default() }
}

/// Three frames of 2000, 2000 and 200 bytes in two sections.
fn built(tables: &Tables) -> Result<(Header, Vec<u8>), DeltaError> {
    let frames = [frame(Codec::Copy, 0), frame(Codec::Split, 70), frame(Codec::Stored, 200)];
    Header::build(images(), 2000, &frames, tables, |_| None)
}

fn header() -> Header {
    built(&tables()).unwrap().0
}

fn bytes() -> Vec<u8> {
    built(&tables()).unwrap().1
}

/// The header's bytes with some replaced, and a checksum that fits.
fn altered(at: usize, with: &[u8]) -> Vec<u8> {
    let mut bytes = bytes();
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
    let (parsed, used) = Header::parse(&bytes(), &GENEROUS).unwrap();
    assert_eq!((&parsed, used), (&header(), LENGTH));
    let end = LENGTH as u64;
    let places: Vec<_> = parsed
        .frames()
        .iter()
        .map(|f| (f.payload_offset - end, f.result_offset, f.result_length, f.section))
        .collect();
    assert_eq!(places, [(30, 0, 2000, 0), (30, 2000, 2000, 0), (130, 4000, 200, 1)]);
    let places: Vec<_> = parsed
        .sections()
        .iter()
        .map(|s| (s.control_offset - end, s.result_offset, s.result_length))
        .collect();
    assert_eq!(places, [(0, 0, 4000), (100, 4000, 200)]);
    assert_eq!(parsed.delta_length(), Some(end + 330));
}

/// 148 bytes, 20 for each of three frames, and tables of 17 bytes with their head of two.
const LENGTH: usize = 148 + 3 * 20 + 17;

#[test]
fn length_needed_is_known_after_twenty_bytes() {
    assert_eq!(Header::length_needed(&[]), Ok(20));
    assert_eq!(Header::length_needed(&bytes()[..19]), Ok(20));
    assert_eq!(Header::length_needed(&bytes()[..20]), Ok(LENGTH));
}

#[test]
fn what_was_left_alone_is_told_and_never_more_than_a_header_holds() {
    let entry = LeftAlone { kind: 4, why: 3, parts: 2, bytes: 1 << 40, first: 77 };
    let told = |count| Tables { left_alone: vec![entry; count], ..tables() };
    let (header, bytes) = built(&told(crate::LEFT_MAX)).unwrap();
    assert_eq!(header.tables().left_alone, vec![entry; crate::LEFT_MAX]);
    assert_eq!(Header::parse(&bytes, &GENEROUS).unwrap().0, header);
    let too_many = built(&told(crate::LEFT_MAX + 1)).unwrap_err();
    assert_eq!(too_many, DeltaError::from(TableFault::Stream));
}

#[test]
fn another_format_is_refused_from_its_first_byte() {
    assert_eq!(Header::length_needed(b"B"), Err(DeltaError::WrongMagic));
    assert_eq!(refusal(b"lazaret-delta-2\n"), DeltaError::WrongMagic);
}

#[test]
fn header_length_out_of_bounds_is_refused() {
    for length in [0, 147, (1 << 20) + 1, u32::MAX] {
        let bytes = altered(16, &length.to_le_bytes());
        assert_eq!(refusal(&bytes), DeltaError::HeaderLength { length, frames: 0 });
    }
}

#[test]
fn truncated_header_says_how_much_it_needs() {
    let incomplete = DeltaError::HeaderIncomplete { needed: LENGTH, available: LENGTH - 1 };
    assert_eq!(refusal(&bytes()[..LENGTH - 1]), incomplete);
}

#[test]
fn number_of_frames_must_fit_the_header() {
    let length = u32::try_from(LENGTH).unwrap();
    for frames in [100, u32::MAX] {
        let bytes = altered(20, &frames.to_le_bytes());
        assert_eq!(refusal(&bytes), DeltaError::HeaderLength { length, frames });
    }
    for frames in [0u32, 2, 4] {
        assert!(Header::parse(&altered(20, &frames.to_le_bytes()), &GENEROUS).is_err());
    }
}

#[test]
fn changed_byte_breaks_the_checksum() {
    let mut bytes = bytes();
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
    let refused = |length: u64| refusal(&altered(72, &length.to_le_bytes()));
    let fault = IndexFault::ResultLength;
    assert_eq!(refused(4000), DeltaError::Index { frame: 2, fault });
    // The last frame is longer then than what is stored for it.
    let fault = IndexFault::PayloadLength;
    assert_eq!(refused(4201), DeltaError::Index { frame: 2, fault });
}

#[test]
fn index_entries_that_break_a_rule_are_refused() {
    let cases: [(usize, &[u8], usize, IndexFault); 3] = [
        (116, &[5], 0, IndexFault::Codec(5)),
        (117, &[1], 0, IndexFault::PayloadLength),
        (137, &2001u32.to_le_bytes()[..3], 1, IndexFault::PayloadLength),
    ];
    for (at, with, frame, fault) in cases {
        assert_eq!(refusal(&altered(at, with)), DeltaError::Index { frame, fault });
    }
}

#[test]
fn frames_of_no_length_or_too_long_are_refused() {
    for length in [0, FRAME_RESULT_BYTES_MAX + 1] {
        let refused = refusal(&altered(112, &length.to_le_bytes()));
        assert_eq!(refused, DeltaError::Tables(TableFault::FrameLength));
    }
}

#[test]
fn tables_that_break_a_rule_are_refused() {
    let sections =
        |sections: Vec<Section>| built(&Tables { sections, ..Tables::default() }).map(|_| ());
    let refused = Err(DeltaError::Tables(TableFault::Sections));
    assert_eq!(sections(vec![section(2, 7)]), refused);
    assert_eq!(sections(vec![section(2, 7), section(2, 7)]), refused);
    assert_eq!(sections(vec![section(0, 7), section(3, 7)]), refused);
    assert_eq!(sections(vec![section(3, (1 << 16) + 1)]), refused);
    let region = |offset, length| Region { offset, length, address: 0, program: 0 };
    let base = vec![region(0, 10), region(9, 1)];
    let addresses = Addresses { base, ..Addresses::default() };
    let outcome = built(&Tables { addresses, ..tables() });
    assert_eq!(outcome, Err(DeltaError::Tables(TableFault::Addresses)));
    let packed = Segment::Packed { codec: 1, parameter: 0, packed: 9, unpacked: 90 };
    let base_layout = Layout::new([packed]).unwrap();
    let outcome = built(&Tables { base_layout, ..tables() });
    assert_eq!(outcome, Err(DeltaError::Tables(TableFault::Layout)));
}

#[test]
fn only_the_base_it_was_made_from_is_accepted() {
    let base = vec![7u8; 40_000];
    let id = ImageId { length: 40_000, sha256: Sha256::digest(&base).into() };
    let empty = ImageId { length: 0, sha256: [0; 32] };
    let images = Images { base: id, result: empty };
    let (header, _) = Header::build(images, 1, &[], &Tables::default(), |_| None).unwrap();
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
        at in 16usize..LENGTH - 40, with in any::<[u8; 8]>()
    ) {
        if let Ok((header, used)) = Header::parse(&altered(at, &with), &GENEROUS) {
            let sum: u64 = header.frames().iter().map(|f| u64::from(f.result_length)).sum();
            prop_assert_eq!(sum, header.result_expanded_length());
            prop_assert!(header.ram_bytes() <= GENEROUS.ram_bytes_max);
            prop_assert_eq!(used, LENGTH);
        }
    }
}
