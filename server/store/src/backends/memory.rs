//! The store in memory: the model that the other engines are compared with, and the store of tests
//! that do not care for disks. Nothing here outlives the process.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::future::ready;

use super::{Opening, Settings};
use crate::backend::{
    Backend, BackendError, Batch, CommitError, Key, Receipt, SCAN_BYTES_MAX, Scan, Stored, Version,
    check_page, check_read,
};

/// The store in memory.
#[derive(Debug, Default)]
pub struct Memory {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    records: BTreeMap<Key, Stored>,
    events: BTreeMap<u64, Vec<u8>>,
    last_version: u64,
    last_event: u64,
}

impl Memory {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// No code under this lock stops half way through a change, so a state left by a panic
    /// elsewhere is whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn open_boxed(_settings: Settings) -> Opening {
    ready(Ok(Arc::new(Memory::new()) as Arc<dyn Backend>)).boxed()
}

#[async_trait]
impl Backend for Memory {
    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Stored>>, BackendError> {
        check_read(keys)?;
        let state = self.state();
        Ok(keys.iter().map(|key| state.records.get(key).cloned()).collect())
    }

    async fn scan(&self, scan: Scan) -> Result<Vec<(Key, Stored)>, BackendError> {
        scan.check()?;
        let prefix = Key::from(scan.prefix);
        let from = match scan.after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix.clone()),
        };
        let state = self.state();
        let found = state
            .records
            .range((from, Bound::Unbounded))
            .take_while(|(key, _)| key.as_bytes().starts_with(prefix.as_bytes()))
            .map(|(key, stored)| (key.clone(), stored.clone()));
        Ok(page(found, scan.limit, |(key, stored)| key.as_bytes().len() + stored.bytes.len()))
    }

    async fn events(&self, after: u64, limit: usize) -> Result<Vec<(u64, Vec<u8>)>, BackendError> {
        check_page(limit)?;
        let state = self.state();
        let found = state
            .events
            .range((Bound::Excluded(after), Bound::Unbounded))
            .map(|(number, event)| (*number, event.clone()));
        Ok(page(found, limit, |(_, event)| event.len()))
    }

    async fn commit(&self, batch: Batch) -> Result<Receipt, CommitError> {
        batch.check().map_err(BackendError::from)?;
        self.state().commit(batch)
    }
}

impl State {
    fn commit(&mut self, batch: Batch) -> Result<Receipt, CommitError> {
        for (key, expected) in batch.expect {
            let found = self.records.get(&key).map(|stored| stored.version);
            if found != expected {
                return Err(CommitError::Conflict { key, expected, found });
            }
        }
        self.last_version = self.last_version.saturating_add(1);
        let version = Version(self.last_version);
        for key in &batch.delete {
            self.records.remove(key);
        }
        for (key, bytes) in batch.put {
            self.records.insert(key, Stored { version, bytes });
        }
        let first_event = (!batch.append.is_empty()).then(|| self.last_event.saturating_add(1));
        for event in batch.append {
            self.last_event = self.last_event.saturating_add(1);
            self.events.insert(self.last_event, event);
        }
        Ok(Receipt { version, first_event })
    }
}

/// The first items, up to `limit` of them or until they weigh [`SCAN_BYTES_MAX`].
fn page<T>(items: impl Iterator<Item = T>, limit: usize, weight: impl Fn(&T) -> usize) -> Vec<T> {
    let mut bytes = 0_usize;
    let mut page = Vec::new();
    for item in items.take(limit) {
        bytes = bytes.saturating_add(weight(&item));
        page.push(item);
        if bytes >= SCAN_BYTES_MAX {
            break;
        }
    }
    page
}
