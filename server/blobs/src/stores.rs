//! The places blobs can be kept in, by name. A new one is a file below `stores/` and a line in
//! [`STORES`]; the contract test takes it from there.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::blob::BlobStore;

pub mod filesystem;

/// Every kind of place, the default first.
pub const STORES: &[StoreKind] = &[StoreKind { name: "filesystem", open: filesystem::open_boxed }];

/// One kind of place: its name in the configuration, and how it is opened.
#[derive(Debug)]
pub struct StoreKind {
    /// What the configuration calls it.
    pub name: &'static str,
    /// Opens it, and makes it first where there is none.
    pub open: fn(Settings) -> Opening,
}

/// A store on its way to being open.
pub type Opening = BoxFuture<'static, Result<Arc<dyn BlobStore>, OpenError>>;

/// Where blobs lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The store's folder. Made if it is not there; its parent must be.
    pub dir: PathBuf,
    /// Unfinished uploads that nobody has written to for this long are forgotten on opening.
    pub idle_uploads_kept: Duration,
}

/// How long an unfinished upload waits for its device, unless the configuration says otherwise: a
/// week without a link is not rare in the field.
pub const IDLE_UPLOADS_KEPT_DEFAULT: Duration = Duration::from_hours(7 * 24);

impl Settings {
    /// The store at `dir`.
    #[must_use]
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), idle_uploads_kept: IDLE_UPLOADS_KEPT_DEFAULT }
    }
}

/// The store called `name`.
///
/// # Errors
/// [`OpenError::UnknownStore`] with the names there are.
pub fn named(name: &str) -> Result<&'static StoreKind, OpenError> {
    STORES.iter().find(|kind| kind.name == name).ok_or_else(|| OpenError::UnknownStore {
        got: name.to_owned(),
        known: STORES.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", "),
    })
}

/// Why a store does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The configuration names a kind that there is not.
    #[error("expected a blob store out of {known}, got {got:?}")]
    UnknownStore {
        /// What came.
        got: String,
        /// What there is.
        known: String,
    },
    /// Another process, or another part of this one, has it open.
    #[error("the blobs in {dir:?} are in use by another process")]
    InUse {
        /// The store's folder.
        dir: PathBuf,
    },
    /// The folder cannot be made, read or written by this user.
    #[error("could not {action} in the blobs' folder {dir:?}")]
    Folder {
        /// The store's folder.
        dir: PathBuf,
        /// What was tried, as a verb and its object.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}
