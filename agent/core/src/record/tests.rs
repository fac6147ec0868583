//! The two places of the journal: torn, zeroed or swapped, they give the last record or an error.

use alloc::vec::Vec;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::order::{Outcome, Wanted};
use lazaret_protocol::time::{TIMESTAMP_MS_MAX, Timestamp};

use super::*;
use crate::journal::{
    ByHand, Collection, Direction, FAILED_MAX, FailedRelease, Install, Overrule, Pace,
    PendingReport, Quarantine, REPORTS_MAX, TUF_ROLES_MAX, Target, Update,
};
use crate::reason::{REASON_BYTES_MAX, Reason};
use crate::slot::{Content, Release, Slot};

fn of_generation(generation: u64) -> Journal {
    Journal { generation, boot_count: generation * 10, ..Journal::fresh() }
}

fn write(file: &mut [u8], journal: &Journal) {
    let at = usize::try_from(place(journal.generation)).unwrap();
    file[at..at + RECORD_BYTES].copy_from_slice(&encode(journal).unwrap());
}

/// Every field at its largest.
fn largest() -> Journal {
    let long = "x".repeat(64);
    let reason = Reason::new(&"r".repeat(REASON_BYTES_MAX));
    let release = Release {
        version: long.parse().unwrap(),
        counter: u64::MAX,
        sha256: Sha256Digest::of(b""),
        length: u64::MAX,
    };
    let install = Install {
        order: u64::MAX,
        expires: Timestamp::from_ms(TIMESTAMP_MS_MAX),
        rollout: long.parse().unwrap(),
        version: long.parse().unwrap(),
        direction: Direction::Back,
        cure: true,
        by_hand: Some(ByHand { overrules: Overrule::ALL.to_vec() }),
    };
    let target = Target {
        release: release.clone(),
        floor: u64::MAX,
        slot: Slot::A,
        fetched: u64::MAX,
        route: crate::journal::Route::Delta,
        pace: Pace::Emergency,
    };
    let failed = FailedRelease { counter: u64::MAX, sha256: Sha256Digest::of(b"") };
    let mut journal = Journal {
        format: JOURNAL_FORMAT,
        generation: u64::MAX - 1,
        boot_count: u64::MAX,
        poll_sequence: u64::MAX,
        order_sequence: u64::MAX,
        release_floor: u64::MAX,
        time_floor: Timestamp::from_ms(TIMESTAMP_MS_MAX),
        time_horizon: Timestamp::from_ms(TIMESTAMP_MS_MAX),
        tuf: lazaret_protocol_tuf::Floors {
            root: u64::MAX,
            online_keys: Some(Sha256Digest::of(b"")),
            timestamp: u64::MAX,
            snapshot: u64::MAX,
            roles: alloc::collections::BTreeMap::new(),
        },
        quarantine: Quarantine::Held {
            order: u64::MAX,
            reason: reason.clone(),
            level: lazaret_protocol::containment::Level::Restrict,
            pending: false,
        },
        slots: crate::slot::Slots {
            a: Content::Holds(release.clone()),
            b: Content::Holds(release),
        },
        failed: alloc::vec![failed; FAILED_MAX],
        update: Update::RollingBack { install, target, reason: reason.clone() },
        collection: Collection::Collecting {
            order: u64::MAX,
            expires: Timestamp::from_ms(TIMESTAMP_MS_MAX),
            bundle: long.parse().unwrap(),
            wanted: Wanted {
                profile: Some(long.parse().unwrap()),
                since: Some(Timestamp::from_ms(TIMESTAMP_MS_MAX)),
                until: Some(Timestamp::from_ms(TIMESTAMP_MS_MAX)),
            },
        },
        reports: Vec::new(),
    };
    let release_role = alloc::format!("rel-{long}");
    for role in ["targets", "deltas", "emergency", release_role.as_str()] {
        journal.tuf.roles.insert(role.into(), u64::MAX);
    }
    assert_eq!(journal.tuf.roles.len(), TUF_ROLES_MAX);
    // Two orders are under way above, each of which has its room already.
    for order in 0..REPORTS_MAX - 2 {
        journal.reports.push(PendingReport {
            order: u64::MAX - u64::try_from(order).unwrap(),
            outcome: Outcome::Refused {
                code: "schedule-not-reached".into(),
                reason: reason.as_str().into(),
            },
            bytes_fetched: u64::MAX,
            pace: Pace::Emergency,
            // One that answers a challenge is of what was done: it has no reason, and is shorter.
            answers: None,
        });
    }
    journal
}

