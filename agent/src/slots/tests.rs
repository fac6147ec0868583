//! The contract that every bootloader is held to, with stock tools doing what the boot loader does
//! at power on, and with the power going between any two operations on the disk.

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "all of this is a test")]

use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt as _;
use std::process::Command;

use super::*;
use crate::durable::crash::Recorder;
use crate::durable::tests::cut_at;

mod machine;

pub(crate) use machine::Machine;

/// A device that runs an image in slot A, with another one staged in B.
fn with_two_images(name: &'static str) -> Machine {
    let machine = Machine::new(name);
    let mut slots = machine.start();
    assert_eq!(slots.booted(), None, "{name}");
    slots.open_for_writing(Slot::A).unwrap().write_all_at(b"one", 0).unwrap();
    tell(slots.as_mut(), Change::Try { slot: Slot::A, tries: 1 }).unwrap();
    let mut slots = machine.start();
    assert_eq!(slots.booted(), Some(Slot::A), "{name}");
    tell(slots.as_mut(), Change::Keep(Slot::A)).unwrap();
    let slots = machine.start();
    assert_eq!(slots.booted(), Some(Slot::A), "{name}");
    slots.open_for_writing(Slot::B).unwrap().write_all_at(b"two", 0).unwrap();
    machine
}

fn tell(slots: &mut dyn Bootloader, change: Change) -> Result<(), SlotError> {
    slots.plan(change)?;
    slots.commit()
}

const TRY_B: Change = Change::Try { slot: Slot::B, tries: 3 };

