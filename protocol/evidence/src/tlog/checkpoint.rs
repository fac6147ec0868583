//! What a log signs: its name, its size and its root (c2sp.org/tlog-checkpoint).

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lazaret_protocol::digest::Sha256Digest;

use super::proof::{decimal, hash_of};

/// Longest name of a log, in bytes.
pub const ORIGIN_BYTES_MAX: usize = 255;

/// Extension lines of one checkpoint.
pub const EXTENSIONS_MAX: usize = 8;

/// A tree head. As text, the body of a signed note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// How many entries its tree has.
    pub size: u64,
    /// The tree's root.
    pub root: Sha256Digest,
    /// Lines of others that are signed with it. We write none.
    pub extensions: Vec<String>,
}

/// A text that is no checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a checkpoint of origin, size and root, a line each: {what}")]
pub struct CheckpointError {
    /// What is wrong with it.
    pub what: &'static str,
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let root = STANDARD.encode(self.root.as_bytes());
        writeln!(f, "{}\n{}\n{root}", self.origin, self.size)?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl FromStr for Checkpoint {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let refused = |what| CheckpointError { what };
        let body = text.strip_suffix('\n').ok_or(refused("it does not end with a line feed"))?;
        let mut lines = body.split('\n');
        let origin = lines.next().unwrap_or_default();
        if origin.is_empty() || origin.len() > ORIGIN_BYTES_MAX {
            return Err(refused("the origin has not 1 to 255 bytes"));
        }
        let size = lines.next().and_then(decimal).ok_or(refused("the size is no plain number"))?;
        let root =
            lines.next().and_then(hash_of).ok_or(refused("the root is no hash in base64"))?;
        let extensions: Vec<String> = lines.map(String::from).collect();
        if extensions.len() > EXTENSIONS_MAX || extensions.iter().any(String::is_empty) {
            return Err(refused("more than eight extension lines, or an empty one"));
        }
        Ok(Self { origin: origin.to_string(), size, root, extensions })
    }
}

#[cfg(test)]
mod tests;
