//! Why something is not published.

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::time::Timestamp;
use lazaret_repo_keys_signing::KeyError;
use lazaret_repo_keys_signing::metadata::MetadataError;
use lazaret_repo_keys_signing::role::NameError;

/// Why metadata is not taken in or not activated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// No name of a metadata file.
    #[error("not the name of a metadata file")]
    Name(#[from] NameError),
    /// A role that the server signs itself, and takes from nobody.
    #[error("{role} is signed by the server and is not taken in")]
    OnlineRole {
        /// The role.
        role: String,
    },
    /// Something that must be there first.
    #[error("expected {role} metadata, there is none")]
    Missing {
        /// The role.
        role: String,
    },
    /// Not the version that follows.
    #[error("expected {role} version {expected}, got {got}")]
    WrongVersion {
        /// The role.
        role: String,
        /// The version that follows the last one.
        expected: u64,
        /// The version that came.
        got: u64,
    },
    /// Expired already.
    #[error("{role} version {version} expired {expires}")]
    Expired {
        /// The role.
        role: String,
        /// Its version.
        version: u64,
        /// When.
        expires: Timestamp,
    },
    /// Too few signatures of those who may sign.
    #[error("expected {threshold} signatures on {role}, {valid} hold")]
    ThresholdNotMet {
        /// The role.
        role: String,
        /// How many are needed.
        threshold: u64,
        /// How many hold.
        valid: u64,
    },
    /// It says what its role may not say.
    #[error("{role} says what it may not say: {what}")]
    OutOfScope {
        /// The role.
        role: String,
        /// What, in plain words.
        what: String,
    },
    /// The server's own key for a role is not one that the offline roles list.
    #[error("the server's {role} key is not the one that the offline roles list")]
    NotSignedBy {
        /// The role.
        role: String,
    },
    /// A delta for an image that no release signer has signed.
    #[error("delta {name:?} yields {result}, which no release role lists under that name")]
    DeltaWithoutImage {
        /// Its target name.
        name: String,
        /// What it yields.
        result: Sha256Digest,
    },
    /// A target that is listed and not at hand.
    #[error("target {name:?} with sha256 {sha256} is listed and not at hand")]
    TargetMissing {
        /// Its name.
        name: String,
        /// Its digest.
        sha256: Sha256Digest,
    },
    /// What comes would make one of the server's own keys a holder's.
    #[error("server's keys are refused")]
    Key(#[source] KeyError),
    /// Any other fault of metadata.
    #[error("metadata is not acceptable")]
    Metadata(#[source] MetadataError),
    /// tough does not accept what we would publish.
    #[error("the second reader refuses the repository")]
    SecondReaderRefused(#[source] Box<tough::error::Error>),
    /// tough accepts less than we would publish.
    #[error("the second reader refuses {role}")]
    SecondReaderRefusedRole {
        /// The role.
        role: String,
        /// Why.
        #[source]
        source: Box<tough::schema::Error>,
    },
    /// The second reader sees another repository than we do.
    #[error("the second reader sees something else: {what}")]
    SecondReaderDiffers {
        /// What, in plain words.
        what: String,
    },
}

impl From<MetadataError> for PublishError {
    fn from(err: MetadataError) -> Self {
        match err {
            MetadataError::ThresholdNotMet { role, threshold, valid } => {
                Self::ThresholdNotMet { role, threshold, valid }
            }
            MetadataError::OutOfScope { role, what } => Self::OutOfScope { role, what },
            MetadataError::Missing { role } => Self::Missing { role },
            other => Self::Metadata(other),
        }
    }
}
