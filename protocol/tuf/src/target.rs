//! A target whose description is trusted, and checking that bytes are it.

use alloc::string::String;

use lazaret_protocol::time::Timestamp;
use serde_json::Value;

use crate::error::{Mismatch, TufError};
use crate::metadata::{Hasher, Hashes};

/// What a role that may say so says of a target (TUF 4.5, TARGETS).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The name that was searched for.
    pub name: String,
    /// Where it is, relative to the base of targets: the name, with a hash before its last part
    /// where snapshots are consistent (TUF 5.7.3). Not percent-encoded.
    pub wire_path: String,
    /// The role that signed it.
    pub role: String,
    /// The version of that role's metadata.
    pub role_version: u64,
    /// When that role's metadata expires.
    pub expires: Timestamp,
    /// Length in bytes.
    pub length: u64,
    /// Hashes, at least one.
    pub hashes: Hashes,
    /// What the application has to say of it; null where nothing.
    pub custom: Value,
}

impl Target {
    /// Begins to check bytes against this target, piece by piece as they arrive.
    pub fn check(&self) -> TargetCheck<'_> {
        TargetCheck { target: self, hasher: Hasher::new(&self.hashes), length: 0 }
    }

    /// Checks bytes that are all at hand.
    ///
    /// # Errors
    /// As [`TargetCheck`].
    pub fn check_bytes(&self, bytes: &[u8]) -> Result<(), TufError> {
        let mut check = self.check();
        check.update(bytes)?;
        check.finish()
    }
}

/// Checks a target while it streams in (TUF 5.7.3). Nothing may be used before
/// [`finish`](Self::finish) says so.
#[derive(Debug, Clone)]
#[must_use]
pub struct TargetCheck<'t> {
    target: &'t Target,
    hasher: Hasher,
    length: u64,
}

impl TargetCheck<'_> {
    /// Takes the next piece.
    ///
    /// # Errors
    /// [`TufError::TooLarge`] as soon as there are more bytes than the target has: endless data.
    pub fn update(&mut self, piece: &[u8]) -> Result<(), TufError> {
        self.length = self.length.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        if self.length > self.target.length {
            let (file, max) = (self.target.name.clone(), self.target.length);
            return Err(TufError::TooLarge { file, max, got: self.length });
        }
        self.hasher.update(piece);
        Ok(())
    }

    /// Decides whether what came is the target.
    ///
    /// # Errors
    /// [`TufError::MixAndMatch`] with the length or the hash that differs.
    pub fn finish(self) -> Result<(), TufError> {
        let (expected, got) = (self.target.length, self.length);
        let mismatch = if expected == got {
            self.hasher.mismatch(&self.target.hashes)
        } else {
            Some(Mismatch::Length { expected, got })
        };
        match mismatch {
            Some(mismatch) => {
                Err(TufError::MixAndMatch { role: self.target.name.clone(), mismatch })
            }
            None => Ok(()),
        }
    }
}
