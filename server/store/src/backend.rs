//! The port to whatever keeps the server's records: ordered keys, one consistent read, and a commit
//! that happens whole or not at all and only if nothing it relied on has changed. Asynchronous and
//! in batches, so that a database across a network fits as well as a file. No engine is named here,
//! and no meaning of a record.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

mod limits;
#[cfg(test)]
mod tests;

pub use limits::{
    BATCH_BYTES_MAX, BATCH_ITEMS_MAX, KEY_BYTES_MAX, Limit, READ_KEYS_MAX, SCAN_BYTES_MAX,
    SCAN_ITEMS_MAX, VALUE_BYTES_MAX,
};
pub(crate) use limits::{check_page, check_read};

/// What a store promises, whichever engine is behind it. `contract.rs` is this list as a test.
///
/// - **Answered means durable.** [`commit`](Backend::commit) returns after the data would survive
///   power loss (engines that keep nothing on disk excepted; the table says which).
/// - **Nothing undurable is seen.** Reads show only what would survive power loss, so that no
///   reply rests on a write that may yet vanish.
/// - **All or nothing**, seen by readers at once, across everything in the batch.
/// - **Order.** Versions and event numbers grow in commit order. Both may have gaps.
/// - **Told means readable.** Who has been answered, with a receipt or a conflict, finds on reading
///   what the answer speaks of, or something newer.
/// - Dropping the future of a commit does not take the commit back.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// The records under `keys`, in the order asked, all from one moment.
    ///
    /// # Errors
    /// [`BackendError::Refused`] past [`READ_KEYS_MAX`] or for a bad key; else what the engine met.
    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Stored>>, BackendError>;

    /// Records in key order, all from one moment. At most `scan.limit`, and fewer when the page
    /// reaches [`SCAN_BYTES_MAX`]; but never none while there is one, so an empty page is the end.
    ///
    /// # Errors
    /// [`BackendError::Refused`] for a limit of nothing or past [`SCAN_ITEMS_MAX`].
    async fn scan(&self, scan: Scan) -> Result<Vec<(Key, Stored)>, BackendError>;

    /// Events numbered above `after` (0: from the first), in commit order, with the same page
    /// rules as [`scan`](Backend::scan).
    ///
    /// # Errors
    /// As [`scan`](Backend::scan).
    async fn events(&self, after: u64, limit: usize) -> Result<Vec<(u64, Vec<u8>)>, BackendError>;

    /// Carries out `batch` if every expectation holds at that moment.
    ///
    /// # Errors
    /// [`CommitError::Conflict`] names the first expectation that does not hold; nothing was
    /// written. [`CommitError::Failed`]: see [`BackendError`] for which of them leave the outcome
    /// unknown.
    async fn commit(&self, batch: Batch) -> Result<Receipt, CommitError>;
}

/// What a record is found by: 1 to [`KEY_BYTES_MAX`] bytes, ordered as bytes. The length is
/// checked where a key is used, so that keys can be put together without a failure path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Vec<u8>);

impl Key {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, owned.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl From<Vec<u8>> for Key {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<&[u8]> for Key {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl From<String> for Key {
    fn from(text: String) -> Self {
        Self(text.into_bytes())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// The number of a commit, counted over the whole store from 1. A record carries the number of the
/// commit that wrote it, so a record that was deleted and made again never looks unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A record as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The commit that wrote it.
    pub version: Version,
    /// What was put.
    pub bytes: Vec<u8>,
}

/// Which records to walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// Every key returned begins with these bytes. Empty: all keys.
    pub prefix: Vec<u8>,
    /// Start behind this key: the last one of the page before. It need not exist.
    pub after: Option<Key>,
    /// Records on one page: 1 to [`SCAN_ITEMS_MAX`].
    pub limit: usize,
}

/// One change, whole or not at all. A key may be named once among `put` and `delete`, and once
/// among `expect`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// What the decision rested on: these records still have this version, or (`None`) are absent.
    pub expect: Vec<(Key, Option<Version>)>,
    /// Records written, with whatever was there replaced.
    pub put: Vec<(Key, Vec<u8>)>,
    /// Records removed. Removing what is not there is no error.
    pub delete: Vec<Key>,
    /// Events appended, in this order.
    pub append: Vec<Vec<u8>>,
}

/// What a commit became.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The commit's number, and the version of every record it put.
    pub version: Version,
    /// The number of its first event; the others follow without gaps. `None` if it appended none.
    pub first_event: Option<u64>,
}

/// Why a commit did not go through.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitError {
    /// Somebody else was faster. Nothing was written: read, decide and commit again.
    #[error("expected {key} at version {}, found {}", or_none(*expected), or_none(*found))]
    Conflict {
        /// The record that changed.
        key: Key,
        /// What the batch expected.
        expected: Option<Version>,
        /// What is there.
        found: Option<Version>,
    },
    /// The store could not.
    #[error(transparent)]
    Failed(#[from] BackendError),
}

fn or_none(version: Option<Version>) -> String {
    version.map_or_else(|| "none".to_owned(), |version| version.to_string())
}

/// What went wrong in a store. After [`OutcomeUnknown`](Self::OutcomeUnknown) a commit may or may
/// not have happened; after any other nothing was written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BackendError {
    /// The request is outside what any store takes.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The engine could not carry out a step that writes nothing.
    #[error("could not {action}")]
    Engine {
        /// What was tried, as a verb and its object.
        action: &'static str,
        /// Why it failed, in the engine's words.
        #[source]
        source: Cause,
    },
    /// What is stored is not what this program writes.
    #[error("the record at {key} is damaged: expected {expected}, found {found} bytes")]
    Damaged {
        /// The engine's own key.
        key: Key,
        /// What should be there.
        expected: &'static str,
        /// How much is there.
        found: usize,
    },
    /// The write failed half way. Whether it is on disk shows only after a restart.
    #[error("could not {action}, so whether the commit happened is unknown until the restart")]
    OutcomeUnknown {
        /// What was tried, as a verb and its object.
        action: &'static str,
        /// Why it failed, in the engine's words.
        #[source]
        source: Cause,
    },
    /// An earlier write failed. The store takes no more until it is opened again, because what is
    /// on disk is not known.
    #[error("the store stopped after a failed write, and takes no commit until it is opened again")]
    Stopped,
}

/// An engine's error, shared among all whose commits it failed.
pub type Cause = Arc<dyn std::error::Error + Send + Sync>;

/// A request outside the limits, refused before anything is read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Too much of something, or nothing of it.
    #[error("expected {limit}, got {got}")]
    OutsideLimit {
        /// Which limit.
        limit: Limit,
        /// What came, in the limit's unit.
        got: usize,
    },
    /// One batch says two things of one key, and there is no order among them.
    #[error("expected each key once in a batch, got {key} twice")]
    KeyTwice {
        /// The key.
        key: Key,
    },
}
