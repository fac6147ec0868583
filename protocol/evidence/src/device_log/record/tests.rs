//! Records: one form each, whole or refused.
#![allow(clippy::arithmetic_side_effects, reason = "tests count small things")]

use super::*;
use alloc::vec;
use proptest::prelude::*;

pub(in super::super) fn record(seq: u64, kind: Kind, detail: Detail) -> Record {
    let at = Some(Timestamp::from_ms(1_700_000_000_000));
    Record { seq, boot: 3, monotonic: 1234, at, clock: Clock::System, kind, detail }
}

prop_compose! {
    pub(in super::super) fn any_record()(
        seq: u64,
        boot: u64,
        monotonic: u64,
        at in prop::option::of(0u64..253_000_000_000_000),
        clock in 0u8..3,
        kind in "[a-z][a-z0-9-]{0,20}",
        texts in prop::collection::btree_map("[a-z]{1,9}", "[ -~\u{e9}]{0,20}", 0..4),
        numbers in prop::collection::btree_map("[A-Z]{1,9}", any::<i64>(), 0..4),
    ) -> Record {
        let mut detail = Detail::none();
        for (key, text) in texts {
            detail = detail.text(key, text);
        }
        for (key, number) in numbers {
            detail = detail.number(key, number);
        }
        let at = at.map(Timestamp::from_ms);
        let kind = Kind::try_from(kind).unwrap();
        Record { seq, boot, monotonic, at, clock: clock_of(clock).unwrap(), kind, detail }
    }
}

#[test]
fn a_record_has_the_documented_bytes() {
    let mut record =
        record(1, Kind::known("boot"), Detail::none().text("why", "power").number("a", 1u64));
    record.at = None;
    let bytes = record.to_bytes().unwrap();
    let body = [
        &[0x89, 0x01, 0x01, 0x03, 0x19, 0x04, 0xd2, 0xf6, 0x01, 0x64][..],
        b"boot",
        &[0xa2, 0x61, b'a', 0x01, 0x63],
        b"why",
        &[0x65],
        b"power",
    ]
    .concat();
    assert_eq!(bytes[..body.len()], body);
    assert_eq!(bytes[body.len()], 0x1a);
    assert_eq!(bytes[body.len() + 1..], CRC.checksum(&body).to_be_bytes());
    // The check value of CRC-32C (RFC 3720, B.4).
    assert_eq!(CRC.checksum(&[0; 32]), 0x8a91_36aa);
}

proptest! {
    #[test]
    fn a_record_is_read_as_it_was_written(record in any_record()) {
        let bytes = record.to_bytes().unwrap();
        prop_assert_eq!(Record::parse(&bytes), Ok(record));
    }

    #[test]
    fn no_cut_and_no_changed_bit_makes_a_record(
        record in any_record(), at: prop::sample::Index, bit in 0u32..8
    ) {
        let bytes = record.to_bytes().unwrap();
        let at = at.index(bytes.len());
        prop_assert!(Record::parse(&bytes[..at]).is_err());
        let mut changed = bytes.clone();
        changed[at] ^= 1 << bit;
        prop_assert!(Record::parse(&changed).is_err());
        prop_assert!(Record::parse(&[&bytes[..], &[0]].concat()).is_err());
    }

    #[test]
    fn any_bytes_are_one_record_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(record) = Record::parse(&bytes) {
            prop_assert_eq!(record.to_bytes().unwrap(), bytes);
        }
    }
}

/// The bytes with their checksum made anew, as somebody who forges a record would.
fn checked(body: &[u8]) -> Vec<u8> {
    let mut bytes = body.to_vec();
    Encoder::new(&mut bytes).u32(CRC.checksum(body)).unwrap();
    bytes
}

#[test]
fn records_of_another_form_are_refused_though_their_checksum_holds() {
    let head = [0x89, 0x01, 0x01, 0x03, 0x00, 0xf6, 0x01, 0x61, b'k'];
    let with = |detail: &[u8]| checked(&[&head[..], detail].concat());
    assert!(Record::parse(&with(&[0xa0])).is_ok());
    // A number in more bytes than it needs, keys out of order, a key twice, a map without length.
    for detail in [
        &[0xa1, 0x61, b'a', 0x18, 0x01][..],
        &[0xa2, 0x61, b'b', 0x01, 0x61, b'a', 0x01],
        &[0xa2, 0x62, b'a', b'a', 0x01, 0x61, b'b', 0x01],
        &[0xa2, 0x61, b'a', 0x01, 0x61, b'a', 0x01],
    ] {
        assert_eq!(Record::parse(&with(detail)), Err(RecordError::NotDeterministic), "{detail:?}");
    }
    assert_eq!(Record::parse(&with(&[0xbf, 0xff])), Err(malformed("the details are no map")));
    let float = with(&[0xa1, 0x61, b'a', 0xf9, 0x3c, 0x00]);
    assert_eq!(Record::parse(&float), Err(malformed("a detail is neither text nor integer")));
    let mut later = head;
    later[1] = 2;
    let later = checked(&[&later[..], &[0xa0]].concat());
    assert_eq!(Record::parse(&later), Err(RecordError::Version { got: 2 }));
    let many = with(&[0xb1]);
    assert_eq!(Record::parse(&many), Err(RecordError::TooManyDetails { got: 17 }));
    // A count that no memory could hold is refused before anything is made of it.
    let huge = with(&[0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    assert_eq!(Record::parse(&huge), Err(RecordError::TooManyDetails { got: u64::MAX }));
}

#[test]
fn a_record_past_its_limit_is_refused_both_ways() {
    let mut detail = Detail::none();
    for key in ["a", "b", "c", "d"] {
        detail = detail.text(key, "x".repeat(1024));
    }
    let long = record(0, Kind::known("long"), detail);
    assert!(matches!(long.to_bytes(), Err(RecordError::Long { got: 4097.. })));
    assert_eq!(Record::parse(&vec![0; 4097]), Err(RecordError::Long { got: 4097 }));
}
