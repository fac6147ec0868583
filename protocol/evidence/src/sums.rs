//! `SHA256SUMS`, as `sha256sum` of coreutils writes and checks it: a digest, two spaces and a path
//! a line. Only plain paths are taken, so that no line needs an escape.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString as _};
use core::fmt::Write as _;

use lazaret_protocol::digest::Sha256Digest;

/// Largest `SHA256SUMS`, in bytes: room for the tiles of a log of 64 MiB.
pub const SUMS_BYTES_MAX: usize = 1024 * 1024;

/// A text that is no list of sums.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SumsError {
    /// It is too long.
    #[error("expected at most {SUMS_BYTES_MAX} bytes, got {got}")]
    TooLarge {
        /// Its length in bytes.
        got: usize,
    },
    /// A line has another form.
    #[error("expected a digest, two spaces and a path in line {line}")]
    Line {
        /// Which, from 1 on.
        line: usize,
    },
    /// A path stands there twice.
    #[error("{name} is there twice")]
    Twice {
        /// Which.
        name: String,
    },
    /// The manifest says another digest, or the path is missing.
    #[error("expected {name} with the digest {expected}, as the manifest says")]
    Disagrees {
        /// Which path.
        name: String,
        /// What the manifest says.
        expected: Sha256Digest,
    },
}

/// The text over these files, in their order.
#[must_use]
pub fn write<'a>(files: impl IntoIterator<Item = (&'a str, Sha256Digest)>) -> String {
    let mut text = String::new();
    for (name, digest) in files {
        // Writing to a `String` does not fail.
        let _ = writeln!(text, "{digest}  {name}");
    }
    text
}

/// The digest of each path.
///
/// # Errors
/// It is too long, has another form, or names a path twice.
pub fn parse(bytes: &[u8]) -> Result<BTreeMap<String, Sha256Digest>, SumsError> {
    if bytes.len() > SUMS_BYTES_MAX {
        return Err(SumsError::TooLarge { got: bytes.len() });
    }
    let text = core::str::from_utf8(bytes).map_err(|_| SumsError::Line { line: 1 })?;
    let mut sums = BTreeMap::new();
    for (at, line) in text.split_inclusive('\n').enumerate() {
        let line_number = at.saturating_add(1);
        let refused = || SumsError::Line { line: line_number };
        let (digest, name) =
            line.strip_suffix('\n').and_then(|line| line.split_once("  ")).ok_or_else(refused)?;
        let digest: Sha256Digest = digest.parse().map_err(|_| refused())?;
        if name.is_empty() || name.contains(['\\', '\r', '\0']) {
            return Err(refused());
        }
        if sums.insert(name.to_string(), digest).is_some() {
            return Err(SumsError::Twice { name: name.chars().take(128).collect() });
        }
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_read_as_they_were_written_and_in_no_other_form() {
        let digest = Sha256Digest::of(b"a");
        let text = write([("device.pem", digest), ("artifacts/a b", digest)]);
        let read = parse(text.as_bytes()).unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(read.get("artifacts/a b"), Some(&digest));
        for bad in ["x", "\n", "zz  a\n", &format_of(digest, " a"), &format_of(digest, "  \\a")] {
            assert!(matches!(parse(bad.as_bytes()), Err(SumsError::Line { .. })), "{bad:?}");
        }
        let twice = write([("a", digest), ("a", digest)]);
        assert_eq!(parse(twice.as_bytes()), Err(SumsError::Twice { name: "a".into() }));
    }

    fn format_of(digest: Sha256Digest, rest: &str) -> String {
        alloc::format!("{digest}{rest}\n")
    }
}
