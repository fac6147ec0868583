//! What every backend promises, as one test that any backend is handed to. A new line in
//! `BACKENDS` is tested by this the moment it is written.

use std::path::Path;
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::Barrier;

use crate::backend::{
    Backend, BackendError, Batch, CommitError, Key, Limit, Receipt, Refused, SCAN_BYTES_MAX, Scan,
    Stored, VALUE_BYTES_MAX, Version,
};
use crate::backends::{BACKENDS, BackendKind, Keeps, Settings};

mod model;

type Shared = Arc<dyn Backend>;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_backend_keeps_the_contract() {
    for kind in BACKENDS {
        let dir = tempfile::tempdir().unwrap();
        let store = open(kind, dir.path()).await;
        keeps_the_contract(&store).await;
        drop(store);
        if kind.keeps == Keeps::OnDisk {
            everything_is_there_after_a_restart(kind).await;
        }
    }
}

pub(crate) async fn open(kind: &BackendKind, dir: &Path) -> Shared {
    (kind.open)(Settings::at(dir.join("store"))).await.unwrap_or_else(|error| {
        panic!("{} does not open: {error}", kind.name);
    })
}

/// `store` is empty.
async fn keeps_the_contract(store: &Shared) {
    an_empty_store_has_nothing(store).await;
    what_is_put_is_read(store).await;
    a_failed_expectation_changes_nothing(store).await;
    a_record_made_again_never_looks_unchanged(store).await;
    a_scan_walks_in_key_order(store).await;
    events_come_in_commit_order(store).await;
    a_large_record_lives_and_dies_whole(store).await;
    a_page_of_large_records_ends_early(store).await;
    requests_past_a_limit_are_refused(store).await;
    no_increment_is_lost(store).await;
    a_reader_never_sees_half_a_commit(store).await;
}

pub(crate) fn put(key: &str, value: &[u8]) -> Batch {
    Batch { put: vec![(key.into(), value.to_vec())], ..Batch::default() }
}

async fn commit(store: &Shared, batch: Batch) -> Receipt {
    store.commit(batch).await.unwrap()
}

async fn read(store: &Shared, key: &str) -> Option<Stored> {
    store.read(&[key.into()]).await.unwrap().remove(0)
}

async fn scan(store: &Shared, prefix: &str, after: Option<&str>, limit: usize) -> Vec<String> {
    let scan = Scan { prefix: prefix.into(), after: after.map(Key::from), limit };
    let page = store.scan(scan).await.unwrap();
    page.iter().map(|(key, _)| String::from_utf8_lossy(key.as_bytes()).into_owned()).collect()
}

async fn an_empty_store_has_nothing(store: &Shared) {
    assert_eq!(store.read(&["a".into(), "b".into()]).await.unwrap(), [None, None]);
    assert_eq!(store.read(&[]).await.unwrap(), []);
    assert!(scan(store, "", None, 10).await.is_empty());
    assert_eq!(store.events(0, 10).await.unwrap(), []);
}

async fn what_is_put_is_read(store: &Shared) {
    let first = commit(store, put("put/a", b"1")).await;
    assert_eq!(first, Receipt { version: Version(1), first_event: None });
    let second = commit(store, put("put/b", b"")).await;
    assert!(second.version > first.version);
    let stored = |receipt: Receipt, bytes: &[u8]| {
        Some(Stored { version: receipt.version, bytes: bytes.to_vec() })
    };
    let asked = ["put/b", "put/none", "put/a", "put/b"].map(Key::from);
    let found = [stored(second, b""), None, stored(first, b"1"), stored(second, b"")];
    assert_eq!(store.read(&asked).await.unwrap(), found);
    let third = commit(store, put("put/a", b"3")).await;
    assert_eq!(read(store, "put/a").await, stored(third, b"3"));
    let delete = vec!["put/a".into(), "put/none".into()];
    commit(store, Batch { delete, ..Batch::default() }).await;
    assert_eq!(read(store, "put/a").await, None);
    assert!(commit(store, Batch::default()).await.version > third.version);
}

