//! Long matches: true, without overlaps, and none missed that is long enough.

#![allow(clippy::cast_possible_truncation, reason = "all of this is a test")]

use super::*;
use proptest::prelude::*;

fn noise(length: usize, mut state: u32) -> Vec<u8> {
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

fn found(base: &Vec<u8>, result: &Vec<u8>) -> Vec<Same> {
    prematch(base, result, (base.len() as u64, result.len() as u64)).unwrap()
}

#[test]
fn a_moved_stretch_is_found_to_its_last_byte() {
    let base = noise(50_000, 1);
    let mut result = noise(777, 2);
    result.extend(&base[10_001..30_002]);
    result.extend(noise(99, 3));
    assert_eq!(found(&base, &result), [Same { new: 777, old: 10_001, length: 20_001 }]);
}

#[test]
fn equal_images_are_one_match() {
    for base in [noise(70_000, 1), vec![0; 70_000]] {
        assert_eq!(found(&base, &base), [Same { new: 0, old: 0, length: 70_000 }]);
    }
    assert_eq!(found(&vec![], &vec![]), []);
    assert_eq!(found(&noise(4095, 1), &noise(4095, 1)), []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn matches_are_true_and_in_order(
        cuts in prop::collection::vec(
            (any::<prop::sample::Index>(), 0usize..20_000, 0usize..600), 0..6
        )
    ) {
        let base = noise(60_000, 5);
        let mut result = Vec::new();
        for (seed, (at, length, more)) in cuts.into_iter().enumerate() {
            let at = at.index(base.len());
            result.extend(&base[at..base.len().min(at + length)]);
            result.extend(noise(more, 100 + seed as u32));
        }
        let mut end = 0;
        for same in found(&base, &result) {
            prop_assert!(same.new >= end);
            end = same.new + same.length;
            let of = |image: &[u8], at: u64| image[at as usize..][..same.length as usize].to_vec();
            prop_assert_eq!(of(&base, same.old), of(&result, same.new));
        }
    }
}
