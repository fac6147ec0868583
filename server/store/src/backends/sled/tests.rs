//! What only this engine does: its folder, its lock, its layout, and what it finds after a crash.

use std::fs;

use super::*;
use crate::backend::Version;
use crate::contract::put;

fn place() -> (tempfile::TempDir, Settings) {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings::at(dir.path().join("store"));
    (dir, settings)
}

#[tokio::test]
async fn a_store_that_is_open_is_in_use() {
    let (_dir, settings) = place();
    let store = Sled::open(&settings).unwrap();
    let second = Sled::open(&settings);
    assert!(matches!(second, Err(OpenError::InUse { dir }) if dir == settings.dir));
    drop(store);
    Sled::open(&settings).unwrap();
}

#[test]
fn a_store_of_a_newer_format_is_left_alone() {
    let (_dir, settings) = place();
    drop(Sled::open(&settings).unwrap());
    fs::remove_file(settings.dir.join("db")).unwrap();
    fs::copy(write_aside(&settings, "lazaret-store sled 2\n"), settings.dir.join("format"))
        .unwrap();
    match Sled::open(&settings) {
        Err(OpenError::NewerFormat { dir, found: 2, understood: 1 }) => {
            assert_eq!(dir, settings.dir);
        }
        other => panic!("expected a newer format, got {other:?}"),
    }
    assert!(!settings.dir.join("db").exists(), "the engine touched a store it cannot read");
}

fn write_aside(settings: &Settings, text: &str) -> std::path::PathBuf {
    let path = settings.dir.with_file_name("aside");
    let mut file = fs::File::create(&path).unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    path
}

#[test]
fn a_folder_of_other_things_is_left_alone() {
    let (_dir, settings) = place();
    fs::create_dir(&settings.dir).unwrap();
    fs::create_dir(settings.dir.join("photos")).unwrap();
    assert!(matches!(Sled::open(&settings), Err(OpenError::NotThisStore { .. })));
    let (_dir, settings) = place();
    fs::create_dir(&settings.dir).unwrap();
    fs::copy(write_aside(&settings, "lazaret-store redb 1\n"), settings.dir.join("format"))
        .unwrap();
    assert!(matches!(Sled::open(&settings), Err(OpenError::NotThisStore { .. })));
}

#[test]
fn a_folder_that_cannot_be_made_or_written_is_named() {
    let (_dir, mut settings) = place();
    settings.dir = settings.dir.join("parent is not there");
    let error = Sled::open(&settings).unwrap_err();
    assert!(matches!(error, OpenError::Folder { action: "make a folder", .. }), "{error}");
    let (dir, mut settings) = place();
    settings.dir = dir.path().join("aside");
    write_aside(&Settings::at(dir.path().join("store")), "a file, not a folder");
    let error = Sled::open(&settings).unwrap_err();
    assert!(matches!(error, OpenError::Folder { action: "open the lock file", .. }), "{error}");
}

#[test]
fn a_store_without_its_first_commit_opens_again_after_any_cut() {
    // The steps of a first opening, each with what is on disk when the power goes behind it.
    let (_dir, settings) = place();
    fs::create_dir(&settings.dir).unwrap();
    drop(Sled::open(&settings).unwrap());
    let (_dir, settings) = place();
    fs::create_dir(&settings.dir).unwrap();
    fs::File::create(settings.dir.join("lock")).unwrap();
    fs::File::create(settings.dir.join("format.new")).unwrap();
    drop(Sled::open(&settings).unwrap());
    for empty in ["conf", "db"] {
        let (_dir, settings) = place();
        drop(Sled::open(&settings).unwrap());
        for entry in fs::read_dir(&settings.dir).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_str().unwrap().starts_with("snap.") {
                fs::remove_file(path).unwrap();
            }
        }
        fs::File::create(settings.dir.join(empty)).unwrap();
        drop(Sled::open(&settings).unwrap());
    }
}