async fn a_failed_expectation_changes_nothing(store: &Shared) {
    let there = commit(store, put("expect/there", b"1")).await.version;
    let stale = Some(Version(there.0 - 1));
    for (key, expected, found) in [
        ("expect/there", None, Some(there)),
        ("expect/there", stale, Some(there)),
        ("expect/none", Some(there), None),
    ] {
        let batch = Batch {
            expect: vec![("expect/absent".into(), None), (key.into(), expected)],
            put: vec![("expect/there".into(), b"2".to_vec()), ("expect/new".into(), vec![])],
            delete: vec!["expect/none".into()],
            append: vec![b"never".to_vec()],
        };
        match store.commit(batch).await {
            Err(CommitError::Conflict { key: k, expected: e, found: f }) => {
                assert_eq!((k, e, f), (Key::from(key), expected, found));
            }
            other => panic!("expected a conflict, got {other:?}"),
        }
    }
    let there = Stored { version: there, bytes: b"1".to_vec() };
    assert_eq!(read(store, "expect/there").await, Some(there));
    assert_eq!(read(store, "expect/new").await, None);
    assert_eq!(store.events(0, 10).await.unwrap(), []);
}

async fn a_record_made_again_never_looks_unchanged(store: &Shared) {
    let first = commit(store, put("again", b"same")).await.version;
    commit(store, Batch { delete: vec!["again".into()], ..Batch::default() }).await;
    let second = commit(store, put("again", b"same")).await.version;
    assert!(second > first);
    let batch = Batch { expect: vec![("again".into(), Some(first))], ..Batch::default() };
    assert!(matches!(store.commit(batch).await, Err(CommitError::Conflict { .. })));
}

async fn a_scan_walks_in_key_order(store: &Shared) {
    for key in ["scan/b", "scan/c", "scan/a", "scan/ab", "scan.", "scan0"] {
        commit(store, put(key, key.as_bytes())).await;
    }
    assert_eq!(scan(store, "scan/", None, 9).await, ["scan/a", "scan/ab", "scan/b", "scan/c"]);
    assert_eq!(scan(store, "scan/", None, 2).await, ["scan/a", "scan/ab"]);
    assert_eq!(scan(store, "scan/", Some("scan/ab"), 2).await, ["scan/b", "scan/c"]);
    assert_eq!(scan(store, "scan/", Some("scan/aa"), 1).await, ["scan/ab"]);
    assert_eq!(scan(store, "scan/", Some("a"), 1).await, ["scan/a"]);
    assert!(scan(store, "scan/", Some("scan/c"), 9).await.is_empty());
    assert!(scan(store, "scan/", Some("z"), 9).await.is_empty());
    let high = Key::from(vec![0xff, 0xff]);
    let batch = Batch { put: vec![(high.clone(), b"high".to_vec())], ..Batch::default() };
    let version = commit(store, batch).await.version;
    let page = store.scan(Scan { prefix: vec![0xff], after: None, limit: 9 }).await.unwrap();
    assert_eq!(page, [(high, Stored { version, bytes: b"high".to_vec() })]);
}

async fn events_come_in_commit_order(store: &Shared) {
    let append = |events: &[&str]| Batch {
        append: events.iter().map(|event| event.as_bytes().to_vec()).collect(),
        ..Batch::default()
    };
    let first = commit(store, append(&["a", "b", ""])).await.first_event.unwrap();
    let second = commit(store, append(&["d"])).await.first_event.unwrap();
    assert!(first > 0 && second > first + 2);
    let numbered = |number: u64, event: &str| (number, event.as_bytes().to_vec());
    let all = [numbered(first, "a"), numbered(first + 1, "b"), numbered(first + 2, "")];
    assert_eq!(store.events(0, 3).await.unwrap(), all);
    let rest = [numbered(first + 2, ""), numbered(second, "d")];
    assert_eq!(store.events(first + 1, 9).await.unwrap(), rest);
    assert_eq!(store.events(second, 9).await.unwrap(), []);
    assert_eq!(store.events(u64::MAX, 9).await.unwrap(), []);
}

