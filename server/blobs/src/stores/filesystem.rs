//! Blobs as files: `ab/<sha256>`, two letters of the name as a folder, and unfinished uploads under
//! `parts/`. A blob is written and synced as a part, then renamed to its place, then the folder is
//! synced: so what lies under a digest is whole, whatever happens to the power.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use lazaret_protocol::digest::Sha256Digest;
use tokio::task;

use self::part::FileUpload;
use super::{OpenError, Opening, Settings};
use crate::blob::{BlobError, BlobStore, ByteStream, CHUNK_BYTES, Deleted, Upload, UploadId};

mod part;

/// A folder of blobs, ours alone for as long as this lives.
#[derive(Debug)]
pub struct Filesystem {
    folders: Arc<Folders>,
    lock: File,
}

impl Drop for Filesystem {
    fn drop(&mut self) {
        // Closing alone is not enough: a child that is being spawned at this moment has a copy of
        // the descriptor until it execs, and the lock with it. If unlocking fails, closing remains.
        let _closed_anyway = self.lock.unlock();
    }
}

/// Where things lie.
#[derive(Debug)]
struct Folders {
    root: PathBuf,
    parts: PathBuf,
}

impl Folders {
    fn shelf(&self, digest: Sha256Digest) -> PathBuf {
        self.root.join(digest.to_string().get(..2).unwrap_or_default())
    }

    fn blob(&self, digest: Sha256Digest) -> PathBuf {
        self.shelf(digest).join(digest.to_string())
    }

    fn part(&self, id: UploadId) -> PathBuf {
        self.parts.join(id.to_string())
    }

    fn sweep(&self, idle: Duration) -> io::Result<u64> {
        let now = SystemTime::now();
        let mut swept = 0_u64;
        for entry in fs::read_dir(&self.parts)? {
            let entry = entry?;
            // A part written "in the future" is kept: the clock was set back, and it will be idle
            // long enough some day.
            let idle_for = now.duration_since(entry.metadata()?.modified()?).unwrap_or_default();
            let busy = || File::open(entry.path()).is_ok_and(|file| file.try_lock().is_err());
            if idle_for >= idle && !busy() {
                fs::remove_file(entry.path())?;
                swept = swept.saturating_add(1);
            }
        }
        Ok(swept)
    }
}

impl Filesystem {
    /// Opens the store in `settings.dir`, and makes it first where there is none. Blocks.
    ///
    /// # Errors
    /// [`OpenError`] says which of: in use, no access.
    pub fn open(settings: &Settings) -> Result<Self, OpenError> {
        let root = settings.dir.clone();
        let failed = |action| {
            let dir = root.clone();
            move |source| OpenError::Folder { dir, action, source }
        };
        let folders = Folders { parts: root.join("parts"), root: root.clone() };
        make_folder(&folders.root).map_err(failed("make a folder"))?;
        let path = root.join("lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(path);
        let lock = lock.map_err(failed("open the lock file"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse { dir: root }),
            Err(TryLockError::Error(source)) => return Err(failed("lock a file")(source)),
        }
        make_folder(&folders.parts).map_err(failed("make a folder"))?;
        let swept = folders.sweep(settings.idle_uploads_kept);
        swept.map_err(failed("remove idle uploads"))?;
        Ok(Self { folders: Arc::new(folders), lock })
    }

    async fn blocking<T, F>(&self, work: F) -> Result<T, BlobError>
    where
        T: Send + 'static,
        F: FnOnce(&Folders) -> Result<T, BlobError> + Send + 'static,
    {
        let folders = Arc::clone(&self.folders);
        blocking(move || work(&folders)).await
    }
}

pub(super) fn open_boxed(settings: Settings) -> Opening {
    async move {
        let dir = settings.dir.clone();
        let opened = task::spawn_blocking(move || Filesystem::open(&settings)).await;
        let stopped = |error| OpenError::Folder {
            dir,
            action: "finish opening",
            source: io::Error::other(error),
        };
        Ok(Arc::new(opened.map_err(stopped)??) as Arc<dyn BlobStore>)
    }
    .boxed()
}

#[async_trait]
impl BlobStore for Filesystem {
    async fn begin(&self, bytes_max: u64) -> Result<Box<dyn Upload>, BlobError> {
        let folders = Arc::clone(&self.folders);
        let upload = blocking(move || FileUpload::begin(folders, bytes_max)).await?;
        Ok(Box::new(upload))
    }

