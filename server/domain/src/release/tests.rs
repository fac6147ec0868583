//! Which deltas are made, and in which order.

use super::*;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

fn digest(number: u8) -> Sha256Digest {
    Sha256Digest::from_bytes([number; 32])
}

/// The release of that number, published if it has a counter.
fn release(number: u8, counter: Option<u64>) -> Release {
    Release {
        model: "gw2".parse().unwrap(),
        version: number.to_string().parse().unwrap(),
        sha256: digest(number),
        length: 1,
        state: ReleaseState::Published,
        deltas: vec![],
        pending: vec![],
        needs: 0,
        counter,
        schedule: None,
        created_by: "ada".parse().unwrap(),
    }
}

fn bases(in_field: &[u8]) -> Vec<Sha256Digest> {
    let published: Vec<Release> =
        (1..=9).map(|number| release(number, Some(number.into()))).collect();
    let in_field: Vec<Sha256Digest> = in_field.iter().copied().map(digest).collect();
    let bases = delta_bases(&release(10, None), &published, &in_field);
    bases.into_iter().map(|base| base.sha256).collect()
}

#[test]
fn deltas_are_made_first_from_what_most_devices_run() {
    assert_eq!(bases(&[3, 7, 3, 8, 3, 7, 200]), vec![digest(3), digest(7), digest(8)]);
}

#[test]
fn of_releases_that_as_many_devices_run_the_newest_comes_first() {
    assert_eq!(bases(&[2, 5]), vec![digest(5), digest(2)]);
}

#[test]
fn where_nothing_is_known_to_run_the_newest_release_is_the_base() {
    assert_eq!(bases(&[]), vec![digest(9)]);
    assert_eq!(bases(&[10, 200]), vec![digest(9)]);
}

#[test]
fn no_more_deltas_are_wanted_than_are_worth_making() {
    let most = [1, 2, 3, 4, 5, 6, 7, 8, 9, 1];
    let kept = bases(&most);
    assert_eq!(kept.len(), DELTA_BASES_MAX);
    assert_eq!(kept.first(), Some(&digest(1)));
}