/// Bytes without a pattern that a wrong order of pieces would hide.
fn large(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761).max(1);
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    (0..length).map(step).collect()
}

async fn a_large_record_lives_and_dies_whole(store: &Shared) {
    for (length, seed) in [(VALUE_BYTES_MAX, 1), (5000, 2), (4096, 3), (100_000, 4)] {
        let value = large(length, seed);
        let version = commit(store, put("large", &value)).await.version;
        let stored = read(store, "large").await.unwrap();
        assert!(stored == Stored { version, bytes: value }, "{length} bytes came back changed");
    }
    let event = large(70_000, 5);
    let batch = Batch {
        delete: vec!["large".into()],
        append: vec![event.clone(), b"small".to_vec()],
        ..Batch::default()
    };
    let first = commit(store, batch).await.first_event.unwrap();
    assert_eq!(read(store, "large").await, None);
    let events = store.events(first - 1, 9).await.unwrap();
    assert!(events == [(first, event), (first + 1, b"small".to_vec())]);
}

async fn a_page_of_large_records_ends_early(store: &Shared) {
    for key in ["page/a", "page/b", "page/c"] {
        commit(store, put(key, &large(VALUE_BYTES_MAX, 1))).await;
    }
    const { assert!(SCAN_BYTES_MAX == 2 * VALUE_BYTES_MAX) };
    assert_eq!(scan(store, "page/", None, 9).await, ["page/a", "page/b"]);
    assert_eq!(scan(store, "page/", Some("page/b"), 9).await, ["page/c"]);
    let delete = ["page/a", "page/b", "page/c"].map(Key::from).to_vec();
    commit(store, Batch { delete, ..Batch::default() }).await;
}

async fn requests_past_a_limit_are_refused(store: &Shared) {
    let refused = |error: BackendError| match error {
        BackendError::Refused(Refused::OutsideLimit { limit, got }) => (limit, got),
        other => panic!("expected a refusal, got {other:?}"),
    };
    let long = Key::from(vec![b'k'; 513]);
    let error = store.read(std::slice::from_ref(&long)).await.unwrap_err();
    assert_eq!(refused(error), (Limit::KeyBytes, 513));
    let batch = Batch { delete: vec![long], ..Batch::default() };
    match store.commit(batch).await {
        Err(CommitError::Failed(error)) => assert_eq!(refused(error), (Limit::KeyBytes, 513)),
        other => panic!("expected a refusal, got {other:?}"),
    }
    for limit in [0, 4097] {
        let error = store.events(0, limit).await.unwrap_err();
        assert_eq!(refused(error), (Limit::ScanItems, limit));
        let scan = Scan { prefix: vec![], after: None, limit };
        assert_eq!(refused(store.scan(scan).await.unwrap_err()), (Limit::ScanItems, limit));
    }
    let keys = vec![Key::from("a"); 4097];
    assert_eq!(refused(store.read(&keys).await.unwrap_err()), (Limit::ReadKeys, 4097));
}

const WRITERS: usize = 16;
const INCREMENTS: u64 = 25;

async fn no_increment_is_lost(store: &Shared) {
    let all_have_read = Arc::new(Barrier::new(WRITERS));
    let writer = |_| tokio::spawn(increment(Arc::clone(store), Arc::clone(&all_have_read)));
    let tasks = (0..WRITERS).map(writer);
    let conflicts: u64 = join_all(tasks).await.into_iter().map(Result::unwrap).sum();
    let total = read(store, "counter").await.unwrap();
    assert_eq!(total.bytes, (WRITERS as u64 * INCREMENTS).to_be_bytes());
    assert!(conflicts >= WRITERS as u64 - 1, "only one of those who read the same count may win");
}

