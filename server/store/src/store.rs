//! The store in the domain's language: look up records, commit decisions. The one place where a
//! [`Committed`] is made.

use std::sync::Arc;

use lazaret_server_domain::event::Event;
use lazaret_server_domain::record::{self, Decision, Found, Record, RecordError};

use crate::backend::{
    Backend, BackendError, Batch, CommitError, Key, READ_KEYS_MAX, SCAN_ITEMS_MAX, Scan, Stored,
    Version,
};

/// Records and the event log.
#[derive(Clone)]
pub struct Store {
    backend: Arc<dyn Backend>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// What the decision rested on has changed: load, decide and commit again.
    #[error("record {key} changed while it was being decided on")]
    Changed {
        /// The record.
        key: String,
    },
    /// The engine failed.
    #[error("store cannot {action}")]
    Backend {
        /// What was to be done.
        action: &'static str,
        /// What the engine said.
        #[source]
        source: BackendError,
    },
    /// A record cannot be read back, or not be written.
    #[error("store cannot read or write a record")]
    Record {
        /// Which and why.
        #[source]
        source: RecordError,
    },
}

/// A reply whose changes are on disk. Nothing else may be sent as a success (invariant 4), and only
/// [`Store::commit`] makes one.
#[derive(Debug)]
#[must_use]
pub struct Committed<R> {
    reply: R,
}

impl<R> Committed<R> {
    /// The reply, to be sent.
    pub fn into_reply(self) -> R {
        self.reply
    }

    /// What was committed.
    pub const fn reply(&self) -> &R {
        &self.reply
    }

    /// Another form of the same reply.
    pub fn map<S>(self, form: impl FnOnce(R) -> S) -> Committed<S> {
        Committed { reply: form(self.reply) }
    }
}

impl Store {
    /// A store on an engine.
    #[must_use]
    pub const fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend }
    }

    /// The record of kind `T` called `name`.
    ///
    /// # Errors
    /// The engine fails, or the record cannot be read.
    pub async fn find<T: Record>(&self, name: &str) -> Result<Found<T>, StoreError> {
        let key = record::key_of::<T>(name);
        let found = self.backend.read(&[Key::from(key.as_str())]).await.map_err(reading)?;
        as_found(key, found.into_iter().next().flatten())
    }

    /// The records of kind `T` with these names, in this order.
    ///
    /// # Errors
    /// As [`Store::find`].
    pub async fn find_all<T: Record>(&self, names: &[String]) -> Result<Vec<Found<T>>, StoreError> {
        let mut all = Vec::with_capacity(names.len());
        for page in names.chunks(READ_KEYS_MAX) {
            let keys: Vec<String> = page.iter().map(|name| record::key_of::<T>(name)).collect();
            let asked: Vec<Key> = keys.iter().map(|key| Key::from(key.as_str())).collect();
            let found = self.backend.read(&asked).await.map_err(reading)?;
            for (key, stored) in keys.into_iter().zip(found) {
                all.push(as_found(key, stored)?);
            }
        }
        Ok(all)
    }

    /// Records of kind `T` whose names begin with `prefix`, by name, after the name `after`, at
    /// most `limit` of them. Fewer than `limit` does not mean the end; none does.
    ///
    /// # Errors
    /// As [`Store::find`].
    pub async fn list<T: Record>(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<T>, StoreError> {
        let scan = Scan {
            prefix: record::key_of::<T>(prefix).into_bytes(),
            after: after.map(|name| Key::from(record::key_of::<T>(name))),
            limit: limit.clamp(1, SCAN_ITEMS_MAX),
        };
        let page = self.backend.scan(scan).await.map_err(reading)?;
        page.into_iter().map(|(key, stored)| decode(&key.to_string(), &stored)).collect()
    }

    /// Every record of kind `T` whose name begins with `prefix`. For reconcilers; requests take
    /// pages.
    ///
    /// # Errors
    /// As [`Store::find`].
    pub async fn list_all<T: Record>(&self, prefix: &str) -> Result<Vec<T>, StoreError> {
        let mut all: Vec<T> = Vec::new();
        loop {
            let after = all.last().map(Record::name);
            let page = self.list::<T>(prefix, after.as_deref(), SCAN_ITEMS_MAX).await?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
        }
    }

    /// Events numbered above `after`, at most `limit`.
    ///
    /// # Errors
    /// The engine fails, or an event cannot be read.
    pub async fn events(&self, after: u64, limit: usize) -> Result<Vec<(u64, Event)>, StoreError> {
        let limit = limit.clamp(1, SCAN_ITEMS_MAX);
        let page = self.backend.events(after, limit).await.map_err(reading)?;
        let decoded = page.into_iter().map(|(number, bytes)| {
            let event = serde_json::from_slice(&bytes).map_err(|err| StoreError::Record {
                source: RecordError::Malformed {
                    key: format!("event {number}"),
                    why: err.to_string(),
                },
            })?;
            Ok((number, event))
        });
        decoded.collect()
    }

    /// Makes a decision true, and gives its reply free.
    ///
    /// # Errors
    /// [`StoreError::Changed`] where something it rests on changed; [`StoreError::Record`] where
    /// something in it cannot be written; else as the engine says.
    pub async fn commit<R>(&self, decision: Decision<R>) -> Result<Committed<R>, StoreError> {
        let changes_nothing = decision.changes_nothing();
        let parts = decision.into_parts().map_err(|source| StoreError::Record { source })?;
        if changes_nothing {
            return Ok(Committed { reply: parts.reply });
        }
        let expect =
            parts.expect.into_iter().map(|(key, version)| (Key::from(key), version.map(Version)));
        let append = parts.events.iter().map(encode_event).collect::<Result<_, _>>()?;
        let batch = Batch {
            expect: expect.collect(),
            put: parts.put.into_iter().map(|(key, bytes)| (Key::from(key), bytes)).collect(),
            delete: parts.removed.into_iter().map(Key::from).collect(),
            append,
        };
        match self.backend.commit(batch).await {
            Ok(_) => Ok(Committed { reply: parts.reply }),
            Err(CommitError::Conflict { key, .. }) => {
                Err(StoreError::Changed { key: key.to_string() })
            }
            Err(CommitError::Failed(source)) => {
                Err(StoreError::Backend { action: "commit", source })
            }
        }
    }
}

const fn reading(source: BackendError) -> StoreError {
    StoreError::Backend { action: "read", source }
}

fn encode_event(event: &Event) -> Result<Vec<u8>, StoreError> {
    let malformed = |err: serde_json::Error| StoreError::Record {
        source: RecordError::Malformed { key: "event".into(), why: err.to_string() },
    };
    serde_json::to_vec(event).map_err(malformed)
}

fn decode<T: Record>(key: &str, stored: &Stored) -> Result<T, StoreError> {
    record::decode(key, &stored.bytes).map_err(|source| StoreError::Record { source })
}

fn as_found<T: Record>(key: String, stored: Option<Stored>) -> Result<Found<T>, StoreError> {
    let version = stored.as_ref().map(|stored| stored.version.0);
    let value = stored.map(|stored| decode(&key, &stored)).transpose()?;
    Ok(Found { key, version, value })
}
