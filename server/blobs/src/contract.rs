//! What every store of blobs promises, as one test that any of them is handed to.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use lazaret_protocol::digest::Sha256Digest;

use crate::blob::{BlobError, BlobStore, CHUNK_BYTES, Deleted, Finished, UploadId};
use crate::stores::{OpenError, STORES, Settings, StoreKind};

type Shared = Arc<dyn BlobStore>;

const ANY: u64 = u64::MAX;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_store_keeps_the_contract() {
    for kind in STORES {
        let dir = tempfile::tempdir().unwrap();
        let store = open(kind, dir.path()).await;
        what_is_finished_is_read_in_any_range(&store).await;
        a_range_past_the_end_is_refused(&store).await;
        content_that_is_not_what_was_expected_is_not_stored(&store).await;
        bytes_past_the_limit_are_refused(&store).await;
        a_broken_upload_goes_on_where_it_was(&store).await;
        what_is_swept_or_abandoned_is_gone(&store).await;
        what_is_stored_twice_is_there_once(&store).await;
        what_is_deleted_is_gone_but_not_for_its_readers(&store).await;
        drop(store);
        blobs_and_uploads_outlive_a_restart(kind).await;
    }
}

async fn open(kind: &StoreKind, dir: &Path) -> Shared {
    (kind.open)(Settings::at(dir.join("blobs"))).await.unwrap_or_else(|error| {
        panic!("{} does not open: {error}", kind.name);
    })
}

fn content(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|i| (i / 251 + i * 7 + seed).to_le_bytes()[0]).collect()
}

async fn store_all(store: &Shared, bytes: &[u8]) -> Finished {
    let mut upload = store.begin(ANY).await.unwrap();
    for chunk in bytes.chunks(100_000) {
        upload.write(Bytes::copy_from_slice(chunk)).await.unwrap();
    }
    upload.finish(Some(Sha256Digest::of(bytes))).await.unwrap()
}

async fn range(store: &Shared, digest: Sha256Digest, offset: u64, length: u64) -> Vec<Bytes> {
    store.read_range(digest, offset, length).await.unwrap().try_collect().await.unwrap()
}

async fn what_is_finished_is_read_in_any_range(store: &Shared) {
    for length in [0, 1, CHUNK_BYTES, 3 * CHUNK_BYTES + 17] {
        let bytes = content(length, 1);
        let finished = store_all(store, &bytes).await;
        let digest = Sha256Digest::of(&bytes);
        assert_eq!(finished, Finished { digest, length: length as u64 });
        assert_eq!(store.length(digest).await.unwrap(), Some(length as u64));
        assert!(store.bytes(digest, length as u64).await.unwrap() == bytes);
        for (from, to) in [(0, length), (length / 3, length), (0, length / 2), (length, length)] {
            let chunks = range(store, digest, from as u64, (to - from) as u64).await;
            assert!(chunks.concat() == bytes[from..to], "{from}..{to} of {length} differ");
            let full = (to - from) / CHUNK_BYTES;
            assert!(chunks.iter().take(full).all(|chunk| chunk.len() == CHUNK_BYTES));
            assert!(chunks.iter().all(|chunk| !chunk.is_empty()));
        }
    }
}

async fn a_range_past_the_end_is_refused(store: &Shared) {
    let Finished { digest, .. } = store_all(store, &content(10, 2)).await;
    for (offset, length) in [(0, 11), (11, 0), (5, 6), (u64::MAX, 1), (1, u64::MAX)] {
        match store.read_range(digest, offset, length).await.err() {
            Some(BlobError::OutsideBlob { blob_length: 10, offset: from, length: bytes }) => {
                assert_eq!((from, bytes), (offset, length));
            }
            other => panic!("expected a refusal, got {other:?}"),
        }
    }
    let absent = Sha256Digest::of(b"absent");
    assert_eq!(store.length(absent).await.unwrap(), None);
    let error = store.read_range(absent, 0, 0).await.err();
    assert!(matches!(error, Some(BlobError::NotFound { digest }) if digest == absent));
}

async fn content_that_is_not_what_was_expected_is_not_stored(store: &Shared) {
    let (mut upload, wrong) = (store.begin(ANY).await.unwrap(), Sha256Digest::of(b"else"));
    let id = upload.id();
    upload.write(Bytes::from_static(b"this")).await.unwrap();
    let this = Sha256Digest::of(b"this");
    match upload.finish(Some(wrong)).await {
        Err(BlobError::Mismatch { expected, got }) => assert_eq!((expected, got), (wrong, this)),
        other => panic!("expected a mismatch, got {other:?}"),
    }
    assert_eq!(store.length(this).await.unwrap(), None);
    assert_eq!(store.length(wrong).await.unwrap(), None);
    assert!(matches!(store.resume(id, ANY).await.err(), Some(BlobError::NoUpload { .. })));
}

async fn bytes_past_the_limit_are_refused(store: &Shared) {
    let mut upload = store.begin(10).await.unwrap();
    upload.write(Bytes::from_static(b"12345678")).await.unwrap();
    let error = upload.write(Bytes::from_static(b"9ab")).await.unwrap_err();
    assert!(matches!(error, BlobError::TooLarge { bytes_max: 10, got: 11 }), "{error}");
    assert_eq!(upload.offset(), 8);
    upload.write(Bytes::from_static(b"9a")).await.unwrap();
    let id = upload.id();
    drop(upload);
    let error = store.resume(id, 9).await.err();
    assert!(matches!(error, Some(BlobError::TooLarge { bytes_max: 9, got: 10 })), "{error:?}");
    let upload = store.resume(id, 10).await.unwrap();
    let digest = upload.finish(Some(Sha256Digest::of(b"123456789a"))).await.unwrap().digest;
    let error = store.bytes(digest, 9).await.unwrap_err();
    assert!(matches!(error, BlobError::TooLarge { bytes_max: 9, got: 10 }), "{error}");
}