/// As a crash or a full disk leaves it while the engine opens.
#[tokio::test]
async fn a_snapshot_that_was_not_finished_does_not_keep_the_store_shut() {
    let (_dir, settings) = place();
    for beginning in [b"".as_slice(), b"not all of a snapshot"] {
        let store = Sled::open(&settings).unwrap();
        store.commit(put("record", b"kept")).await.unwrap();
        drop(store);
        let unfinished = settings.dir.join("snap.FFFFFFFFFFFFFFFF.generating");
        let mut file = fs::File::create(unfinished).unwrap();
        std::io::Write::write_all(&mut file, beginning).unwrap();
        let store = Sled::open(&settings).unwrap();
        let kept = store.read(&[Key::from("record".to_owned())]).await.unwrap().remove(0);
        assert_eq!(kept.unwrap().bytes, b"kept");
    }
}

#[tokio::test]
async fn readers_see_a_group_only_when_it_is_released() {
    let (_dir, settings) = place();
    let store = Sled::open(&settings).unwrap();
    let keys = ["a", "b", "c"].map(Key::from);
    let old = Batch {
        put: vec![(keys[0].clone(), vec![1]), (keys[1].clone(), vec![2; 9000])],
        ..Batch::default()
    };
    store.commit(old).await.unwrap();
    let records = store.read(&keys).await.unwrap();
    let page = store.scan(Scan { prefix: vec![], after: None, limit: 9 }).await.unwrap();

    // What the committer does between taking a group and its sync.
    let mut held = view::Values::new();
    for item in store.view.tree().iter() {
        let (key, value) = item.unwrap();
        held.insert(key.to_vec(), Some(value));
    }
    held.insert(layout::record_key(b"c"), None);
    store.view.hold(held);
    let tree = store.view.tree();
    tree.clear().unwrap();
    let item = layout::Item { version: Version(9), number: 0 };
    tree.insert(layout::record_key(b"c"), layout::encode(item, b"new").0).unwrap();

    assert_eq!(store.read(&keys).await.unwrap(), records);
    let scan = Scan { prefix: vec![], after: None, limit: 9 };
    assert_eq!(store.scan(scan.clone()).await.unwrap(), page);
    store.view.release();
    let new = Stored { version: Version(9), bytes: b"new".to_vec() };
    assert_eq!(store.read(&keys).await.unwrap(), [None, None, Some(new.clone())]);
    assert_eq!(store.scan(scan).await.unwrap(), [(keys[2].clone(), new)]);
}

#[tokio::test]
async fn no_page_of_records_leaves_the_log() {
    let (_dir, settings) = place();
    let store = Sled::open(&settings).unwrap();
    for round in 0..8_u8 {
        let long = Key::from(vec![b'l' + round; 512]);
        let records = (0..60).map(|i| (Key::from(format!("{i:0500}")), vec![round; 4096]));
        let mut put: Vec<_> = records.collect();
        put.push((long, vec![round; 1_000_000]));
        store.commit(Batch { put, ..Batch::default() }).await.unwrap();
    }
    let blobs = fs::read_dir(settings.dir.join("blobs")).unwrap().count();
    assert_eq!(blobs, 0, "sled wrote blob files, each of which costs a sync");
}

#[tokio::test]
async fn after_a_failed_write_every_commit_is_refused_and_readers_go_on() {
    let (_dir, settings) = place();
    let store = Sled::open(&settings).unwrap();
    store.commit(put("a", b"1")).await.unwrap();
    // Reading the folder of blob files is a step of every sync.
    let blobs = settings.dir.join("blobs");
    fs::rename(&blobs, settings.dir.join("elsewhere")).unwrap();
    let failed = store.commit(put("a", b"2")).await;
    let unknown = BackendError::OutcomeUnknown {
        action: "sync a group",
        source: Arc::new(std::io::Error::other("")),
    };
    match failed {
        Err(CommitError::Failed(error)) => {
            assert_eq!(std::mem::discriminant(&error), std::mem::discriminant(&unknown),)
        }
        other => panic!("expected a failure, got {other:?}"),
    }
    fs::rename(settings.dir.join("elsewhere"), &blobs).unwrap();
    let refused = store.commit(put("b", b"1")).await;
    assert!(matches!(refused, Err(CommitError::Failed(BackendError::Stopped))), "{refused:?}");
    let read = store.read(&["a".into()]).await.unwrap().remove(0).unwrap();
    assert_eq!(read, Stored { version: Version(1), bytes: b"1".to_vec() });
}
