//! The power goes at every point of a durable write: what is found is the old or the new, whole.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::sync::atomic::{AtomicU64, Ordering};

use lazaret_agent_core::journal::{Journal, Quarantine};
use lazaret_agent_core::reason::Reason;
use lazaret_agent_core::record::{self, Fault, JOURNAL_BYTES, RECORD_BYTES};

use super::*;
use crate::failpoint::Side;

/// Cuts the power at the `n`-th point that is passed.
pub(crate) fn cut_at(n: u64) -> Durable {
    let passed = AtomicU64::new(0);
    Durable::new(Failpoints::calling(move |side, step| {
        if passed.fetch_add(1, Ordering::Relaxed) == n {
            return Err(io::Error::other(format!("power cut {side:?} {step}")));
        }
        Ok(())
    }))
}

/// Puts other content into a file, as a bad disk would.
fn spoil(path: &Path, bytes: &[u8]) {
    Durable::default().write(path, bytes, Access::Folder, "anchors").unwrap();
}

fn of_generation(generation: u64) -> Journal {
    Journal { generation, ..Journal::fresh() }
}

#[test]
fn a_file_is_the_old_or_the_new_one_wherever_the_power_goes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    Durable::default().write(&path, b"old", Access::Owner, "anchors").unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let cut = cut_at(0).write(&path, b"new", Access::Owner, "anchors");
    assert!(matches!(cut, Err(DurableError::Io { .. })));
    assert_eq!(read(&path, 10).unwrap().unwrap(), b"old");
    assert!(cut_at(1).write(&path, b"new", Access::Owner, "anchors").is_err());
    assert_eq!(read(&path, 10).unwrap().unwrap(), b"new");
}

#[test]
fn a_temporary_file_left_by_a_power_cut_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    File::create(folder.path().join("file.new")).unwrap().write_all(b"torn and longer").unwrap();
    Durable::default().write(&path, b"new", Access::Folder, "anchors").unwrap();
    assert_eq!(read(&path, 10).unwrap().unwrap(), b"new");
    symlink("nowhere", folder.path().join("link.new")).unwrap();
    Durable::default().link(&folder.path().join("link"), "file", "boot-link").unwrap();
    assert_eq!(fs::read_link(folder.path().join("link")).unwrap(), Path::new("file"));
}

#[test]
fn a_file_beyond_its_limit_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    Durable::default().write(&path, b"four", Access::Folder, "anchors").unwrap();
    assert!(matches!(read(&path, 3), Err(DurableError::TooLarge { max: 3, got: 4, .. })));
    assert!(matches!(read(&folder.path().join("none"), 3), Ok(None)));
}

#[test]
fn the_journal_cut_at_each_of_its_writes_comes_back_whole() {
    for cut in 0..12 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let durable = cut_at(cut + 2);
        JournalFile::provision(&durable, &path).unwrap();
        let (file, journal) = JournalFile::open(&durable, &path).unwrap();
        assert_eq!(journal, Journal::fresh());
        let mut written = 0;
        while file.write(&of_generation(written + 1)).is_ok() {
            written += 1;
        }
        // Points go before, after, before, after: a cut after a write has it on disk. The first
        // write goes into the copy as well, and is there from that moment on.
        let on_disk = match cut {
            0 => 0,
            1..4 => 1,
            _ if cut % 2 == 0 => written,
            _ => written + 1,
        };
        let (_, journal) = JournalFile::open(&Durable::default(), &path).unwrap();
        assert_eq!(journal.generation, on_disk, "cut at point {cut}");
    }
}

#[test]
fn a_torn_record_leaves_the_one_before_and_two_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let durable = Durable::default();
    JournalFile::provision(&durable, &path).unwrap();
    let (file, _) = JournalFile::open(&durable, &path).unwrap();
    for generation in 1..=4 {
        file.write(&of_generation(generation)).unwrap();
    }
    let raw = OpenOptions::new().write(true).open(&path).unwrap();
    raw.write_all_at(&[0xff; 512], 1024).unwrap();
    assert_eq!(JournalFile::load(&path).unwrap().generation, 3);
    raw.write_all_at(&[0xff; 512], u64::try_from(RECORD_BYTES).unwrap() + 1024).unwrap();
    let Err(DurableError::Journal { source, .. }) = JournalFile::load(&path) else {
        panic!("two torn records were taken for a journal");
    };
    let corrupt = RecordError::Corrupt { first: Fault::Checksum, second: Fault::Checksum };
    assert_eq!(source, corrupt);
    raw.set_len(100).unwrap();
    assert!(matches!(
        JournalFile::load(&path),
        Err(DurableError::Journal { source: RecordError::WrongLength { got: 100 }, .. })
    ));
}

