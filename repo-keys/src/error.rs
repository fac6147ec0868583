//! Why a step did not do what was asked, and the exit code that says so.

use std::path::PathBuf;

use lazaret_protocol::anchors::AnchorsError;
use lazaret_protocol::canonical::CanonicalError;
use lazaret_repo_keys_signing::KeyError;
use lazaret_repo_keys_signing::durable::FileError;
use lazaret_repo_keys_signing::metadata::MetadataError;
use lazaret_repo_keys_signing::passphrase::PassphraseError;

use crate::authority::AuthorityError;

/// Rules that `lazaret-keys` itself holds a step to. The code is stable: scripts may look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// An image in the payload is not the holder's own file.
    HashMismatch,
    /// A new image without a file of the holder's own to compare it with.
    ImageMissing,
    /// A counter that is not above every earlier one.
    CounterNotNew,
    /// A version name that means another image already.
    VersionTaken,
    /// A key that the role does not list.
    NotListed,
    /// A signature that does not hold, or is over another payload.
    BadSignature,
    /// A version that does not follow the last one.
    WrongVersion,
    /// A file that belongs to another role or step.
    WrongFile,
    /// A payload that has expired already.
    Expired,
    /// A payload that says more than can be shown.
    Unshowable,
    /// A change that too few have signed so far.
    Incomplete,
}

impl Rule {
    /// The code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::HashMismatch => "hash-mismatch",
            Self::ImageMissing => "image-missing",
            Self::CounterNotNew => "counter-not-new",
            Self::VersionTaken => "version-taken",
            Self::NotListed => "not-listed",
            Self::BadSignature => "bad-signature",
            Self::WrongVersion => "wrong-version",
            Self::WrongFile => "wrong-file",
            Self::Expired => "expired",
            Self::Unshowable => "unshowable",
            Self::Incomplete => "incomplete",
        }
    }
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// The command line asks for something that has no meaning.
    #[error("{what}")]
    Misuse {
        /// What was expected and what came.
        what: String,
    },
    /// A rule said no.
    #[error("refused ({}): {what}", .rule.code())]
    Refused {
        /// Which.
        rule: Rule,
        /// What was expected and what came.
        what: String,
    },
    /// A key could not be made, read or used.
    #[error("key cannot be used")]
    Key(#[from] KeyError),
    /// Metadata could not be read, or says what it may not say.
    #[error("metadata is not acceptable")]
    Metadata(#[from] MetadataError),
    /// A file could not be read or written.
    #[error("file cannot be used")]
    File(#[from] FileError),
    /// A passphrase is not taken.
    #[error("passphrase is not acceptable")]
    Passphrase(#[from] PassphraseError),
    /// Nobody is there to type a passphrase.
    #[error("cannot ask for a passphrase here; give --passphrase-file FILE")]
    NoTerminal(#[source] std::io::Error),
    /// A certificate could not be made or read.
    #[error("certificate cannot be made")]
    Authority(#[from] AuthorityError),
    /// Anchors could not be read.
    #[error("anchors are not acceptable")]
    Anchors(#[from] AnchorsError),
    /// Something has no canonical form.
    #[error("cannot be written as canonical JSON")]
    Canonical(#[from] CanonicalError),
    /// A JSON file is not what it should be.
    #[error("expected {expected} in {}", .path.display())]
    Json {
        /// What was expected.
        expected: &'static str,
        /// The file.
        path: PathBuf,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
}

impl StepError {
    pub(crate) fn refused(rule: Rule, what: impl Into<String>) -> Self {
        Self::Refused { rule, what: what.into() }
    }

    pub(crate) fn misuse(what: impl Into<String>) -> Self {
        Self::Misuse { what: what.into() }
    }

    /// What the command line asks for and a rule forbids is misuse, and no failure.
    pub(crate) fn of_wish(err: MetadataError) -> Self {
        match err {
            MetadataError::OutOfScope { role, what } => {
                Self::misuse(format!("{role} cannot have {what}"))
            }
            other => other.into(),
        }
    }

    /// 2 for misuse, 1 for everything else.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Misuse { .. } => 2,
            _ => 1,
        }
    }

    /// A stable code for scripts.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Misuse { .. } => "misuse",
            Self::Refused { rule, .. } => rule.code(),
            Self::Metadata(MetadataError::ThresholdNotMet { .. }) => "threshold-not-met",
            Self::Metadata(_) => "metadata",
            Self::File(FileError::Exists { .. })
            | Self::Key(KeyError::File(FileError::Exists { .. })) => "exists",
            Self::Key(_) => "key",
            Self::Passphrase(_) | Self::NoTerminal(_) => "passphrase",
            Self::Authority(_) => "certificate",
            _ => "file",
        }
    }

    /// The whole chain of causes on one line.
    #[must_use]
    pub fn in_full(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}