async fn a_broken_upload_goes_on_where_it_was(store: &Shared) {
    let bytes = content(700_000, 3);
    let digest = Sha256Digest::of(&bytes);
    let mut upload = store.begin(ANY).await.unwrap();
    let id = upload.id();
    upload.write(Bytes::copy_from_slice(&bytes[..300_000])).await.unwrap();
    assert!(matches!(store.resume(id, ANY).await.err(), Some(BlobError::UploadBusy { .. })));
    drop(upload);
    let mut upload = store.resume(id.to_string().parse().unwrap(), ANY).await.unwrap();
    assert_eq!((upload.id(), upload.offset()), (id, 300_000));
    upload.write(Bytes::copy_from_slice(&bytes[300_000..])).await.unwrap();
    assert_eq!(upload.finish(Some(digest)).await.unwrap().digest, digest);
    assert!(store.bytes(digest, ANY).await.unwrap() == bytes);
    assert!(matches!(store.resume(id, ANY).await.err(), Some(BlobError::NoUpload { .. })));

    let upload = store.begin(ANY).await.unwrap();
    let id = upload.id();
    drop(upload);
    let unchecked = store.resume(id, ANY).await.unwrap().finish(None).await;
    assert!(matches!(unchecked, Err(BlobError::DigestNeeded { .. })), "{unchecked:?}");
}

async fn what_is_swept_or_abandoned_is_gone(store: &Shared) {
    let upload = store.begin(ANY).await.unwrap();
    let abandoned = upload.id();
    upload.abandon().await.unwrap();
    let gone =
        async |id| matches!(store.resume(id, ANY).await.err(), Some(BlobError::NoUpload { .. }));
    assert!(gone(abandoned).await);
    let idle = store.begin(ANY).await.unwrap().id();
    let busy = store.begin(ANY).await.unwrap();
    assert_eq!(store.sweep(Duration::from_hours(1)).await.unwrap(), 0);
    assert_eq!(store.sweep(Duration::ZERO).await.unwrap(), 1);
    assert!(gone(idle).await);
    assert_eq!(busy.finish(None).await.unwrap().digest, Sha256Digest::of(b""));
}

async fn what_is_stored_twice_is_there_once(store: &Shared) {
    let bytes = content(1000, 4);
    let first = store_all(store, &bytes).await;
    assert_eq!(store_all(store, &bytes).await, first);
    assert_eq!(store.delete(first.digest).await.unwrap(), Deleted::Removed);
    assert_eq!(store.delete(first.digest).await.unwrap(), Deleted::Absent);
}

async fn what_is_deleted_is_gone_but_not_for_its_readers(store: &Shared) {
    let bytes = content(3 * CHUNK_BYTES, 5);
    let Finished { digest, length } = store_all(store, &bytes).await;
    let mut reader = store.open(digest).await.unwrap();
    assert_eq!(reader.length, length);
    let first = reader.bytes.try_next().await.unwrap().unwrap();
    assert_eq!(store.delete(digest).await.unwrap(), Deleted::Removed);
    assert_eq!(store.length(digest).await.unwrap(), None);
    let rest: Vec<Bytes> = reader.bytes.try_collect().await.unwrap();
    assert!([first.to_vec(), rest.concat()].concat() == bytes);
}

async fn blobs_and_uploads_outlive_a_restart(kind: &StoreKind) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(kind, dir.path()).await;
    let second = (kind.open)(Settings::at(dir.path().join("blobs"))).await;
    assert!(matches!(second.err(), Some(OpenError::InUse { .. })));
    let bytes = content(1000, 6);
    let Finished { digest, .. } = store_all(&store, &bytes).await;
    let mut upload = store.begin(ANY).await.unwrap();
    upload.write(Bytes::from_static(b"half ")).await.unwrap();
    let id = upload.id();
    drop((upload, store));
    let store = open(kind, dir.path()).await;
    assert!(store.bytes(digest, ANY).await.unwrap() == bytes);
    let mut upload = store.resume(id, ANY).await.unwrap();
    upload.write(Bytes::from_static(b"whole")).await.unwrap();
    upload.finish(Some(Sha256Digest::of(b"half whole"))).await.unwrap();
    let idle = store.begin(ANY).await.unwrap().id();
    drop(store);
    let settings =
        Settings { idle_uploads_kept: Duration::ZERO, ..Settings::at(dir.path().join("blobs")) };
    let store = (kind.open)(settings).await.unwrap();
    assert!(matches!(store.resume(idle, ANY).await.err(), Some(BlobError::NoUpload { .. })));
}

#[test]
fn texts_that_are_no_upload_id_are_refused() {
    let upper = "ABCDEFABCDEFABCDEFABCDEFABCDEFAB";
    for bad in ["", "..", "../../../../../../../../etc/passwd", upper, &"0".repeat(33)] {
        assert!(bad.parse::<UploadId>().is_err(), "{bad:?} was accepted");
    }
}

#[tokio::test]
async fn rotten_content_is_not_handed_out_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&STORES[0], dir.path()).await;
    let Finished { digest, .. } = store_all(&store, b"sound").await;
    let name = digest.to_string();
    let path = dir.path().join("blobs").join(&name[..2]).join(&name);
    let mut file = std::fs::File::create(path).unwrap();
    std::io::Write::write_all(&mut file, b"rot").unwrap();
    let got = Sha256Digest::of(b"rot");
    match store.bytes(digest, ANY).await {
        Err(BlobError::Mismatch { expected, got: found }) => {
            assert_eq!((expected, found), (digest, got));
        }
        other => panic!("expected a mismatch, got {other:?}"),
    }
}
