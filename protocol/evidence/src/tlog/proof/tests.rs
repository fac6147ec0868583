//! Proofs against the definitions, and against everything that is changed in them.
#![allow(clippy::arithmetic_side_effects, reason = "tests count small things")]

use super::super::tree::tests::{defined, leaves};
use super::super::tree::{Edge, leaf_hash};
use super::*;
use alloc::collections::BTreeMap;
use alloc::vec;
use proptest::prelude::*;

/// A log's tiles as they are served: full ones, and the partial ones of its last checkpoint.
struct Served(BTreeMap<Tile, Vec<Sha256Digest>>);

impl Served {
    fn of(leaves: &[Sha256Digest]) -> Self {
        let mut edge = Edge::new();
        let mut tiles = BTreeMap::new();
        for leaf in leaves {
            tiles.extend(edge.push(*leaf).unwrap());
        }
        for level in 0..4 {
            if let Some(tile) = Tile::partial(level, edge.size()) {
                tiles.insert(tile, edge.partial(level).to_vec());
            }
        }
        Self(tiles)
    }
}

impl Tiles for Served {
    fn hashes(&self, tile: Tile) -> Result<Vec<Sha256Digest>, TileError> {
        let found = self.0.get(&tile).or_else(|| self.0.get(&tile.full()));
        // The partial tile of a later tree begins with the hashes of the earlier one.
        let wider = || {
            let mut same = self.0.iter().filter(|(at, _)| at.full() == tile.full());
            same.find(|(at, _)| at.width() >= tile.width()).map(|(_, hashes)| hashes)
        };
        found.or_else(wider).cloned().ok_or(TileError::Missing { tile })
    }
}

#[test]
fn all_proofs_of_all_small_trees_hold() {
    let leaves = leaves(40);
    let tiles = Served::of(&leaves);
    for size in 0..=40_u64 {
        let root_of = |size: u64| defined(&leaves[..usize::try_from(size).unwrap()]);
        let head = (size, &root_of(size));
        assert_eq!(root(&tiles, size).unwrap(), *head.1);
        for index in 0..size {
            let proof = inclusion(&tiles, index, size).unwrap();
            let leaf = leaves[usize::try_from(index).unwrap()];
            assert_eq!(check_inclusion(&leaf, index, head, &proof), Ok(()), "{index} in {size}");
        }
        for old in 0..=size {
            let proof = consistency(&tiles, old, size).unwrap();
            let old = (old, &root_of(old));
            assert_eq!(check_consistency(old, head, &proof), Ok(()), "{} to {size}", old.0);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn proofs_over_tiles_hold_and_changed_ones_do_not(
        size in 1u64..3000, index: prop::sample::Index, old: prop::sample::Index,
        at: prop::sample::Index
    ) {
        let leaves = leaves(size);
        let tiles = Served::of(&leaves);
        let new_root = defined(&leaves);
        let index = index.index(leaves.len());
        let place = index as u64;
        let mut proof = inclusion(&tiles, place, size).unwrap();
        prop_assert_eq!(check_inclusion(&leaves[index], place, (size, &new_root), &proof), Ok(()));
        let other = leaf_hash(b"another");
        let refused = check_inclusion(&other, place, (size, &new_root), &proof);
        prop_assert_eq!(refused, Err(ProofError::DoesNotHold));
        if !proof.is_empty() {
            let at = at.index(proof.len());
            proof[at] = other;
            let refused = check_inclusion(&leaves[index], place, (size, &new_root), &proof);
            prop_assert_eq!(refused, Err(ProofError::DoesNotHold));
            proof.pop();
        } else {
            proof.push(other);
        }
        let refused = check_inclusion(&leaves[index], place, (size, &new_root), &proof);
        prop_assert_eq!(refused, Err(ProofError::DoesNotHold));

        let old = old.index(leaves.len()) + 1;
        let old_root = defined(&leaves[..old]);
        let from = (old as u64, &old_root);
        let mut proof = consistency(&tiles, old as u64, size).unwrap();
        prop_assert_eq!(check_consistency(from, (size, &new_root), &proof), Ok(()));
        let refused = check_consistency((from.0, &other), (size, &new_root), &proof);
        prop_assert_eq!(refused, Err(ProofError::DoesNotHold));
        proof.push(other);
        let refused = check_consistency(from, (size, &new_root), &proof);
        prop_assert_eq!(refused, Err(ProofError::DoesNotHold));
    }

    #[test]
    fn a_pruned_log_proves_what_is_past_its_minimum_index(
        keep in 1u64..10, index in 0u64..500
    ) {
        let leaves = leaves(3000);
        let mut tiles = Served::of(&leaves);
        let minimum = keep * 256;
        tiles.0.retain(|tile, _| tile.width() < WIDTH || tile.end() > minimum);
        let index = minimum + index.min(2999 - minimum);
        prop_assert!(inclusion(&tiles, index, 3000).is_ok());
        prop_assert!(consistency(&tiles, index, 3000).is_ok());
        let tile = Tile::holding(0, 3, 3000).unwrap();
        prop_assert_eq!(inclusion(&tiles, 3, 3000), Err(TileError::Missing { tile }.into()));
    }
}

#[test]
fn what_cannot_be_proved_is_refused() {
    let tiles = Served::of(&leaves(3));
    let none = ProofError::NoSuchEntry { index: 3, size: 3 };
    assert_eq!(inclusion(&tiles, 3, 3), Err(none.clone()));
    let root = defined(&leaves(3));
    assert_eq!(check_inclusion(&root, 3, (3, &root), &[]), Err(none));
    let shrunk = ProofError::Shrunk { old: 3, new: 2 };
    assert_eq!(consistency(&tiles, 3, 2), Err(shrunk.clone()));
    assert_eq!(check_consistency((3, &root), (2, &root), &[]), Err(shrunk));
    // An old tree without entries proves nothing about the new one, but must be the empty one.
    assert_eq!(check_consistency((0, &empty_root()), (3, &root), &[]), Ok(()));
    assert_eq!(check_consistency((0, &root), (3, &root), &[]), Err(ProofError::DoesNotHold));
    let other = defined(&leaves(2));
    assert_eq!(check_consistency((3, &other), (3, &root), &[]), Err(ProofError::DoesNotHold));
}

#[test]
fn a_proof_file_is_read_as_it_was_written() {
    let tiles = Served::of(&leaves(5));
    let checkpoint =
        "log\n5\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n\u{2014} log AAAAAAA=\n";
    let checkpoint = SignedNote::parse(checkpoint).unwrap();
    let proof = LoggedProof { index: 4, path: inclusion(&tiles, 4, 5).unwrap(), checkpoint };
    let text = proof.to_text();
    assert_eq!(LoggedProof::parse(&text), Ok(proof.clone()));
    let with_extra = text.replacen("index", "extra AAAA\nindex", 1);
    assert_eq!(LoggedProof::parse(&with_extra), Ok(proof));
    let faults = vec![
        (text.replace("@v1", "@v2"), "another first line"),
        (text.replace("index 4", "index 04"), "no line with the index"),
        (text.replace("index 4", "index 4\nAAAA"), "a line that is no hash"),
    ];
    for (text, what) in faults {
        assert_eq!(LoggedProof::parse(&text), Err(ProofError::NoProof { what }), "{text}");
    }
    let no_checkpoint = LoggedProof::parse(&text.replace("index 4", "index 4\n"));
    assert!(matches!(no_checkpoint, Err(ProofError::Checkpoint { .. })));
    let no_note = LoggedProof::parse(&text.replace("\u{2014}", "-"));
    assert!(matches!(no_note, Err(ProofError::Note { .. })));
}
