//! The edge against the definition of the tree, and against the vectors of Certificate
//! Transparency.
#![allow(clippy::arithmetic_side_effects, reason = "tests count small things")]

use super::*;
use alloc::vec;
use proptest::prelude::*;

/// The Merkle Tree Hash as RFC 6962, 2.1 defines it.
pub(in super::super) fn defined(leaves: &[Sha256Digest]) -> Sha256Digest {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        leaves => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            node_hash(&defined(left), &defined(right))
        }
    }
}

pub(in super::super) fn leaves(count: u64) -> Vec<Sha256Digest> {
    (0..count).map(|number| leaf_hash(&number.to_be_bytes())).collect()
}

fn grown(leaves: &[Sha256Digest]) -> Edge {
    let mut edge = Edge::new();
    for leaf in leaves {
        edge.push(*leaf).unwrap();
    }
    edge
}

#[test]
fn roots_are_those_of_certificate_transparencys_reference_data() {
    let entries = [
        vec![],
        vec![0x00],
        vec![0x10],
        vec![0x20, 0x21],
        vec![0x30, 0x31],
        vec![0x40, 0x41, 0x42, 0x43],
        vec![0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
        (0x60..0x70).collect(),
    ];
    let roots = [
        (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
        (2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
        (3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
        (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
    ];
    for (size, root) in roots {
        let leaves: Vec<_> = entries[..size].iter().map(|entry| leaf_hash(entry)).collect();
        assert_eq!(grown(&leaves).root(), root.parse().unwrap(), "{size} entries");
    }
    assert_eq!(
        Edge::new().root(),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855".parse().unwrap()
    );
}

#[test]
fn every_root_up_to_three_levels_is_the_defined_one() {
    let leaves = leaves(66_000);
    let mut edge = Edge::new();
    for (count, leaf) in (1..).zip(&leaves) {
        edge.push(*leaf).unwrap();
        let told = count < 270 || count % 17_001 == 0 || (65_535..65_538).contains(&count);
        if told {
            assert_eq!(edge.root(), defined(&leaves[..count]), "{count} entries");
        }
    }
}

#[test]
fn full_tiles_come_out_once_and_in_their_order() {
    let mut edge = Edge::new();
    let mut paths = Vec::new();
    for leaf in leaves(65_536) {
        paths.extend(edge.push(leaf).unwrap().into_iter().map(|(tile, hashes)| {
            assert_eq!(hashes.len(), 256);
            alloc::string::ToString::to_string(&tile)
        }));
    }
    assert_eq!(paths.len(), 257);
    assert_eq!(paths[0], "tile/0/000");
    assert_eq!(paths[255..], ["tile/0/255", "tile/1/000"]);
    assert_eq!(edge.partial(2).len(), 1);
}

proptest! {
    #[test]
    fn an_edge_is_read_back_from_its_partial_tiles(size in 0u64..2000) {
        let edge = grown(&leaves(size));
        let read = Edge::read(size, |tile| {
            let level = (0..LEVELS_MAX).find(|level| Tile::partial(*level, size) == Some(tile));
            Ok(edge.partial(level.unwrap()).to_vec())
        });
        let read = read.unwrap();
        prop_assert_eq!(read.root(), edge.root());
        prop_assert_eq!(read.size(), size);
    }
}

#[test]
fn an_edge_with_a_hash_too_few_is_refused() {
    let edge = grown(&leaves(300));
    let tile = Tile::partial(0, 300).unwrap();
    let read = Edge::read(300, |_| Ok(edge.partial(0)[1..].to_vec()));
    assert_eq!(read, Err(TileError::Width { tile, got: 43 }));
}