#[test]
fn provisioning_twice_keeps_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let durable = Durable::default();
    JournalFile::provision(&durable, &path).unwrap();
    let (file, _) = JournalFile::open(&durable, &path).unwrap();
    file.write(&of_generation(1)).unwrap();
    JournalFile::provision(&durable, &path).unwrap();
    assert_eq!(JournalFile::load(&path).unwrap().generation, 1);
}

#[test]
fn every_point_has_a_name_and_a_side() {
    let names: Vec<String> = crate::failpoint::names().collect();
    assert_eq!(names.len(), 2 * crate::failpoint::STEPS.len());
    assert!(Failpoints::danger_crash_at("before-anchors").is_some());
    assert!(Failpoints::danger_crash_at("anchors").is_none());
    assert_ne!(Side::Before, Side::After);
}

#[test]
fn a_lost_journal_comes_back_from_its_copy_with_every_floor() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let durable = Durable::default();
    JournalFile::provision(&durable, &path).unwrap();
    let (file, _) = JournalFile::open(&durable, &path).unwrap();
    let quarantine = Quarantine::Held {
        order: 40,
        reason: Reason::new("suspicion"),
        level: lazaret_protocol::containment::Level::Restrict,
        pending: false,
    };
    for generation in 1..20 {
        let journal = Journal {
            release_floor: generation / 4,
            order_sequence: generation / 2,
            poll_sequence: generation,
            quarantine: quarantine.clone(),
            ..of_generation(generation)
        };
        file.write(&journal).unwrap();
        // Whatever the poll has counted to: no floor in the copy is behind.
        let Copied::Good(copy) = JournalFile::load_copy(&path) else { panic!("no copy") };
        assert_eq!(copy.without_pulse(), journal.without_pulse());
    }
    spoil(&path, &[7; JOURNAL_BYTES]);
    assert!(matches!(JournalFile::open(&durable, &path), Err(DurableError::Journal { .. })));
    let Copied::Good(copy) = JournalFile::load_copy(&path) else { panic!("no copy") };
    let now = lazaret_protocol::time::Timestamp::from_ms(1_790_000_000_000);
    let restored = Journal::from_copy(&copy, now);
    let aside = JournalFile::restore(&durable, &path, &restored).unwrap().unwrap();
    assert_eq!(fs::read(aside).unwrap(), vec![7; JOURNAL_BYTES]);
    let (_, journal) = JournalFile::open(&durable, &path).unwrap();
    assert_eq!((journal.release_floor, journal.order_sequence), (4, 9));
    assert_eq!(journal.quarantine, quarantine);
    assert_eq!(journal.poll_sequence, now.as_ms(), "no poll number is used twice");
}

#[test]
fn a_journal_that_was_put_back_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let durable = Durable::default();
    JournalFile::provision(&durable, &path).unwrap();
    let (file, _) = JournalFile::open(&durable, &path).unwrap();
    let of = |generation| Journal { release_floor: generation, ..of_generation(generation) };
    file.write(&of(1)).unwrap();
    let old = fs::read(&path).unwrap();
    (2..6).for_each(|generation| file.write(&of(generation)).unwrap());
    spoil(&path, &old);
    let refused = JournalFile::open(&durable, &path);
    assert!(matches!(refused, Err(DurableError::JournalWentBack { copied: 5, got: 1, .. })));
}

#[test]
fn a_newest_record_that_rots_takes_no_floor_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let durable = Durable::default();
    JournalFile::provision(&durable, &path).unwrap();
    let (file, _) = JournalFile::open(&durable, &path).unwrap();
    file.write(&of_generation(1)).unwrap();
    file.write(&Journal { release_floor: 4, order_sequence: 9, ..of_generation(2) }).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let at = usize::try_from(record::place(2)).unwrap() + 100;
    bytes[at] ^= 1;
    spoil(&path, &bytes);
    let (_, journal) = JournalFile::open(&durable, &path).unwrap();
    assert_eq!(journal.generation, 2);
    assert_eq!((journal.release_floor, journal.order_sequence), (4, 9));
}

#[test]
fn one_program_at_a_time_has_the_state() {
    let folder = tempfile::tempdir().unwrap();
    let first = StateLock::try_take(folder.path()).unwrap();
    assert!(first.is_some());
    assert!(StateLock::try_take(folder.path()).unwrap().is_none());
    drop(first);
    assert!(StateLock::try_take(folder.path()).unwrap().is_some());
}
