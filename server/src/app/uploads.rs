//! Bytes on their way in, chunk by chunk, resumable across broken links and restarts.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use bytes::Bytes;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::refusal::RefusalCode;
use lazaret_server_blobs::blob::{BlobError, BlobStore, Finished, Upload};
use lazaret_server_domain::record::{Decision, Found};
use lazaret_server_domain::refused::Refused;
use lazaret_server_domain::upload::UnfinishedUpload;
use tokio::sync::{Mutex, MutexGuard};

use super::context::App;
use super::error::AppError;

/// Uploads that are kept open at once. The one past it closes the others: they are resumed from
/// disk.
const OPEN_UPLOADS_MAX: usize = 64;

/// Uploads that are being written, so that each chunk need not read the whole again.
#[derive(Default)]
pub(crate) struct Uploads {
    open: Mutex<HashMap<String, Box<dyn Upload>>>,
    /// One piece of an upload is written at a time: whoever comes back after a break must not
    /// overtake what came before it. Uploads share these by their names' hashes.
    turns: [Mutex<()>; 32],
    hashes: RandomState,
}

impl Uploads {
    async fn turn(&self, of: &str) -> Option<MutexGuard<'_, ()>> {
        let hash = usize::try_from(self.hashes.hash_one(of)).unwrap_or_default();
        let place = hash.checked_rem(self.turns.len())?;
        Some(self.turns.get(place)?.lock().await)
    }
}

/// What is uploaded, where to, and how much of it there may be.
#[derive(Clone, Copy)]
pub(crate) struct Destination<'a> {
    /// The store of bytes.
    pub(crate) blobs: &'a Arc<dyn BlobStore>,
    /// The name of the upload: `image/MODEL/VERSION` or `bundle/ID`.
    pub(crate) of: &'a str,
    /// Most bytes.
    pub(crate) bytes_max: u64,
}

/// How many bytes have arrived.
///
/// # Errors
/// The stores.
pub(crate) async fn offset(app: &App, to: Destination<'_>) -> Result<u64, AppError> {
    let _turn = app.uploads.turn(to.of).await;
    if let Some(upload) = app.uploads.open.lock().await.get(to.of) {
        return Ok(upload.offset());
    }
    let Some(upload) = resumed(app, to).await? else { return Ok(0) };
    let offset = upload.offset();
    keep(app, to, upload).await;
    Ok(offset)
}

/// Appends `chunk` at `offset` and says how many bytes have arrived.
///
/// # Errors
/// The bytes do not belong at this offset, are too many, or the stores fail.
pub(crate) async fn append(
    app: &App,
    to: Destination<'_>,
    offset: u64,
    chunk: Bytes,
) -> Result<u64, AppError> {
    let _turn = app.uploads.turn(to.of).await;
    let mut upload = taken(app, to).await?;
    let at = upload.offset();
    if at != offset {
        keep(app, to, upload).await;
        let detail = format!("expected bytes at offset {at}, got offset {offset}");
        return Err(Refused::because(RefusalCode::Conflict, detail).into());
    }
    let written = upload.write(chunk).await;
    let at = upload.offset();
    // A failed write leaves the upload to be resumed from disk, so only a good one is kept open.
    written?;
    keep(app, to, upload).await;
    Ok(at)
}

/// Ends the upload: all bytes are there and have the digest `expected`.
///
/// # Errors
/// Another digest, and then the upload is gone; or the stores fail.
pub(crate) async fn finish(
    app: &App,
    to: Destination<'_>,
    expected: Sha256Digest,
) -> Result<Finished, AppError> {
    let _turn = app.uploads.turn(to.of).await;
    // What has arrived is looked at first: the digest alone would let somebody pass off what is
    // here already.
    let open = app.uploads.open.lock().await.remove(to.of);
    let open = match open {
        Some(upload) => Some(upload),
        None => resumed(app, to).await?,
    };
    if let Some(upload) = open {
        return Ok(upload.finish(Some(expected)).await?);
    }
    let length = to.blobs.length(expected).await?;
    let length = length.ok_or(BlobError::NotFound { digest: expected })?;
    Ok(Finished { digest: expected, length })
}

async fn taken(app: &App, to: Destination<'_>) -> Result<Box<dyn Upload>, AppError> {
    if let Some(upload) = app.uploads.open.lock().await.remove(to.of) {
        return Ok(upload);
    }
    if let Some(upload) = resumed(app, to).await? {
        return Ok(upload);
    }
    let upload = to.blobs.begin(to.bytes_max).await?;
    let found: Found<UnfinishedUpload> = app.store.find(to.of).await?;
    let record = UnfinishedUpload { of: to.of.into(), upload: upload.id().to_string() };
    let committed = app.store.commit(Decision::reply(()).replace(&found, &record)).await?;
    committed.into_reply();
    Ok(upload)
}

async fn resumed(app: &App, to: Destination<'_>) -> Result<Option<Box<dyn Upload>>, AppError> {
    let found: Found<UnfinishedUpload> = app.store.find(to.of).await?;
    let Some(record) = found.value else { return Ok(None) };
    match to.blobs.resume(record.upload.parse()?, to.bytes_max).await {
        Ok(upload) => Ok(Some(upload)),
        Err(BlobError::NoUpload { .. }) => Ok(None),
        Err(source) => Err(source.into()),
    }
}

async fn keep(app: &App, to: Destination<'_>, upload: Box<dyn Upload>) {
    let mut open = app.uploads.open.lock().await;
    if open.len() >= OPEN_UPLOADS_MAX {
        open.clear();
    }
    open.insert(to.of.to_owned(), upload);
}
