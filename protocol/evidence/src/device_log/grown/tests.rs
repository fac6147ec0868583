//! The kept tree against the whole one.
#![allow(clippy::arithmetic_side_effects, reason = "tests count small things")]

use super::*;
use crate::tlog::proof::check_consistency;
use crate::tlog::tree::leaf_hash;
use proptest::prelude::*;

fn leaf(number: u64) -> Sha256Digest {
    leaf_hash(&number.to_be_bytes())
}

fn bundle(index: u64) -> Vec<Sha256Digest> {
    (index * WIDTH_64..(index + 1) * WIDTH_64).map(leaf).collect()
}

fn grown(count: u64) -> Grown {
    let mut grown = Grown::from(Edge::new());
    (0..count).for_each(|number| grown.push(leaf(number)).unwrap());
    grown
}

#[test]
fn a_tree_that_was_pruned_and_read_again_grows_as_the_whole_one() {
    let whole = grown(70_000);
    for from in [0, 256, 65_280, 65_536, 69_888] {
        let before = whole.edge_at(from).unwrap();
        assert_eq!(before.root(), grown(from).edge().root());
        let mut again = Grown::from(before);
        (from..70_000).for_each(|number| again.push(leaf(number)).unwrap());
        assert_eq!(again.edge(), whole.edge());
        let mut forgetful = whole.clone();
        forgetful.forget(from);
        assert_eq!(forgetful.upper_tiles(), again.upper_tiles(), "from {from}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn growth_from_any_entry_that_is_not_pruned_is_proved(
        size in 1u64..3000, old in 1u64..3000, from in 0u64..3000
    ) {
        let (old, from) = (old.min(size), (from.min(old.min(size)) >> 8) << 8);
        let mut pruned = Grown::from(grown(size).edge_at(from).unwrap());
        (from..size).for_each(|number| pruned.push(leaf(number)).unwrap());
        let here = |index: u64| (index * WIDTH_64 >= from).then(|| bundle(index));
        let proof = pruned.consistency_from(old, here).unwrap();
        let (before, now) = (grown(old).edge().root(), pruned.edge().root());
        prop_assert_eq!(check_consistency((old, &before), (size, &now), &proof), Ok(()));
    }
}