    async fn resume(&self, id: UploadId, bytes_max: u64) -> Result<Box<dyn Upload>, BlobError> {
        let folders = Arc::clone(&self.folders);
        let upload = blocking(move || FileUpload::resume(folders, id, bytes_max)).await?;
        Ok(Box::new(upload))
    }

    async fn length(&self, digest: Sha256Digest) -> Result<Option<u64>, BlobError> {
        self.blocking(move |folders| match fs::metadata(folders.blob(digest)) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("look for a blob")(error)),
        })
        .await
    }

    async fn read_range(
        &self,
        digest: Sha256Digest,
        offset: u64,
        length: u64,
    ) -> Result<ByteStream, BlobError> {
        let open = move |folders: &Folders| {
            let file = match File::open(folders.blob(digest)) {
                Ok(file) => file,
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    return Err(BlobError::NotFound { digest });
                }
                Err(error) => return Err(failed("open a blob")(error)),
            };
            let blob_length = file.metadata().map_err(failed("open a blob"))?.len();
            match offset.checked_add(length) {
                Some(end) if end <= blob_length => Ok((file, end)),
                _ => Err(BlobError::OutsideBlob { blob_length, offset, length }),
            }
        };
        let (file, end) = self.blocking(open).await?;
        Ok(chunks(Arc::new(file), offset, end))
    }

    async fn delete(&self, digest: Sha256Digest) -> Result<Deleted, BlobError> {
        self.blocking(move |folders| match fs::remove_file(folders.blob(digest)) {
            Ok(()) => {
                sync_folder(&folders.shelf(digest)).map_err(failed("sync a folder"))?;
                Ok(Deleted::Removed)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Deleted::Absent),
            Err(error) => Err(failed("remove a blob")(error)),
        })
        .await
    }

    async fn sweep(&self, idle: Duration) -> Result<u64, BlobError> {
        self.blocking(move |folders| folders.sweep(idle).map_err(failed("remove idle uploads")))
            .await
    }
}

/// One hop to a blocking thread for each chunk. A thread per download would be faster by little,
/// and some hundred devices on slow links would hold every thread there is.
fn chunks(file: Arc<File>, offset: u64, end: u64) -> ByteStream {
    stream::try_unfold(offset, move |offset| {
        let file = Arc::clone(&file);
        async move {
            let left = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX);
            let length = left.min(CHUNK_BYTES);
            if length == 0 {
                return Ok(None);
            }
            let read = move || {
                let mut chunk = vec![0; length];
                file.read_exact_at(&mut chunk, offset).map_err(failed("read a blob"))?;
                Ok(Bytes::from(chunk))
            };
            let chunk = blocking(read).await?;
            Ok(Some((chunk, offset.saturating_add(length as u64))))
        }
    })
    .boxed()
}

async fn blocking<T, F>(work: F) -> Result<T, BlobError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, BlobError> + Send + 'static,
{
    let done = task::spawn_blocking(work).await;
    done.map_err(|error| failed("finish a step")(io::Error::other(error)))?
}

fn failed(action: &'static str) -> impl FnOnce(io::Error) -> BlobError {
    move |source| match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => BlobError::Full { action },
        _ => BlobError::Io { action, source },
    }
}

/// Makes `dir` if it is not there, in a way that lasts. Its parent is synced also if it is there:
/// whoever made it may not have come that far.
fn make_folder(dir: &Path) -> io::Result<()> {
    match fs::create_dir(dir) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    sync_folder(parent.unwrap_or(Path::new(".")))
}

fn sync_folder(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
