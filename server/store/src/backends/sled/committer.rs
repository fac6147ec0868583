//! The one thread that writes. It takes the commits that wait, as a group; checks each against the
//! tree and the members before it; writes all of them as one batch of the engine; syncs; and only
//! then lets readers see them and answers. So many commits share one sync, and a conflict rejects
//! its member, not the group.

use std::sync::Arc;

use sled::IVec;
use tokio::sync::{mpsc, oneshot};

use super::disk::Durability;
use super::engine_error;
use super::layout::{self, COUNTERS, Counters, Entry, Item};
use super::view::{Values, View};
use crate::backend::{BackendError, Batch, CommitError, Key, Receipt, Version};

/// Most commits in one group. From 64 to 512 the throughput rises a little (facts/server.md 2), so
/// this is a bound, not a target.
const GROUP_COMMITS_MAX: usize = 1024;

/// Bytes after which a group is closed. The engine frees a segment of its log (512 KiB) two
/// segments after its last page has moved away, and may write over it at once: the sync has to come
/// before.
const GROUP_BYTES_MAX: usize = 256 * 1024;

/// Commits that may wait for the group being written. Past it callers wait to hand theirs in.
pub(super) const QUEUE_COMMITS_MAX: usize = 4096;

/// A commit that somebody waits for.
pub(super) struct Request {
    pub(super) batch: Batch,
    pub(super) answer: oneshot::Sender<Result<Receipt, CommitError>>,
}

/// What the thread owns.
pub(super) struct Committer {
    pub(super) view: Arc<View>,
    pub(super) durability: Durability,
    pub(super) counters: Counters,
}

impl Committer {
    /// Works until every sender is gone and the queue is empty. After a failed write it refuses
    /// whatever comes: what is on disk is unknown, and nothing may be built on it. Readers go on
    /// seeing what was durable before.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Request>) {
        while let Some(group) = next_group(&mut queue) {
            if let Err(error) = self.write_group(group) {
                tracing::error!(error = &error as &dyn std::error::Error, "the store has stopped");
                break;
            }
        }
        while let Some(request) = queue.blocking_recv() {
            reply(request.answer, Err(BackendError::Stopped.into()));
        }
    }

    fn write_group(&mut self, requests: Vec<Request>) -> Result<(), BackendError> {
        let mut group = Group::new(&self.view, self.counters);
        let mut outcomes = Vec::new();
        let mut accepted = 0_usize;
        for Request { batch, answer } in requests {
            let outcome = group.add(batch);
            accepted = accepted.saturating_add(usize::from(outcome.is_ok()));
            outcomes.push((answer, outcome));
        }
        let Group { counters, before, after, .. } = group;
        if accepted > 0
            && let Err(error) = self.write(before, &after)
        {
            for (answer, outcome) in outcomes {
                // Who was refused wrote nothing; but what refused it may never have happened.
                let error = if outcome.is_ok() { error.clone() } else { BackendError::Stopped };
                reply(answer, Err(error.into()));
            }
            return Err(error);
        }
        self.counters = counters;
        self.view.release();
        // Conflicts too are answered only here: who is told of a change has to find it on reading
        // again, or would meet the same conflict until the group is on disk.
        for (answer, outcome) in outcomes {
            reply(answer, outcome);
        }
        Ok(())
    }

    fn write(&mut self, mut before: Values, after: &Values) -> Result<(), BackendError> {
        let mut batch = sled::Batch::default();
        for (key, value) in after {
            match value {
                Some(value) => batch.insert(key.as_slice(), value),
                None => batch.remove(key.as_slice()),
            }
        }
        before.retain(|key, _| after.contains_key(key));
        self.view.hold(before);
        let tree = self.view.tree();
        tree.apply_batch(batch).map_err(unknown("write a group"))?;
        tree.flush().map_err(unknown("flush a group"))?;
        self.durability.sync().map_err(unknown("sync a group"))
    }
}

/// Waits for a commit, and takes those that wait behind it.
fn next_group(queue: &mut mpsc::Receiver<Request>) -> Option<Vec<Request>> {
    let first = queue.blocking_recv()?;
    let mut bytes = first.batch.bytes();
    let mut group = vec![first];
    while group.len() < GROUP_COMMITS_MAX && bytes < GROUP_BYTES_MAX {
        let Ok(request) = queue.try_recv() else { break };
        bytes = bytes.saturating_add(request.batch.bytes());
        group.push(request);
    }
    Some(group)
}

