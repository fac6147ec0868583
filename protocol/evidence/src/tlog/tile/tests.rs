//! Names and bytes, with the examples of the specification.
#![allow(clippy::arithmetic_side_effects, reason = "tests count small things")]

use super::*;
use alloc::format;
use alloc::vec;
use proptest::prelude::*;

fn hashes(level: u8, index: u64, width: u8) -> Tile {
    Tile { content: Content::Hashes { level }, index, width_less_one: width.wrapping_sub(1) }
}

#[test]
fn paths_are_those_of_the_specification() {
    assert_eq!(hashes(0, 1_234_067, 0).to_string(), "tile/0/x001/x234/067");
    assert_eq!(hashes(2, 999, 5).to_string(), "tile/2/999.p/5");
    assert_eq!(hashes(0, 1000, 0).entries().unwrap().to_string(), "tile/entries/x001/000");
    assert_eq!(hashes(1, 0, 255).to_string(), "tile/1/000.p/255");
}

#[test]
fn a_tree_of_70000_entries_has_the_tiles_that_the_specification_says() {
    let partial = |level| Tile::partial(level, 70_000).unwrap().to_string();
    assert_eq!(partial(0), "tile/0/273.p/112");
    assert_eq!(partial(1), "tile/1/001.p/17");
    assert_eq!(partial(2), "tile/2/000.p/1");
    assert_eq!(Tile::partial(3, 70_000), None);
    assert_eq!(Tile::partial(0, 256), None);
    assert_eq!(Tile::partial(1, 256).unwrap().to_string(), "tile/1/000.p/1");
    assert_eq!(Tile::holding(0, 69_999, 70_000).unwrap().to_string(), "tile/0/273.p/112");
    assert_eq!(Tile::holding(0, 70_000, 70_000), None);
    assert_eq!(Tile::holding(1, 255, 70_000).unwrap().to_string(), "tile/1/000");
}

#[test]
fn the_end_of_a_tile_counts_entries() {
    assert_eq!(hashes(0, 3, 0).end(), 1024);
    assert_eq!(hashes(1, 0, 0).end(), 65_536);
    assert_eq!(hashes(0, 3, 0).entries().unwrap().end(), 1024);
    assert_eq!(hashes(63, u64::MAX, 0).end(), u64::MAX);
}

#[test]
fn other_spellings_of_a_path_are_refused() {
    for text in [
        "tile/0/0",
        "tile/00/000",
        "tile/64/000",
        "tile/0/x000/001",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/001/000",
        "tile/0/xx01/000",
        "tile/0/",
        "tile/entries",
        "tile/-1/000",
        "tile/0/+01",
        "/tile/0/000",
        "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
    ] {
        let refused = TileError::NoPath { got: text.chars().take(80).collect() };
        assert_eq!(text.parse::<Tile>(), Err(refused), "{text}");
    }
}

proptest! {
    #[test]
    fn a_path_is_read_as_it_was_written(level in 0u8..64, index in any::<u64>(), width: u8) {
        let tile = hashes(level, index, width);
        prop_assert_eq!(tile.to_string().parse(), Ok(tile));
        let entries = hashes(0, index, width).entries().unwrap();
        prop_assert_eq!(entries.to_string().parse(), Ok(entries));
    }

    #[test]
    fn any_text_is_a_path_or_refused(text in "tile/[0-9entris]{1,8}/[x0-9/.p]{0,40}") {
        if let Ok(tile) = text.parse::<Tile>() {
            prop_assert_eq!(tile.to_string(), text);
        }
    }

    #[test]
    fn entries_are_read_as_they_were_written(
        entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..30), 0..12)
    ) {
        let mut bundle = Vec::new();
        for entry in &entries {
            write_entry(&mut bundle, entry).unwrap();
        }
        prop_assert_eq!(read_entries(&bundle).unwrap(), entries.clone());
        for cut in 0..bundle.len() {
            if let Ok(read) = read_entries(&bundle[..cut]) {
                prop_assert!(read.len() < entries.len());
            }
        }
    }
}

#[test]
fn bundles_and_tiles_past_their_limits_are_refused() {
    let mut bundle = Vec::new();
    assert_eq!(write_entry(&mut bundle, &[0; 65_536]), Err(TileError::EntryLong { got: 65_536 }));
    assert_eq!(write_entry(&mut bundle, &[0; 65_535]), Ok(()));
    assert_eq!(read_entries(&[0; 2 * 257]), Err(TileError::BundleLong));
    assert_eq!(read_entries(&[0, 2, 1]), Err(TileError::BundleCut { entry: 0 }));
    for length in [0, 31, 33, 257 * 32] {
        assert_eq!(read_hashes(&vec![0; length]), Err(TileError::NoHashes { got: length }));
    }
    let read = read_hashes(&[7; 64]).unwrap();
    assert_eq!(write_hashes(&read), [7; 64]);
    assert_eq!(
        format!("{}", TileError::Missing { tile: hashes(0, 0, 0) }),
        "tile tile/0/000 is not there"
    );
}