fn every_bootloader(check: impl Fn(&'static str)) {
    for (name, _) in BOOTLOADERS {
        check(name);
    }
}

#[test]
fn a_kept_slot_stays_and_the_other_is_where_it_would_go_back_to() {
    every_bootloader(|name| {
        let machine = with_two_images(name);
        tell(machine.start().as_mut(), TRY_B).unwrap();
        let mut slots = machine.start();
        assert_eq!((slots.booted(), slots.health(Slot::B)), (Some(Slot::B), SlotHealth::Unknown));
        tell(slots.as_mut(), Change::Keep(Slot::B)).unwrap();
        for _ in 0..5 {
            assert_eq!(machine.start().booted(), Some(Slot::B), "{name}");
        }
        let slots = machine.start();
        let health = (slots.health(Slot::A), slots.health(Slot::B));
        assert_eq!(health, (SlotHealth::Good, SlotHealth::Good), "{name}");
    });
}

#[test]
fn a_trial_gets_exactly_its_tries_and_then_the_former_slot_runs_again() {
    every_bootloader(|name| {
        for tries in [1, 3, 16] {
            let machine = with_two_images(name);
            tell(machine.start().as_mut(), Change::Try { slot: Slot::B, tries }).unwrap();
            for start in 0..tries {
                assert_eq!(machine.start().booted(), Some(Slot::B), "{name}, start {start}");
            }
            for _ in 0..2 {
                let slots = machine.start();
                let found = (slots.booted(), slots.health(Slot::B));
                assert_eq!(found, (Some(Slot::A), SlotHealth::Bad), "{name}");
            }
        }
    });
}

#[test]
fn a_reverted_slot_is_bad_until_it_is_forgotten() {
    every_bootloader(|name| {
        let machine = with_two_images(name);
        tell(machine.start().as_mut(), TRY_B).unwrap();
        tell(machine.start().as_mut(), Change::GiveUp(Slot::B)).unwrap();
        let mut slots = machine.start();
        let found = (slots.booted(), slots.health(Slot::B));
        assert_eq!(found, (Some(Slot::A), SlotHealth::Bad), "{name}");
        tell(slots.as_mut(), Change::Forget(Slot::B)).unwrap();
        let slots = machine.start();
        let found = (slots.booted(), slots.health(Slot::B));
        assert_eq!(found, (Some(Slot::A), SlotHealth::Unknown), "{name}");
    });
}

#[test]
fn slots_go_back_and_forth_for_as_long_as_one_likes() {
    every_bootloader(|name| {
        let machine = with_two_images(name);
        let mut runs = Slot::A;
        for _ in 0..5 {
            let slot = runs.other();
            let mut slots = machine.start();
            tell(slots.as_mut(), Change::Forget(slot)).unwrap();
            tell(slots.as_mut(), Change::Try { slot, tries: 2 }).unwrap();
            let mut slots = machine.start();
            assert_eq!(slots.booted(), Some(slot), "{name}");
            tell(slots.as_mut(), Change::Keep(slot)).unwrap();
            runs = slot;
        }
        assert_eq!(machine.start().booted(), Some(runs), "{name}");
    });
}

#[test]
fn the_running_slot_is_never_written_tried_or_forgotten() {
    every_bootloader(|name| {
        let machine = with_two_images(name);
        let mut slots = machine.start();
        assert!(matches!(
            slots.open_for_writing(Slot::A),
            Err(SlotError::Running { slot: Slot::A, .. })
        ));
        let running = |refused| matches!(refused, Err(SlotError::Running { .. }));
        assert!(running(slots.plan(Change::Try { slot: Slot::A, tries: 1 })), "{name}");
        assert!(running(slots.plan(Change::Forget(Slot::A))), "{name}");
        fs::remove_file(slots.image(Slot::B)).unwrap();
        assert!(matches!(slots.plan(TRY_B), Err(SlotError::Empty { slot: Slot::B })), "{name}");
    });
}

#[test]
fn what_is_planned_is_not_written_before_it_is_committed() {
    every_bootloader(|name| {
        let machine = with_two_images(name);
        let before = machine.record();
        let mut slots = machine.start();
        slots.plan(TRY_B).unwrap();
        assert_eq!(machine.record(), before, "{name}");
        assert_eq!(slots.health(Slot::B), SlotHealth::Unknown);
        assert_eq!(machine.start().booted(), Some(Slot::A), "{name}");
        // A plan that is refused takes the one before with it.
        assert!(slots.plan(Change::Forget(Slot::A)).is_err());
        slots.commit().unwrap();
        assert_eq!(machine.record(), before, "{name}");
        slots.plan(TRY_B).unwrap();
        slots.commit().unwrap();
        assert_ne!(machine.record(), before, "{name}");
        let after = machine.record();
        slots.commit().unwrap();
        assert_eq!(machine.record(), after, "{name}: a plan is written once");
    });
}

#[test]
fn what_others_keep_in_the_record_stays() {
    every_bootloader(|name| {
        let machine = with_two_images(name);
        let others = machine.others();
        tell(machine.start().as_mut(), TRY_B).unwrap();
        tell(machine.start().as_mut(), Change::Keep(Slot::B)).unwrap();
        assert_eq!(machine.others(), others, "{name}");
    });
}

#[test]
fn a_first_image_that_fails_is_left_where_there_is_anything_else() {
    every_bootloader(|name| {
        let machine = Machine::new(name);
        let mut slots = machine.start();
        slots.open_for_writing(Slot::A).unwrap().write_all_at(b"one", 0).unwrap();
        tell(slots.as_mut(), Change::Try { slot: Slot::A, tries: 1 }).unwrap();
        assert_eq!(machine.start().booted(), Some(Slot::A), "{name}");
        let slots = machine.start();
        if machine.has_rescue() {
            let found = (slots.booted(), slots.health(Slot::A));
            assert_eq!(found, (None, SlotHealth::Bad), "{name}");
        } else {
            assert_eq!(slots.booted(), Some(Slot::A), "{name}: it is all that there is");
        }
    });
}

/// The changes, whether a trial is under way before them, and which slots may run after them.
const CHANGES: [(bool, Change, &[Slot]); 4] = [
    (false, TRY_B, &[Slot::A, Slot::B]),
    (false, Change::Forget(Slot::B), &[Slot::A]),
    (true, Change::Keep(Slot::B), &[Slot::B]),
    (true, Change::GiveUp(Slot::B), &[Slot::A, Slot::B]),
];

#[test]
fn wherever_the_power_goes_one_whole_image_runs_and_the_change_is_done_or_not_begun() {
    every_bootloader(|name| {
        for (armed, change, allowed) in CHANGES {
            for cut in 0..8 {
                let machine = with_two_images(name);
                if armed {
                    tell(machine.start().as_mut(), TRY_B).unwrap();
                    machine.start();
                }
                let mut slots = machine.open(cut_at(cut));
                let _ = tell(slots.as_mut(), change);
                let slots = machine.start();
                let booted = slots.booted().expect("something runs");
                assert!(allowed.contains(&booted), "{name}: {booted} runs after cut {cut}");
                let image = fs::read(slots.image(booted)).unwrap();
                assert!(image == b"one" || image == b"two");
            }
        }
    });
}

/// Which of the states that a crash amid `change` can leave are wrong, with or without one of the
/// syncs; and how many states there are.
fn wrong_crashes(name: &'static str, case: usize, without: Option<usize>) -> (Vec<String>, usize) {
    let (armed, change, allowed) = CHANGES[case];
    let machine = with_two_images(name);
    if armed {
        tell(machine.start().as_mut(), TRY_B).unwrap();
        machine.start();
    }
    let recorder = Recorder::new(machine.folder.path());
    tell(machine.open(recorder.durable()).as_mut(), change).unwrap();
    let recording = recorder.end();
    let syncs = recording.syncs();
    let without = without.map(|number| syncs[number].0);
    let unknown = matches!(change, Change::Forget(_));
    assert!(unknown || !syncs.is_empty(), "{name}: {change:?} is not durable");
    let mut wrong = Vec::new();
    let states = recording.crashes(without, |crash, model| {
        wrong.extend(model.broken(crash));
        crash.put(machine.folder.path());
        let slots = match machine.try_start() {
            Ok(slots) => slots,
            Err(err) => {
                wrong.push(format!("after {}: {err}", crash.after));
                return ControlFlow::Continue(());
            }
        };
        let runs = slots.booted();
        if !runs.is_some_and(|slot| allowed.contains(&slot)) {
            wrong.push(format!("after {}: {runs:?} runs", crash.after));
        }
        // A slot that may be started again and again must be one that was told to be good.
        let good = slots.health(Slot::B) == SlotHealth::Good;
        if good && change != Change::Keep(Slot::B) {
            wrong.push(format!("after {}: slot b passes for good", crash.after));
        }
        ControlFlow::Continue(())
    });
    (wrong, states)
}

#[test]
fn every_state_that_a_crash_can_leave_of_a_record_starts_the_right_slot() {
    every_bootloader(|name| {
        for case in 0..CHANGES.len() {
            let (wrong, states) = wrong_crashes(name, case, None);
            assert!(wrong.is_empty(), "{name}, {:?}: {wrong:?}", CHANGES[case].1);
            println!("{name}, {:?}: {states} crash states, none wrong", CHANGES[case].1);
        }
    });
}

#[test]
fn a_record_with_any_one_sync_left_out_is_found_wanting() {
    every_bootloader(|name| {
        let machine = with_two_images(name);
        let recorder = Recorder::new(machine.folder.path());
        tell(machine.open(recorder.durable()).as_mut(), TRY_B).unwrap();
        let syncs = recorder.end().syncs();
        assert!(!syncs.is_empty());
        for (number, (_, what)) in syncs.iter().enumerate() {
            let (wrong, _) = wrong_crashes(name, 0, Some(number));
            assert!(!wrong.is_empty(), "{name}: nobody misses {what}");
        }
    });
}

#[test]
fn a_corrupt_record_is_an_error_and_never_a_guess() {
    every_bootloader(|name| {
        let machine = with_two_images(name);
        machine.spoil();
        let refused = machine.try_open(Durable::default());
        let named = matches!(
            refused,
            Err(SlotError::Corrupt { .. } | SlotError::Grub { .. } | SlotError::Uboot { .. })
        );
        assert!(named, "{name}: {refused:?}");
    });
}

#[test]
fn a_link_that_somebody_else_moved_is_put_right() {
    let machine = with_two_images("directory");
    let link = machine.settings.folder.join("current");
    // The first record was written when slot A was tried.
    Durable::default().link(&link, "b", "boot-link").unwrap();
    assert_eq!(machine.start().booted(), Some(Slot::A));
    assert_eq!(fs::read_link(link).unwrap(), Path::new("a"));
}

#[test]
fn an_only_copy_amid_a_device_is_refused_because_a_power_cut_would_lose_it() {
    let machine = Machine::new("uboot");
    let (config, image) = (&machine.settings.record, machine.folder.path().join("env.img"));
    fs::write(config, format!("{} 0x4000 0x4000\n", image.display())).unwrap();
    assert!(matches!(machine.try_open(Durable::default()), Err(SlotError::Unsafe { .. })));
    fs::write(config, "/dev/null 0x0 0x4000\n").unwrap();
    assert!(matches!(machine.try_open(Durable::default()), Err(SlotError::Unsafe { .. })));
}

#[test]
fn an_only_copy_that_is_a_file_is_replaced_as_a_whole() {
    let machine = Machine::new("uboot");
    let file = machine.folder.path().join("uboot.env");
    fs::write(&machine.settings.record, format!("{} 0x0 0x2000\n", file.display())).unwrap();
    fs::write(&file, vec![0; 0x2000]).unwrap();
    machine.set_uboot(&[("board", "gw2")]);
    machine.start().open_for_writing(Slot::B).unwrap().write_all_at(b"two", 0).unwrap();
    tell(machine.start().as_mut(), TRY_B).unwrap();
    let said = machine.uboot();
    assert_eq!(said.get("BOOT_ORDER").map(String::as_str), Some("B"));
    assert_eq!(said.get("board").map(String::as_str), Some("gw2"));
    assert_eq!(machine.start().booted(), Some(Slot::B));
}

#[test]
fn uboot_copies_are_read_from_the_end_of_a_device_as_well() {
    let machine = Machine::new("uboot");
    let image = machine.folder.path().join("env.img");
    let line = |offset: &str| format!("{} {offset} 0x4000\n", image.display());
    fs::write(&machine.settings.record, line("-0x8000") + &line("-0x4000")).unwrap();
    // The file is as long as both copies, so that both ways lead to the same bytes. The stock tool
    // of this Debian only takes the one from the beginning.
    let mut slots = machine.open(Durable::default());
    slots.open_for_writing(Slot::B).unwrap().write_all_at(b"two", 0).unwrap();
    tell(slots.as_mut(), TRY_B).unwrap();
    fs::write(&machine.settings.record, line("0x0") + &line("0x4000")).unwrap();
    assert_eq!(machine.uboot().get("BOOT_B_LEFT").map(String::as_str), Some("3"));
}

#[test]
fn the_tools_of_each_bootloader_read_what_is_written() {
    let machine = with_two_images("grub");
    tell(machine.start().as_mut(), Change::Try { slot: Slot::B, tries: 12 }).unwrap();
    let said = machine.grub();
    let of = |name: &str| said.get(name).map(String::as_str);
    assert_eq!((of("ORDER"), of("B_OK"), of("B_MAX")), (Some("B A"), Some("1"), Some("12")));
    let machine = with_two_images("uboot");
    tell(machine.start().as_mut(), Change::Try { slot: Slot::B, tries: 12 }).unwrap();
    let said = machine.uboot();
    let of = |name: &str| said.get(name).map(String::as_str);
    assert_eq!((of("BOOT_ORDER"), of("BOOT_B_LEFT")), (Some("B A"), Some("c")));
    let machine = with_two_images("systemd-boot");
    tell(machine.start().as_mut(), Change::Try { slot: Slot::B, tries: 12 }).unwrap();
    let names = machine.entries();
    assert!(names.contains(&"lazaret-b+12.conf".to_owned()), "{names:?}");
}

#[test]
fn a_device_that_is_no_file_keeps_its_length_and_is_read_up_to_the_image() {
    // What a block device is to this room: a place that cannot be cut.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image");
    let slot = SlotFile::open(&path, &Durable::default()).unwrap();
    slot.write_all_at(b"four", 0).unwrap();
    slot.cut(2).unwrap();
    assert_eq!((slot.length().unwrap(), slot.end_of(2)), (2, u64::MAX));
}

fn output(command: &mut Command) -> String {
    let said = command.output().unwrap_or_else(|err| panic!("{command:?}: {err}"));
    assert!(said.status.success(), "{command:?}: {}", String::from_utf8_lossy(&said.stderr));
    String::from_utf8(said.stdout).unwrap()
}

fn flip(path: &Path, at: u64) {
    let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[!byte[0]], at).unwrap();
}
