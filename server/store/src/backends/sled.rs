//! The store on sled 0.34.7: one tree, one committer thread, and a sync of our own before every
//! answer. The only room that knows sled, with the files below `sled/`.

use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio::task;

use self::committer::{Committer, QUEUE_COMMITS_MAX, Request};
use self::disk::{Folder, Sync};
use self::layout::{COUNTERS, Counters};
use self::view::{Moment, View};
use super::{OpenError, Opening, Settings};
use crate::backend::{
    Backend, BackendError, Batch, CommitError, Key, Receipt, Scan, Stored, check_page, check_read,
};

mod committer;
mod disk;
mod layout;
#[cfg(test)]
mod tests;
mod view;

/// The store on sled. Dropping it waits until the commits handed in are on disk, and then frees the
/// folder.
#[derive(Debug)]
pub struct Sled {
    // Dropped in this order: the queue ends, the committer finishes and is waited for, sled closes
    // its files, and the folder is free for the next.
    queue: Option<mpsc::Sender<Request>>,
    committer: Option<JoinHandle<()>>,
    view: Arc<View>,
    _db: sled::Db,
    _folder: Folder,
}

impl Sled {
    /// Opens the store in `settings.dir`, and makes it first where there is none. Blocks: after a
    /// crash sled reads its whole log.
    ///
    /// # Errors
    /// [`OpenError`] says which of: in use, no access, newer format, another thing, damaged.
    pub fn open(settings: &Settings) -> Result<Self, OpenError> {
        Self::open_with(settings, Sync::Real)
    }

    /// A store that acknowledges what only the kernel has, as sled alone does. For the test that
    /// shows that the power-loss test can fail, and for nothing else.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    #[doc(hidden)]
    pub fn danger_open_without_fdatasync(settings: &Settings) -> Result<Self, OpenError> {
        Self::open_with(settings, Sync::DangerSkipped)
    }

    fn open_with(settings: &Settings, sync: Sync) -> Result<Self, OpenError> {
        let folder = Folder::take(&settings.dir)?;
        let failed = |source| engine_does_not_open(&settings.dir, source);
        let db = sled::Config::new()
            .path(&settings.dir)
            .cache_capacity(settings.cache_bytes)
            // The committer flushes every group. A second flusher would only write in between.
            .flush_every_ms(None)
            .open()
            .map_err(|source| failed(Arc::new(source)))?;
        let durability = folder.durability(sync)?;
        let view = Arc::new(View::new(sled::Tree::clone(&db)));
        let counters = view.now().counters().map_err(|source| failed(Arc::new(source)))?;
        let (queue, requests) = mpsc::channel(QUEUE_COMMITS_MAX);
        let committer = Committer { view: Arc::clone(&view), durability, counters };
        let committer = thread::Builder::new()
            .name("store-committer".to_owned())
            .spawn(move || committer.run(requests))
            .map_err(|source| failed(Arc::new(source)))?;
        Ok(Self { queue: Some(queue), committer: Some(committer), view, _db: db, _folder: folder })
    }

    /// Runs `look` where waiting for the disk stalls nobody.
    async fn look<T, F>(&self, look: F) -> Result<T, BackendError>
    where
        T: Send + 'static,
        F: FnOnce(Moment<'_>) -> Result<T, BackendError> + Send + 'static,
    {
        let view = Arc::clone(&self.view);
        let looked = task::spawn_blocking(move || look(view.now())).await;
        looked.map_err(engine_error("finish a read"))?
    }
}

pub(super) fn open_boxed(settings: Settings) -> Opening {
    async move {
        let dir = settings.dir.clone();
        let opened = task::spawn_blocking(move || Sled::open(&settings)).await;
        let opened = opened.map_err(|source| engine_does_not_open(&dir, Arc::new(source)))?;
        Ok(Arc::new(opened?) as Arc<dyn Backend>)
    }
    .boxed()
}

fn engine_does_not_open(dir: &Path, source: crate::backend::Cause) -> OpenError {
    OpenError::Engine { dir: dir.to_owned(), engine: "sled", source }
}

fn engine_error<E>(action: &'static str) -> impl FnMut(E) -> BackendError
where
    E: std::error::Error + Send + std::marker::Sync + 'static,
{
    move |source| BackendError::Engine { action, source: Arc::new(source) }
}

impl Drop for Sled {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(committer) = self.committer.take() {
            // A committer that panicked has left its callers an error already.
            let _panicked = committer.join();
        }
    }
}

#[async_trait]
impl Backend for Sled {
    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Stored>>, BackendError> {
        check_read(keys)?;
        let keys: Vec<_> = keys.iter().map(|key| layout::record_key(key.as_bytes())).collect();
        self.look(move |now| {
            let record = |key: &Vec<u8>| match now.value(key)? {
                Some(entry) => now.stored(key, &entry).map(Some),
                None => Ok(None),
            };
            keys.iter().map(record).collect()
        })
        .await
    }

    async fn scan(&self, scan: Scan) -> Result<Vec<(Key, Stored)>, BackendError> {
        scan.check()?;
        let prefix = layout::record_key(&scan.prefix);
        let end = layout::behind(&prefix);
        // The first key behind `after` is `after` with a zero byte.
        let behind = |after: &Key| [&layout::record_key(after.as_bytes()), [0].as_slice()].concat();
        let start = scan.after.as_ref().map(behind).map_or(prefix.clone(), |key| key.max(prefix));
        if start >= end {
            return Ok(Vec::new());
        }
        let page = self.look(move |now| now.page(start..end, scan.limit)).await?;
        Ok(page.into_iter().map(|(key, stored)| (layout::record_name(&key), stored)).collect())
    }

    async fn events(&self, after: u64, limit: usize) -> Result<Vec<(u64, Vec<u8>)>, BackendError> {
        check_page(limit)?;
        let Some(first) = after.checked_add(1) else { return Ok(Vec::new()) };
        let range = layout::event_key(first)..layout::behind(b"e");
        let page = self.look(move |now| now.page(range, limit)).await?;
        let event = |(key, stored): (Vec<u8>, Stored)| {
            layout::event_number(&key).map(|number| (number, stored.bytes))
        };
        page.into_iter().map(event).collect()
    }

    async fn commit(&self, batch: Batch) -> Result<Receipt, CommitError> {
        batch.check().map_err(BackendError::from)?;
        let (answer, answered) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or(BackendError::Stopped)?;
        queue.send(Request { batch, answer }).await.map_err(|_| BackendError::Stopped)?;
        match answered.await {
            Ok(outcome) => outcome,
            // The committer died with this commit in its hands.
            Err(source) => {
                let source = Arc::new(source);
                Err(BackendError::OutcomeUnknown { action: "finish a group", source }.into())
            }
        }
    }
}

impl Moment<'_> {
    fn counters(&self) -> Result<Counters, BackendError> {
        match self.value(COUNTERS)? {
            Some(counters) => Counters::decode(&counters),
            None => Ok(Counters::default()),
        }
    }
}
