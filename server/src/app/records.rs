//! The store as use cases have it: what they commit for an operator goes in together with the leaf
//! that says so.

use std::ops::Deref;
use std::sync::Arc;

use lazaret_server_domain::record::Decision;
use lazaret_server_store::{Committed, Store, StoreError};

use super::audit;
use super::sweep::Fleet;

/// The store. Its [`Records::commit`] stands before that of [`Store`], so that no use case commits
/// past the audit log by not thinking of it.
#[derive(Debug, Clone)]
pub(crate) struct Records {
    store: Store,
    fleet: Arc<Fleet>,
}

impl Records {
    /// Stands before a store.
    pub(crate) fn new(store: Store) -> Self {
        Self { store, fleet: Arc::default() }
    }

    /// The table of the fleet, which knows of every commit.
    pub(crate) const fn fleet(&self) -> &Arc<Fleet> {
        &self.fleet
    }

    /// Commits, with the leaf of the act on whose behalf it is done, where there is one and it is
    /// not on disk already.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub(crate) async fn commit<R>(
        &self,
        mut decision: Decision<R>,
    ) -> Result<Committed<R>, StoreError> {
        let seen = decision.take_seen();
        let caller = audit::caller().filter(|caller| caller.is_due(&decision));
        let committed = match &caller {
            Some(caller) => self.store.commit(decision.put(caller.leaf())).await?,
            None => self.store.commit(decision).await?,
        };
        if let Some(caller) = caller {
            caller.note_entered();
        }
        self.fleet.take(seen);
        Ok(committed)
    }

    /// The store itself, for what the server does to the log.
    pub(crate) const fn unattributed(&self) -> &Store {
        &self.store
    }
}

impl Deref for Records {
    type Target = Store;
    fn deref(&self) -> &Store {
        &self.store
    }
}
