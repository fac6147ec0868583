//! Why a use case did not come to its end.

use lazaret_protocol::refusal::{Refusal, RefusalCode};
use lazaret_server_blobs::blob::BlobError;
use lazaret_server_domain::audit::AuditLogError;
use lazaret_server_domain::refused::Refused;
use lazaret_server_publish::{MakeDeltaError, PublishError};
use lazaret_server_store::StoreError;

/// A rule said no, or the world failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum AppError {
    /// A rule said no.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The store failed, or was too busy five times.
    #[error("store failed")]
    Store {
        /// What it said.
        #[from]
        source: StoreError,
    },
    /// The blob store failed.
    #[error("blob store failed")]
    Blobs {
        /// What it said.
        #[from]
        source: BlobError,
    },
    /// Signed metadata was refused, or could not be made.
    #[error("signed metadata was refused")]
    Publish {
        /// What it said.
        #[from]
        source: PublishError,
    },
    /// A certificate could not be made.
    #[error("certificate cannot be issued")]
    Issue {
        /// What rcgen said.
        #[from]
        source: rcgen::Error,
    },
    /// The operating system gave no randomness.
    #[error("no randomness: {why}")]
    Randomness {
        /// What it said.
        why: String,
    },
    /// A delta could not be made.
    #[error("delta cannot be made")]
    Delta {
        /// What the encoder said.
        #[from]
        source: MakeDeltaError,
    },
    /// The folder for work in progress cannot be used.
    #[error("folder for work in progress cannot be used")]
    Scratch {
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The audit log cannot be continued.
    #[error("audit log cannot be continued")]
    AuditLog {
        /// Why.
        #[source]
        source: AuditLogError,
    },
    /// A task of ours ended before its time.
    #[error("{what} was cut short")]
    CutShort {
        /// Which.
        what: &'static str,
    },
}

impl AppError {
    /// A request that cannot be understood: what was expected and what came.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Refused::because(RefusalCode::BadRequest, detail).into()
    }

    /// A rule said no.
    pub(crate) fn refused(code: RefusalCode, detail: impl Into<String>) -> Self {
        Refused::because(code, detail).into()
    }

    /// What the caller is told: the rule, or that it should try again; never the inside of a
    /// failure.
    #[must_use]
    pub(crate) fn to_wire(&self) -> (RefusalCode, Refusal) {
        let code = match self {
            Self::Refused(refused) => return (refused.code, refused.to_wire()),
            Self::Publish { source } => {
                let detail = crate::telemetry::chain(source);
                return (
                    RefusalCode::MetadataRefused,
                    RefusalCode::MetadataRefused.because(detail),
                );
            }
            Self::Blobs { source: BlobError::TooLarge { .. } } => RefusalCode::TooLarge,
            Self::Blobs { source: BlobError::Mismatch { .. } } => RefusalCode::BadRequest,
            Self::Blobs { source: BlobError::Full { .. } } => {
                let detail = "the server's disk is full: make room there, then try again";
                return (RefusalCode::Unavailable, RefusalCode::Unavailable.because(detail));
            }
            _ => {
                let detail = "the server cannot do this at the moment, try again later";
                return (RefusalCode::Unavailable, RefusalCode::Unavailable.because(detail));
            }
        };
        (code, code.because(crate::telemetry::chain(self)))
    }
}
