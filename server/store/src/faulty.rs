//! A store that fails on purpose: for the tests of whatever stands on a store. Never for service.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;

use crate::backend::{Backend, BackendError, Batch, CommitError, Key, Receipt, Scan, Stored};

/// Passes everything to another backend, but fails the n-th commit. Each commit handed in counts,
/// conflicts too.
pub struct Faulty {
    inner: Arc<dyn Backend>,
    plan: Plan,
    commits: AtomicU64,
}

/// Which commit fails, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// The number of the commit that fails, from 1.
    pub nth: u64,
    /// Whether it has happened all the same.
    pub fault: Fault,
    /// What becomes of those behind it.
    pub then: Then,
}

/// Whether a failed commit has happened. The caller gets the same error for both, as from a real
/// disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is lost.
    BeforeApplied,
    /// It is in the store.
    AfterApplied,
}

/// What becomes of the commits behind the failed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// They go through, as after a restart.
    Recovers,
    /// They are refused with [`BackendError::Stopped`], as a real store does until a restart.
    Stops,
}

/// The cause that a commit failed on purpose gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("commit {nth} fails as planned")]
pub struct Planned {
    /// Its number.
    pub nth: u64,
}

impl Faulty {
    /// `inner`, with one commit that fails.
    #[must_use]
    pub fn new(inner: Arc<dyn Backend>, plan: Plan) -> Self {
        Self { inner, plan, commits: AtomicU64::new(0) }
    }

    /// How many commits were handed in so far. A test that runs its case once on a plan beyond
    /// reach learns here how many there are to fail.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::SeqCst)
    }

    async fn fail(&self, batch: Batch) -> Result<Receipt, CommitError> {
        if self.plan.fault == Fault::AfterApplied {
            self.inner.commit(batch).await?;
        }
        let source = Arc::new(Planned { nth: self.plan.nth });
        Err(BackendError::OutcomeUnknown { action: "sync a group", source }.into())
    }
}

#[async_trait]
impl Backend for Faulty {
    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Stored>>, BackendError> {
        self.inner.read(keys).await
    }

    async fn scan(&self, scan: Scan) -> Result<Vec<(Key, Stored)>, BackendError> {
        self.inner.scan(scan).await
    }

    async fn events(&self, after: u64, limit: usize) -> Result<Vec<(u64, Vec<u8>)>, BackendError> {
        self.inner.events(after, limit).await
    }

    async fn commit(&self, batch: Batch) -> Result<Receipt, CommitError> {
        let number = self.commits.fetch_add(1, Ordering::SeqCst).saturating_add(1);
        if number == self.plan.nth {
            return self.fail(batch).await;
        }
        if number > self.plan.nth && self.plan.then == Then::Stops {
            return Err(BackendError::Stopped.into());
        }
        self.inner.commit(batch).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backends::memory::Memory;

    async fn kept(fault: Fault, then: Then) -> (Vec<bool>, Vec<bool>) {
        let store = Faulty::new(Arc::new(Memory::new()), Plan { nth: 2, fault, then });
        let keys = ["1", "2", "3"].map(Key::from);
        let mut answered = Vec::new();
        for key in &keys {
            let put = vec![(key.clone(), vec![])];
            answered.push(store.commit(Batch { put, ..Batch::default() }).await.is_ok());
        }
        assert_eq!(store.commits(), 3);
        let read = store.read(&keys).await.unwrap();
        (answered, read.iter().map(Option::is_some).collect())
    }

    #[tokio::test]
    async fn only_the_planned_commit_fails_and_is_kept_as_planned() {
        let lost = (vec![true, false, true], vec![true, false, true]);
        assert_eq!(kept(Fault::BeforeApplied, Then::Recovers).await, lost);
        let kept_anyway = (vec![true, false, true], vec![true, true, true]);
        assert_eq!(kept(Fault::AfterApplied, Then::Recovers).await, kept_anyway);
        let stopped = (vec![true, false, false], vec![true, true, false]);
        assert_eq!(kept(Fault::AfterApplied, Then::Stops).await, stopped);
    }
}