/// Whoever waited may have gone; the commit stands.
fn reply(
    answer: oneshot::Sender<Result<Receipt, CommitError>>,
    with: Result<Receipt, CommitError>,
) {
    let _gone = answer.send(with);
}

fn unknown<E>(action: &'static str) -> impl FnOnce(E) -> BackendError
where
    E: std::error::Error + Send + Sync + 'static,
{
    move |source| BackendError::OutcomeUnknown { action, source: Arc::new(source) }
}

/// The changes of a group on their way together: nothing is written yet.
struct Group<'a> {
    view: &'a View,
    counters: Counters,
    before: Values,
    after: Values,
}

impl<'a> Group<'a> {
    fn new(view: &'a View, counters: Counters) -> Self {
        Self { view, counters, before: Values::new(), after: Values::new() }
    }

    /// Takes `batch` in, or leaves the group as it was.
    fn add(&mut self, batch: Batch) -> Result<Receipt, CommitError> {
        for (key, expected) in batch.expect {
            let found = self.version(&key)?;
            if found != expected {
                return Err(CommitError::Conflict { key, expected, found });
            }
        }
        let gone = batch.put.iter().map(|(key, _)| key).chain(&batch.delete);
        let mut removed = Vec::new();
        for key in gone {
            removed.extend(self.keys_of(key)?);
        }
        // Nothing fails from here on, so the group never holds half of a batch.
        self.counters.commit = self.counters.commit.saturating_add(1);
        let version = Version(self.counters.commit);
        self.after.extend(removed.into_iter().map(|key| (key, None)));
        let mut numbers = 0_u32..;
        let mut item = || Item { version, number: numbers.next().unwrap_or(u32::MAX) };
        for (key, bytes) in &batch.put {
            self.put(layout::record_key(key.as_bytes()), item(), bytes);
        }
        let first_event = (!batch.append.is_empty()).then(|| self.counters.event.saturating_add(1));
        for event in &batch.append {
            self.counters.event = self.counters.event.saturating_add(1);
            self.put(layout::event_key(self.counters.event), item(), event);
        }
        self.put_new(COUNTERS.to_vec(), &self.counters.encode());
        Ok(Receipt { version, first_event })
    }

    fn put(&mut self, key: Vec<u8>, item: Item, bytes: &[u8]) {
        let (entry, pieces) = layout::encode(item, bytes);
        for (key, piece) in pieces {
            self.put_new(key, &piece);
        }
        self.put_new(key, &entry);
    }

    /// A key that was not looked up is of an event or a piece, and those are never written twice;
    /// the counters are no reader's business. So there is no value to hold for readers.
    fn put_new(&mut self, key: Vec<u8>, value: &[u8]) {
        self.before.entry(key.clone()).or_insert(None);
        self.after.insert(key, Some(IVec::from(value)));
    }

    fn version(&mut self, key: &Key) -> Result<Option<Version>, BackendError> {
        let key = layout::record_key(key.as_bytes());
        let Some(entry) = self.value(&key)? else { return Ok(None) };
        Ok(Some(Entry::decode(&key, &entry)?.version()))
    }

    /// Every key of the tree that goes when the record at `key` goes.
    fn keys_of(&mut self, key: &Key) -> Result<Vec<Vec<u8>>, BackendError> {
        let key = layout::record_key(key.as_bytes());
        let Some(entry) = self.value(&key)? else { return Ok(Vec::new()) };
        let mut keys = Entry::decode(&key, &entry)?.pieces();
        for piece in &keys {
            self.value(piece)?;
        }
        keys.push(key);
        Ok(keys)
    }

    /// The value under `key` with the group's changes. What the tree has is kept, to be shown to
    /// readers while it is being replaced.
    fn value(&mut self, key: &[u8]) -> Result<Option<IVec>, BackendError> {
        if let Some(value) = self.after.get(key) {
            return Ok(value.clone());
        }
        if let Some(value) = self.before.get(key) {
            return Ok(value.clone());
        }
        let value = self.view.tree().get(key).map_err(engine_error("read a record"))?;
        self.before.insert(key.to_vec(), value.clone());
        Ok(value)
    }
}