#[test]
fn the_largest_journal_fits_its_record() {
    let mut journal = largest();
    assert!(encode(&journal).is_ok(), "{:?}", encode(&journal).err());
    // And so does the one in which both orders under way have ended.
    let report = journal.reports[0].clone();
    journal.update = Update::Idle;
    journal.collection = Collection::Idle;
    journal.reports = alloc::vec![report; REPORTS_MAX];
    assert!(encode(&journal).is_ok(), "{:?}", encode(&journal).err());
}

#[test]
fn a_journal_that_does_not_fit_is_refused() {
    let mut journal = largest();
    journal.reports[0].outcome =
        Outcome::Failed { code: "x".into(), reason: "r".repeat(JSON_BYTES_MAX) };
    assert!(matches!(encode(&journal), Err(RecordError::TooLarge { .. })));
}

#[test]
fn the_newer_record_is_read_back() {
    let mut file = alloc::vec![0; JOURNAL_BYTES];
    for generation in 1..6 {
        write(&mut file, &of_generation(generation));
        assert_eq!(decode(&file).unwrap(), of_generation(generation));
    }
}

#[test]
fn a_record_torn_at_any_byte_leaves_the_one_before() {
    let mut before = alloc::vec![0; JOURNAL_BYTES];
    write(&mut before, &of_generation(7));
    let old = before.clone();
    write(&mut before, &of_generation(8));
    let mut file = before.clone();
    // Generation 9 goes over generation 7. Any prefix of it may reach the disk.
    write(&mut file, &of_generation(9));
    let new = file[RECORD_BYTES..].to_vec();
    for cut in 0..RECORD_BYTES {
        let mut torn = before.clone();
        torn[RECORD_BYTES..RECORD_BYTES + cut].copy_from_slice(&new[..cut]);
        let found = decode(&torn).unwrap().generation;
        let complete = new[..cut] == new[..] || torn[RECORD_BYTES..] == new[..];
        assert_eq!(found, if complete { 9 } else { 8 }, "cut at byte {cut}");
    }
    assert_eq!(decode(&old).unwrap().generation, 7);
}

#[test]
fn a_zero_file_and_a_torn_very_first_write_are_a_fresh_device() {
    let zeros = alloc::vec![0; JOURNAL_BYTES];
    assert_eq!(decode(&zeros).unwrap(), Journal::fresh());
    let first = encode(&of_generation(1)).unwrap();
    let mut torn = zeros;
    torn[RECORD_BYTES..RECORD_BYTES + 100].copy_from_slice(&first[..100]);
    assert_eq!(decode(&torn).unwrap(), Journal::fresh());
}

#[test]
fn two_corrupt_records_are_an_error_and_never_a_reset() {
    let mut file = alloc::vec![0; JOURNAL_BYTES];
    write(&mut file, &of_generation(4));
    write(&mut file, &of_generation(5));
    file[200] ^= 1;
    assert_eq!(decode(&file).unwrap().generation, 5);
    file[RECORD_BYTES + 200] ^= 1;
    let corrupt = RecordError::Corrupt { first: Fault::Checksum, second: Fault::Checksum };
    assert_eq!(decode(&file), Err(corrupt));
    file[..RECORD_BYTES].fill(0);
    file[RECORD_BYTES..].fill(0);
    file[3] = 1;
    let corrupt = RecordError::Corrupt { first: Fault::Checksum, second: Fault::Empty };
    assert_eq!(decode(&file), Err(corrupt));
    assert_eq!(decode(&file[1..]), Err(RecordError::WrongLength { got: JOURNAL_BYTES - 1 }));
}

#[test]
fn a_record_in_the_wrong_place_is_corrupt() {
    let mut file = alloc::vec![0; JOURNAL_BYTES];
    file[..RECORD_BYTES].copy_from_slice(&encode(&of_generation(5)).unwrap());
    let first = Fault::Misplaced { generation: 5 };
    assert_eq!(decode(&file), Err(RecordError::Corrupt { first, second: Fault::Empty }));
}
