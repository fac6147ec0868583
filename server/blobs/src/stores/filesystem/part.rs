//! An upload as a file under `parts/`, locked while somebody writes to it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Write as _};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use lazaret_protocol::digest::Sha256Digest;
use sha2::{Digest as _, Sha256};

use super::{Folders, blocking, failed, make_folder, sync_folder};
use crate::blob::{BlobError, CHUNK_BYTES, Finished, Upload, UploadId};

/// An upload that somebody writes to.
pub(super) struct FileUpload {
    id: UploadId,
    /// Gone while a blocking thread has it, and for good if that write failed or was given up.
    part: Option<Part>,
    offset: u64,
    bytes_max: u64,
    folders: Arc<Folders>,
}

struct Part {
    file: File,
    hash: Sha256,
    came: Came,
}

impl Drop for Part {
    fn drop(&mut self) {
        // As for the store's own lock: closing alone leaves it to a child that is being spawned.
        let _closed_anyway = self.file.unlock();
    }
}

/// Whether this process has seen all that is in the part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Came {
    InOneGo,
    /// A power loss may have left anything in its place.
    Resumed,
}

impl FileUpload {
    pub(super) fn begin(folders: Arc<Folders>, bytes_max: u64) -> Result<Self, BlobError> {
        let id = UploadId::random().map_err(|error| failed("name an upload")(error.into()))?;
        let file = OpenOptions::new().create_new(true).append(true).open(folders.part(id));
        let file = file.map_err(failed("begin an upload"))?;
        lock(&file, id)?;
        let part = Part { file, hash: Sha256::new(), came: Came::InOneGo };
        Ok(Self { id, part: Some(part), offset: 0, bytes_max, folders })
    }

    pub(super) fn resume(
        folders: Arc<Folders>,
        id: UploadId,
        bytes_max: u64,
    ) -> Result<Self, BlobError> {
        let mut file = match OpenOptions::new().read(true).append(true).open(folders.part(id)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(BlobError::NoUpload { id });
            }
            Err(error) => return Err(failed("resume an upload")(error)),
        };
        lock(&file, id)?;
        // It may have been finished by somebody else between opening and locking.
        if !fs::exists(folders.part(id)).map_err(failed("resume an upload"))? {
            return Err(BlobError::NoUpload { id });
        }
        let got = file.metadata().map_err(failed("resume an upload"))?.len();
        if got > bytes_max {
            return Err(BlobError::TooLarge { bytes_max, got });
        }
        let (hash, offset) = hash_all(&mut file)?;
        let part = Part { file, hash, came: Came::Resumed };
        Ok(Self { id, part: Some(part), offset, bytes_max, folders })
    }

    fn take_part(&mut self) -> Result<Part, BlobError> {
        self.part.take().ok_or(BlobError::UploadBroken { id: self.id })
    }
}

#[async_trait]
impl Upload for FileUpload {
    fn id(&self) -> UploadId {
        self.id
    }

    fn offset(&self) -> u64 {
        self.offset
    }

    async fn write(&mut self, chunk: Bytes) -> Result<(), BlobError> {
        let offset = self.offset.saturating_add(chunk.len() as u64);
        if offset > self.bytes_max {
            return Err(BlobError::TooLarge { bytes_max: self.bytes_max, got: offset });
        }
        let mut part = self.take_part()?;
        let write = move || {
            part.file.write_all(&chunk).map_err(failed("write an upload"))?;
            part.hash.update(&chunk);
            Ok(part)
        };
        self.part = Some(blocking(write).await?);
        self.offset = offset;
        Ok(())
    }

    async fn finish(
        mut self: Box<Self>,
        expected: Option<Sha256Digest>,
    ) -> Result<Finished, BlobError> {
        let mut part = self.take_part()?;
        let Self { id, offset: length, folders, .. } = *self;
        blocking(move || {
            if expected.is_none() && part.came == Came::Resumed {
                forget(&folders, id)?;
                return Err(BlobError::DigestNeeded { id });
            }
            let digest = Sha256Digest::from_bytes(part.hash.finalize_reset().into());
            if let Some(expected) = expected.filter(|expected| *expected != digest) {
                forget(&folders, id)?;
                return Err(BlobError::Mismatch { expected, got: digest });
            }
            // Content, then the folder it goes to, then its name, then the name's durability: at
            // every point between, the digest names the whole blob or nothing.
            part.file.sync_data().map_err(failed("sync a blob"))?;
            let shelf = folders.shelf(digest);
            make_folder(&shelf).map_err(failed("make a folder"))?;
            let renamed = fs::rename(folders.part(id), folders.blob(digest));
            renamed.map_err(failed("put a blob in its place"))?;
            sync_folder(&shelf).map_err(failed("sync a folder"))?;
            Ok(Finished { digest, length })
        })
        .await
    }

    async fn abandon(self: Box<Self>) -> Result<(), BlobError> {
        blocking(move || forget(&self.folders, self.id)).await
    }
}

fn forget(folders: &Folders, id: UploadId) -> Result<(), BlobError> {
    fs::remove_file(folders.part(id)).map_err(failed("remove an upload"))
}

/// Freed with the file, also when this process dies.
fn lock(file: &File, id: UploadId) -> Result<(), BlobError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(BlobError::UploadBusy { id }),
        Err(TryLockError::Error(error)) => Err(failed("lock an upload")(error)),
    }
}

fn hash_all(file: &mut File) -> Result<(Sha256, u64), BlobError> {
    let mut hash = Sha256::new();
    let mut length = 0_u64;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let count = match file.read(&mut chunk) {
            Ok(0) => return Ok((hash, length)),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed("read an upload")(error)),
        };
        hash.update(chunk.get(..count).unwrap_or_default());
        length = length.saturating_add(count as u64);
    }
}
