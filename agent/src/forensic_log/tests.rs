//! Records stay chained across restarts and power cuts, and a damaged or full log says so.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;

use lazaret_protocol::time::Timestamp;
use lazaret_protocol_evidence::log::verify_log;

use super::*;
use crate::durable::tests::cut_at;

fn device() -> DeviceId {
    "d-1".parse().unwrap()
}

fn open(path: &Path, limit: u64, durable: Durable) -> ForensicLog {
    let clock = Clock::new(Timestamp::from_ms(0));
    ForensicLog::open(path, &device(), limit, clock, durable).unwrap()
}

fn kinds(path: &Path) -> Vec<String> {
    let log = verify_log(&device(), &fs::read(path).unwrap()).unwrap();
    log.records.iter().map(|record| record.kind.to_string()).collect()
}

#[test]
fn records_are_chained_over_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.jsonl");
    for boot in 1..4 {
        let mut log = open(&path, 1 << 20, Durable::default());
        log.set_boot(boot);
        log.append("started", Detail::none().number("boot", boot)).unwrap();
    }
    assert_eq!(kinds(&path), ["started", "started", "started"]);
    assert_eq!(open(&path, 1 << 20, Durable::default()).head().size, 3);
}

#[test]
fn a_torn_tail_is_cut_off_and_no_synced_record_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.jsonl");
    let mut log = open(&path, 1 << 20, Durable::default());
    log.append("started", Detail::none()).unwrap();
    log.append("armed", Detail::none()).unwrap();
    let whole = fs::read(&path).unwrap();
    let second = whole.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    for cut in second + 1..whole.len() {
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .unwrap()
            .write_all_at(&whole[..cut], 0)
            .unwrap();
        open(&path, 1 << 20, Durable::default());
        assert_eq!(kinds(&path), ["started", "log-tail-cut"], "cut at byte {cut}");
    }
}

#[test]
fn a_damaged_log_is_kept_aside_and_the_new_one_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.jsonl");
    let mut log = open(&path, 1 << 20, Durable::default());
    for _ in 0..3 {
        log.append("started", Detail::none()).unwrap();
    }
    let mut bytes = fs::read(&path).unwrap();
    bytes[20] ^= 1;
    OpenOptions::new().write(true).open(&path).unwrap().write_all_at(&bytes, 0).unwrap();
    open(&path, 1 << 20, Durable::default());
    assert_eq!(kinds(&path), ["log-damaged"]);
    assert_eq!(fs::read(folder.path().join("log.damaged-1")).unwrap(), bytes);
}

#[test]
fn a_full_log_keeps_its_reserve_for_attacks_and_then_takes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.jsonl");
    let limit = 2 * RESERVE_BYTES;
    let mut log = open(&path, limit, Durable::default());
    let detail = Detail::none().text("text", "x".repeat(900));
    for _ in 0..200 {
        log.append("started", detail.clone()).unwrap();
    }
    log.append("quarantined", detail.clone()).unwrap();
    let kinds = kinds(&path);
    assert_eq!(kinds[kinds.len() - 2..], ["log-full", "quarantined"]);
    for _ in 0..200 {
        log.append("quarantined", detail.clone()).unwrap();
    }
    assert!(fs::metadata(&path).unwrap().len() <= limit);
    // The next start does not say it again.
    let mut log = open(&path, limit, Durable::default());
    log.append("started", Detail::none()).unwrap();
    let log = verify_log(&device(), &fs::read(&path).unwrap()).unwrap();
    let full = log.records.iter().filter(|record| record.kind.as_str() == "log-full").count();
    assert_eq!(full, 1);
}

#[test]
fn a_cut_before_the_write_leaves_the_log_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.jsonl");
    open(&path, 1 << 20, Durable::default()).append("started", Detail::none()).unwrap();
    let mut log = open(&path, 1 << 20, cut_at(0));
    assert!(log.append("armed", Detail::none()).is_err());
    assert_eq!(kinds(&path), ["started"]);
}

#[test]
fn every_event_of_the_core_has_a_kind_and_its_particulars() {
    let event = LogEvent::Kept { order: 7, slot: lazaret_agent_core::slot::Slot::B, floor: 3 };
    let (kind, detail) = said(&event);
    assert_eq!(kind, "kept");
    let fields: Vec<String> = detail.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(fields, ["floor=3", "order=7", "slot=b"]);
}
