//! Bundles that the power tore, in every way it can.
#![allow(clippy::arithmetic_side_effects, reason = "tests count small things")]

use super::super::record::tests::record;
use super::*;
use crate::log::{Detail, Kind};
use crate::tlog::tile::write_entry;
use alloc::vec;
use proptest::prelude::*;

const NOTED: Kind = Kind::known("noted");

/// A bundle from `first` on, and where each of its records ends.
fn bundle(first: u64, count: u64) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = Vec::new();
    let mut ends = Vec::new();
    for seq in first..first + count {
        let detail = Detail::none().text("what", alloc::format!("number {seq}"));
        write_entry(&mut bytes, &record(seq, NOTED, detail).to_bytes().unwrap()).unwrap();
        ends.push(bytes.len());
    }
    (bytes, ends)
}

#[derive(Debug, Clone)]
enum Tear {
    Nothing,
    Zeroes(usize),
    Garbage(Vec<u8>),
    Older,
}

fn tears() -> impl Strategy<Value = Tear> {
    prop_oneof![
        Just(Tear::Nothing),
        (1usize..600).prop_map(Tear::Zeroes),
        prop::collection::vec(any::<u8>(), 1..600).prop_map(Tear::Garbage),
        Just(Tear::Older),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// What was synced is before the cut; what is behind it was on its way.
    #[test]
    fn no_synced_record_is_lost_and_no_wrong_byte_is_taken(
        first in 0u64..1 << 40, count in 1u64..24, cut: prop::sample::Index, tear in tears()
    ) {
        let (bytes, ends) = bundle(first, count);
        let cut = cut.index(bytes.len() + 1);
        let mut torn = bytes[..cut].to_vec();
        match tear {
            Tear::Nothing => {}
            Tear::Zeroes(length) => torn.extend(vec![0; length]),
            Tear::Garbage(garbage) => torn.extend(garbage),
            // The block held an earlier bundle, whose records are whole, and are not these.
            Tear::Older => torn.extend(bundle(first.wrapping_sub(256) & 0xff_ffff, count).0),
        }
        let recovered = recover(&torn, first);
        let whole = ends.iter().filter(|end| **end <= cut).count();
        prop_assert!(recovered.records.len() >= whole, "a synced record is lost");
        // What is taken is byte for byte what was written.
        prop_assert!(recovered.good_length <= bytes.len());
        prop_assert_eq!(&torn[..recovered.good_length], &bytes[..recovered.good_length]);
    }
}

#[test]
fn a_whole_bundle_is_taken_whole_and_no_record_more() {
    let (mut bytes, ends) = bundle(512, 256);
    let recovered = recover(&bytes, 512);
    assert_eq!(recovered.records.len(), 256);
    assert_eq!(recovered.good_length, *ends.last().unwrap());
    let more = record(768, NOTED, Detail::none()).to_bytes().unwrap();
    write_entry(&mut bytes, &more).unwrap();
    assert_eq!(recover(&bytes, 512), recovered);
}

#[test]
fn a_record_out_of_its_place_ends_the_log() {
    let (mut bytes, ends) = bundle(0, 3);
    let wrong = record(5, NOTED, Detail::none()).to_bytes().unwrap();
    write_entry(&mut bytes, &wrong).unwrap();
    assert_eq!(recover(&bytes, 0).good_length, ends[2]);
    assert_eq!(recover(&bytes, 1).good_length, 0);
}
