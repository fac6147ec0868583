//! Where holders' private keys are. One source is one file below and one line in [`SOURCES`].

mod file;

use lazaret_protocol::key::PublicKey;

use crate::key::KeyError;
use crate::passphrase::Passphrase;
use crate::role::OfflineRole;

/// A holder's key that is ready to sign for offline roles, and for nothing else.
pub trait HolderSigner {
    /// The public half.
    fn public(&self) -> PublicKey;

    /// Signs the canonical bytes of `role`'s metadata (TUF 4.2.1).
    ///
    /// # Errors
    /// The device that keeps the key failed.
    fn sign(&self, role: &OfflineRole, payload: &[u8]) -> Result<Vec<u8>, KeyError>;
}

/// Asks the holder for what opens the key: a passphrase, a PIN.
pub type Ask<'a> = &'a mut dyn FnMut() -> Result<Passphrase, KeyError>;

/// A key that is ready, or why it is not.
pub type Opened = Result<Box<dyn HolderSigner>, KeyError>;

/// A kind of place that keys are kept in.
pub struct Source {
    /// What stands before the colon in `file:alice.key`.
    pub scheme: &'static str,
    /// Opens the key at the place that stands behind the colon.
    pub open: fn(&str, Ask<'_>) -> Opened,
}

/// Every source there is. The first is meant where no scheme is written.
pub static SOURCES: &[Source] = &[file::SOURCE];

/// Opens the key that `reference` names: `alice.key` or `file:alice.key`.
///
/// # Errors
/// No such source, or the source's own.
pub fn open(reference: &str, ask: Ask<'_>) -> Opened {
    for source in SOURCES {
        let behind = reference.strip_prefix(source.scheme);
        if let Some(place) = behind.and_then(|rest| rest.strip_prefix(':')) {
            return (source.open)(place, ask);
        }
    }
    let first = SOURCES.first();
    // A file whose name has a colon is written with its scheme, so that a mistyped scheme is not
    // taken for a file.
    let Some(first) = first.filter(|_| !reference.contains(':')) else {
        return Err(KeyError::UnknownSource { got: reference.chars().take(120).collect() });
    };
    (first.open)(reference, ask)
}
