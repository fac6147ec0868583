//! Who is affected? Answered from what the server knows of its devices and of what is in their
//! releases, so that devices that are off count as well. What is not known is said to be unknown
//! and never counted among the safe.

use alloc::string::String;
use alloc::vec::Vec;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::{ModelName, OperatorName, VersionName};
use lazaret_protocol::operator::AdvisoryView;
use lazaret_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::record::Record;

pub mod csaf;
pub mod cyclonedx;
pub mod osv;
mod package;
mod question;
pub mod table;
mod version;

pub use package::{Package, Wanted};
pub use question::{Question, Verdict};
pub use version::{Bound, Known, Op};

/// Components of one bill of materials.
pub const COMPONENTS_MAX: usize = 20_000;

/// Packages that one advisory names.
pub const AFFECTED_MAX: usize = 5_000;

/// Longest name or version of a component, in bytes. Longer ones are no names.
pub const NAME_BYTES_MAX: usize = 512;

/// Why a file cannot be taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// It is not what it was taken for.
    #[error("expected {expected}, got {got}")]
    Unexpected {
        /// What was expected.
        expected: &'static str,
        /// What came, cut after 64 characters.
        got: String,
    },
    /// Too many of something.
    #[error("expected at most {max} {what}, got {got}")]
    TooMany {
        /// What.
        what: &'static str,
        /// The most.
        max: usize,
        /// How many came.
        got: usize,
    },
}

impl ImportError {
    fn unexpected(expected: &'static str, got: &str) -> Self {
        Self::Unexpected { expected, got: got.chars().take(64).collect() }
    }
}

/// What is in a release: its software bill of materials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bill {
    /// The hardware model.
    pub model: ModelName,
    /// The version.
    pub version: VersionName,
    /// The image that it is of.
    pub image: Sha256Digest,
    /// The format it came in, such as `CycloneDX 1.5`.
    pub format: String,
    /// Digest of the file.
    pub file: Sha256Digest,
    /// Who imported it.
    pub by: OperatorName,
    /// When.
    pub at: Timestamp,
    /// What is in it.
    pub components: Vec<Component>,
}

impl Record for Bill {
    const KIND: &'static str = "bill";
    fn name(&self) -> String {
        alloc::format!("{}/{}", self.model, self.version)
    }

    fn seen(&self) -> Option<table::Seen> {
        Some(table::Seen::Bill(alloc::sync::Arc::new(self.clone())))
    }
}

/// One part of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// What it is.
    #[serde(flatten)]
    pub package: Package,
    /// Its version; none where the bill does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// SHA-256 of its file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256Digest>,
}

/// What somebody published of a vulnerability: which versions of which packages have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advisory {
    /// Its identifier, such as `CVE-2026-1234`.
    pub id: String,
    /// Other identifiers of the same.
    pub aliases: Vec<String>,
    /// What it is, in one line.
    pub summary: String,
    /// The format it came in: `OSV` or `CSAF 2.0`.
    pub format: String,
    /// What is affected.
    pub affected: Vec<Wanted>,
    /// Statements in it that this program cannot follow, such as products without a package: a
    /// device may be affected that is not found by it.
    pub not_followed: u64,
    /// Who imported it.
    pub by: OperatorName,
    /// When.
    pub at: Timestamp,
}

impl Record for Advisory {
    const KIND: &'static str = "advisory";
    fn name(&self) -> String {
        self.id.clone()
    }
}

impl Advisory {
    /// As operators see it.
    #[must_use]
    pub fn view(&self) -> AdvisoryView {
        AdvisoryView {
            id: self.id.clone(),
            aliases: self.aliases.clone(),
            summary: self.summary.clone(),
            format: self.format.clone(),
            affected: self.affected.iter().map(Wanted::in_words).collect(),
            not_followed: self.not_followed,
            by: self.by.clone(),
            at: self.at,
        }
    }
}

/// An advisory as a file says it, before anybody imported it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// Its identifier.
    pub id: String,
    /// Other identifiers of the same.
    pub aliases: Vec<String>,
    /// What it is, in one line.
    pub summary: String,
    /// What is affected.
    pub affected: Vec<Wanted>,
    /// Statements that cannot be followed.
    pub not_followed: u64,
}

impl Read {
    /// Checks what every format has in common.
    fn checked(self) -> Result<Self, ImportError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
        if self.id.is_empty() || self.id.len() > 64 || !self.id.chars().all(plain) {
            let expected = "an identifier of 1 to 64 letters, digits and -_.:";
            return Err(ImportError::unexpected(expected, &self.id));
        }
        if self.affected.len() > AFFECTED_MAX {
            let got = self.affected.len();
            return Err(ImportError::TooMany { what: "affected packages", max: AFFECTED_MAX, got });
        }
        let summary = self.summary.chars().filter(|c| !c.is_control()).take(200).collect();
        let aliases = self.aliases.into_iter().filter(|it| it.len() <= 64).take(50).collect();
        Ok(Self { summary, aliases, ..self })
    }
}

#[cfg(test)]
mod tests;
