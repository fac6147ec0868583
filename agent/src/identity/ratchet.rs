//! The nonce of the server's last answer, kept until the next poll shows it: what a copy of the
//! device cannot have as well once either of both has polled.

use std::path::{Path, PathBuf};

use lazaret_protocol::digest::Sha256Digest;

use crate::durable::{self, Access, Durable, DurableError};

/// Largest file, in bytes.
const FILE_BYTES_MAX: u64 = 256;

/// The nonce, and where it is kept.
#[derive(Debug)]
pub struct Ratchet {
    path: PathBuf,
    nonce: Option<Sha256Digest>,
}

impl Ratchet {
    /// Reads what was kept. A file that is no nonce is as good as none: the server takes that for a
    /// sign and not for a reason to refuse.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn load(state_dir: &Path) -> Result<Self, DurableError> {
        let path = state_dir.join("identity").join("nonce");
        let bytes = durable::read(&path, FILE_BYTES_MAX)?.unwrap_or_default();
        let nonce = String::from_utf8_lossy(&bytes).trim().parse().ok();
        Ok(Self { path, nonce })
    }

    /// What the next poll shows.
    #[must_use]
    pub const fn nonce(&self) -> Option<Sha256Digest> {
        self.nonce
    }

    /// Keeps the nonce of an answer, before anything else is made of the answer. Where the power
    /// goes before that, the next poll shows the one before, which the server takes for a lost
    /// answer.
    ///
    /// # Errors
    /// It cannot be kept.
    pub fn turn(&mut self, next: Sha256Digest, durable: &Durable) -> Result<(), DurableError> {
        let text = next.to_string();
        durable.write(&self.path, text.as_bytes(), Access::Owner, "identity-nonce")?;
        self.nonce = Some(next);
        Ok(())
    }
}
