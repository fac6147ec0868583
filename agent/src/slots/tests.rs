//! The contract that every bootloader is held to, with the power going between any two of its
//! steps.

use std::fs;
use std::io::Write as _;

use super::*;
use crate::durable::tests::cut_at;

/// A device that runs an image in slot A, with another one staged in B.
fn with_two_images(open: Open) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut slots = open(folder.path(), Durable::default()).unwrap();
    assert_eq!(slots.boot().unwrap(), None);
    slots.open_for_writing(Slot::A).unwrap().write_all(b"one").unwrap();
    slots.arm(Slot::A, 1).unwrap();
    assert_eq!(open(folder.path(), Durable::default()).unwrap().boot().unwrap(), Some(Slot::A));
    let mut slots = open(folder.path(), Durable::default()).unwrap();
    slots.mark_good(Slot::A).unwrap();
    let slots = start(open, &folder);
    assert_eq!(slots.booted(), Some(Slot::A));
    slots.open_for_writing(Slot::B).unwrap().write_all(b"two").unwrap();
    folder
}

fn start(open: Open, folder: &tempfile::TempDir) -> Box<dyn Bootloader> {
    let mut slots = open(folder.path(), Durable::default()).unwrap();
    slots.boot().unwrap();
    slots
}

fn every_bootloader(check: impl Fn(Open)) {
    for (_, open) in BOOTLOADERS {
        check(*open);
    }
}

#[test]
fn a_kept_slot_stays_and_the_other_is_where_it_would_go_back_to() {
    every_bootloader(|open| {
        let folder = with_two_images(open);
        start(open, &folder).arm(Slot::B, 3).unwrap();
        let mut slots = start(open, &folder);
        assert_eq!((slots.booted(), slots.health(Slot::B)), (Some(Slot::B), SlotHealth::Unknown));
        slots.mark_good(Slot::B).unwrap();
        for _ in 0..5 {
            assert_eq!(start(open, &folder).booted(), Some(Slot::B));
        }
        let slots = start(open, &folder);
        assert_eq!(
            (slots.health(Slot::A), slots.health(Slot::B)),
            (SlotHealth::Good, SlotHealth::Good)
        );
    });
}

#[test]
fn a_trial_gets_exactly_its_tries_and_then_the_former_slot_runs_again() {
    every_bootloader(|open| {
        let folder = with_two_images(open);
        start(open, &folder).arm(Slot::B, 3).unwrap();
        for _ in 0..3 {
            assert_eq!(start(open, &folder).booted(), Some(Slot::B));
        }
        let slots = start(open, &folder);
        assert_eq!((slots.booted(), slots.health(Slot::B)), (Some(Slot::A), SlotHealth::Bad));
    });
}

#[test]
fn a_reverted_slot_is_bad_until_it_is_forgotten() {
    every_bootloader(|open| {
        let folder = with_two_images(open);
        start(open, &folder).arm(Slot::B, 3).unwrap();
        start(open, &folder).revert(Slot::B).unwrap();
        let mut slots = start(open, &folder);
        assert_eq!((slots.booted(), slots.health(Slot::B)), (Some(Slot::A), SlotHealth::Bad));
        slots.mark_unknown(Slot::B).unwrap();
        assert_eq!(start(open, &folder).health(Slot::B), SlotHealth::Unknown);
    });
}

#[test]
fn the_running_slot_is_never_written_tried_or_forgotten() {
    every_bootloader(|open| {
        let folder = with_two_images(open);
        let mut slots = start(open, &folder);
        assert!(matches!(
            slots.open_for_writing(Slot::A),
            Err(SlotError::Running { slot: Slot::A, .. })
        ));
        assert!(matches!(slots.arm(Slot::A, 1), Err(SlotError::Running { .. })));
        assert!(matches!(slots.mark_unknown(Slot::A), Err(SlotError::Running { .. })));
        fs::remove_file(slots.image(Slot::B)).unwrap();
        assert!(matches!(slots.arm(Slot::B, 1), Err(SlotError::Empty { slot: Slot::B })));
    });
}

#[test]
fn a_first_image_that_fails_leaves_nothing_installed() {
    every_bootloader(|open| {
        let folder = tempfile::tempdir().unwrap();
        let mut slots = start(open, &folder);
        slots.open_for_writing(Slot::A).unwrap().write_all(b"one").unwrap();
        slots.arm(Slot::A, 1).unwrap();
        assert_eq!(start(open, &folder).booted(), Some(Slot::A));
        let slots = start(open, &folder);
        assert_eq!((slots.booted(), slots.health(Slot::A)), (None, SlotHealth::Bad));
    });
}

/// A change that is asked of a bootloader.
type Change = fn(&mut dyn Bootloader) -> Result<(), SlotError>;

#[test]
fn wherever_the_power_goes_one_whole_image_runs_and_the_change_is_done_or_not_begun() {
    let arm: Change = |slots| slots.arm(Slot::B, 3);
    let keep: Change = |slots| slots.mark_good(Slot::B);
    let revert: Change = |slots| slots.revert(Slot::B);
    let count: Change = |slots| slots.boot().map(drop);
    every_bootloader(|open| {
        // Before the change, the change, and which slots may run after it.
        let cases: [(bool, Change, &[Slot]); 4] = [
            (false, arm, &[Slot::A, Slot::B]),
            (true, keep, &[Slot::B]),
            (true, revert, &[Slot::A, Slot::B]),
            (true, count, &[Slot::B]),
        ];
        for (armed, change, allowed) in cases {
            for cut in 0..8 {
                let folder = with_two_images(open);
                if armed {
                    start(open, &folder).arm(Slot::B, 3).unwrap();
                    start(open, &folder);
                }
                let mut slots = open(folder.path(), cut_at(cut)).unwrap();
                let _ = change(slots.as_mut());
                let slots = start(open, &folder);
                let booted = slots.booted().expect("something runs");
                assert!(allowed.contains(&booted), "slot {booted} runs after cut {cut}");
                let image = fs::read(slots.image(booted)).unwrap();
                assert!(image == b"one" || image == b"two");
            }
        }
    });
}

#[test]
fn a_corrupt_record_is_an_error_and_never_a_guess() {
    let folder = with_two_images(directory::open);
    fs::OpenOptions::new()
        .write(true)
        .open(folder.path().join("boot.json"))
        .unwrap()
        .set_len(10)
        .unwrap();
    let refused = directory::open(folder.path(), Durable::default());
    assert!(matches!(refused, Err(SlotError::Corrupt { .. })));
}

#[test]
fn a_link_that_somebody_else_moved_is_put_right() {
    let folder = with_two_images(directory::open);
    // The first record was written when slot A was tried.
    Durable::default().link(&folder.path().join("current"), "b", "boot-link").unwrap();
    assert_eq!(start(directory::open, &folder).booted(), Some(Slot::A));
    assert_eq!(fs::read_link(folder.path().join("current")).unwrap(), Path::new("a"));
}
