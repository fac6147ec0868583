//! The store as use cases have it: what they commit for an operator goes in together with the leaf
//! that says so.

use std::ops::Deref;

use lazaret_server_domain::record::Decision;
use lazaret_server_store::{Committed, Store, StoreError};

use super::audit;

/// The store. Its [`Records::commit`] stands before that of [`Store`], so that no use case commits
/// past the audit log by not thinking of it.
#[derive(Debug, Clone)]
pub(crate) struct Records {
    store: Store,
}

impl Records {
    /// Stands before a store.
    pub(crate) const fn new(store: Store) -> Self {
        Self { store }
    }

    /// Commits, with the leaf of the act on whose behalf it is done, where there is one and it is
    /// not on disk already.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub(crate) async fn commit<R>(
        &self,
        decision: Decision<R>,
    ) -> Result<Committed<R>, StoreError> {
        let caller = audit::caller().filter(|caller| caller.is_due(&decision));
        let Some(caller) = caller else { return self.store.commit(decision).await };
        let committed = self.store.commit(decision.put(caller.leaf())).await?;
        caller.note_entered();
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
