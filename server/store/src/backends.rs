//! The engines a store can run on, by name. A new one is a file below `backends/` and a line in
//! [`BACKENDS`]; the contract test takes it from there.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::backend::{Backend, Cause};

pub mod memory;
pub mod sled;

/// Every engine, the default first.
pub const BACKENDS: &[BackendKind] = &[
    BackendKind { name: "sled", keeps: Keeps::OnDisk, open: sled::open_boxed },
    BackendKind { name: "memory", keeps: Keeps::InMemory, open: memory::open_boxed },
];

/// One engine: its name in the configuration, and how it is opened.
#[derive(Debug)]
pub struct BackendKind {
    /// What the configuration calls it.
    pub name: &'static str,
    /// Whether its records outlive the process.
    pub keeps: Keeps,
    /// Opens it, and makes it first where there is none.
    pub open: fn(Settings) -> Opening,
}

/// A store on its way to being open.
pub type Opening = BoxFuture<'static, Result<Arc<dyn Backend>, OpenError>>;

/// Whether an engine's records outlive the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    /// What is acknowledged survives power loss.
    OnDisk,
    /// Everything goes with the process: for tests, and as the model the others are held against.
    InMemory,
}

/// Where a store lies and how much memory it may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The store's folder. Made if it is not there; its parent must be.
    pub dir: PathBuf,
    /// Bytes of records kept in memory. The engine's own structures come on top.
    pub cache_bytes: u64,
}

/// Bytes of records kept in memory unless the configuration says otherwise. A record of a known
/// device has about 300 bytes, so this holds a fleet of 200,000.
pub const CACHE_BYTES_DEFAULT: u64 = 64 * 1024 * 1024;

impl Settings {
    /// The store at `dir` with the default cache.
    #[must_use]
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), cache_bytes: CACHE_BYTES_DEFAULT }
    }
}

/// The engine called `name`.
///
/// # Errors
/// [`OpenError::UnknownBackend`] with the names there are.
pub fn named(name: &str) -> Result<&'static BackendKind, OpenError> {
    BACKENDS.iter().find(|kind| kind.name == name).ok_or_else(|| OpenError::UnknownBackend {
        got: name.to_owned(),
        known: BACKENDS.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", "),
    })
}

/// Why a store does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The configuration names an engine that there is not.
    #[error("expected a store engine out of {known}, got {got:?}")]
    UnknownBackend {
        /// What came.
        got: String,
        /// What there is.
        known: String,
    },
    /// Another process, or another part of this one, has it open.
    #[error("the store in {dir:?} is in use by another process")]
    InUse {
        /// The store's folder.
        dir: PathBuf,
    },
    /// The folder cannot be made, read or written by this user.
    #[error("could not {action} in the store's folder {dir:?}")]
    Folder {
        /// The store's folder.
        dir: PathBuf,
        /// What was tried, as a verb and its object.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// A newer program made it, or wrote to it. Nothing in it was touched.
    #[error("the store in {dir:?} has format {found}; this program reads up to {understood}")]
    NewerFormat {
        /// The store's folder.
        dir: PathBuf,
        /// The format it has.
        found: u32,
        /// The newest format that this program reads.
        understood: u32,
    },
    /// The folder holds something else. Nothing in it was touched.
    #[error("expected a {engine} store or an empty folder in {dir:?}, found {found}")]
    NotThisStore {
        /// The store's folder.
        dir: PathBuf,
        /// The engine asked for.
        engine: &'static str,
        /// What is there.
        found: String,
    },
    /// The engine cannot read what is there.
    #[error("the {engine} store in {dir:?} does not open")]
    Engine {
        /// The store's folder.
        dir: PathBuf,
        /// The engine asked for.
        engine: &'static str,
        /// Why, in the engine's words.
        #[source]
        source: Cause,
    },
}