/// Adds one, as often as said; returns how often somebody else was faster.
async fn increment(store: Shared, all_have_read: Arc<Barrier>) -> u64 {
    let (mut conflicts, mut left, mut told) = (0, INCREMENTS, None);
    while left > 0 {
        let found = read(&store, "counter").await;
        let count = found.as_ref().map_or(0, |stored| {
            u64::from_be_bytes(<[u8; 8]>::try_from(stored.bytes.as_slice()).unwrap())
        });
        let version = found.map(|stored| stored.version);
        assert!(version >= told, "{told:?} was told of before it could be read");
        if told.is_none() {
            all_have_read.wait().await;
        }
        let expect = vec![("counter".into(), version)];
        match store.commit(Batch { expect, ..put("counter", &(count + 1).to_be_bytes()) }).await {
            Ok(receipt) => {
                left -= 1;
                told = Some(receipt.version);
            }
            Err(CommitError::Conflict { found, .. }) => {
                conflicts += 1;
                told = found;
            }
            Err(error) => panic!("{error}"),
        }
    }
    conflicts
}

const HALVES: [&str; 2] = ["half/left", "half/right"];

/// One half is small, the other spans several pieces: engines write them in different places.
async fn a_reader_never_sees_half_a_commit(store: &Shared) {
    let writer = tokio::spawn({
        let store = Arc::clone(store);
        async move {
            for round in 0..60_u8 {
                let left = (Key::from(HALVES[0]), vec![round]);
                let right = (Key::from(HALVES[1]), vec![round; 10_000]);
                commit(&store, Batch { put: vec![left, right], ..Batch::default() }).await;
            }
        }
    });
    let mut last = 0;
    while !writer.is_finished() {
        let read = store.read(&HALVES.map(Key::from)).await.unwrap();
        let scan = Scan { prefix: b"half/".to_vec(), after: None, limit: 9 };
        let scanned = store.scan(scan).await.unwrap();
        let scanned = scanned.into_iter().map(|(_, stored)| stored).collect();
        for pair in [read.into_iter().flatten().collect(), scanned] {
            let pair: Vec<Stored> = pair;
            let [left, right] = pair.as_slice() else {
                assert!(pair.is_empty() && last == 0, "half of a commit is seen");
                continue;
            };
            assert_eq!(left.version, right.version);
            assert!(right.bytes == vec![left.bytes[0]; 10_000]);
            assert!(left.bytes[0] >= last, "a reader went back in time");
            last = left.bytes[0];
        }
    }
    writer.await.unwrap();
}

async fn everything_is_there_after_a_restart(kind: &BackendKind) {
    let dir = tempfile::tempdir().unwrap();
    let mut last = Version(0);
    for round in 0..4_u64 {
        let store = open(kind, dir.path()).await;
        assert_eq!(store.events(0, 99).await.unwrap().len() as u64, round);
        for old in 0..round {
            let small = read(&store, &format!("small/{old}")).await.unwrap();
            assert_eq!(small.bytes, old.to_be_bytes());
            let seed = u32::try_from(old).unwrap();
            let stored = read(&store, &format!("large/{old}")).await.unwrap();
            assert!(stored.bytes == large(300_000, seed));
        }
        let seed = u32::try_from(round).unwrap();
        let batch = Batch {
            put: vec![
                (format!("small/{round}").into(), round.to_be_bytes().to_vec()),
                (format!("large/{round}").into(), large(300_000, seed)),
            ],
            append: vec![b"event".to_vec()],
            ..Batch::default()
        };
        let receipt = commit(&store, batch).await;
        assert!(receipt.version > last, "a restart gave out a version again");
        assert_eq!(receipt.first_event, Some(round + 1));
        last = receipt.version;
    }
}
