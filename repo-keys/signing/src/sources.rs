//! Where holders' private keys are. One source is one file below and one line in [`SOURCES`].

mod file;
#[cfg(feature = "pkcs11")]
pub mod pkcs11;

use lazaret_protocol::key::PublicKey;

use crate::key::KeyError;
use crate::passphrase::{Passphrase, Pin};
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

/// What opens a key.
#[derive(Debug)]
pub enum Secret {
    /// Of a file.
    Passphrase(Passphrase),
    /// Of a token.
    Pin(Pin),
}

/// Which [`Secret`] a source wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wants {
    /// A passphrase.
    Passphrase,
    /// A PIN.
    Pin,
}

/// A key that is ready, or why it is not.
pub type Opened = Result<Box<dyn HolderSigner>, KeyError>;

/// A kind of place that keys are kept in.
pub struct Source {
    /// What stands before the colon in `file:alice.key`.
    pub scheme: &'static str,
    /// What opens its keys.
    pub wants: Wants,
    /// Opens the key at the place that stands behind the colon.
    pub open: fn(&str, Secret) -> Opened,
}

/// Every source there is. The first is meant where no scheme is written.
pub static SOURCES: &[Source] = &[
    file::SOURCE,
    #[cfg(feature = "pkcs11")]
    pkcs11::SOURCE,
];

/// What opens the key that `reference` names.
///
/// # Errors
/// No such source.
pub fn wants(reference: &str) -> Result<Wants, KeyError> {
    Ok(find(reference)?.0.wants)
}

/// Opens the key that `reference` names: `alice.key`, `file:alice.key` or
/// `pkcs11:token=alice;object=root?module-path=...`.
///
/// # Errors
/// No such source, or the source's own.
pub fn open(reference: &str, secret: Secret) -> Opened {
    let (source, place) = find(reference)?;
    (source.open)(place, secret)
}

fn find(reference: &str) -> Result<(&'static Source, &str), KeyError> {
    for source in SOURCES {
        let behind = reference.strip_prefix(source.scheme);
        if let Some(place) = behind.and_then(|rest| rest.strip_prefix(':')) {
            return Ok((source, place));
        }
    }
    // A file whose name has a colon is written with its scheme, so that a mistyped scheme is not
    // taken for a file.
    match SOURCES.first().filter(|_| !reference.contains(':')) {
        Some(first) => Ok((first, reference)),
        None => Err(KeyError::UnknownSource { got: reference.chars().take(120).collect() }),
    }
}
