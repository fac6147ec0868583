//! What can go wrong between the device and a server or a mirror, each under its own name.

use std::io;

use lazaret_protocol::refusal::Refusal;
use ureq::Error;

/// What went wrong between the device and the server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The server could not be reached, or the connection broke.
    #[error("no answer to {what}")]
    Unreachable {
        /// What was asked for.
        what: &'static str,
        /// What the connection said.
        #[source]
        source: Box<Error>,
    },
    /// The server said no.
    #[error("{what} was refused with {status} {}: {}", refusal.code, refusal.detail)]
    Refused {
        /// What was asked for.
        what: &'static str,
        /// The HTTP status.
        status: u16,
        /// Its reason.
        refusal: Refusal,
        /// Milliseconds that it asks to wait, 0 for none.
        retry_after_ms: u64,
    },
    /// The answer is longer than it may be.
    #[error("expected an answer to {what} of at most {max} bytes")]
    TooLarge {
        /// What was asked for.
        what: &'static str,
        /// The limit in bytes.
        max: u64,
    },
    /// The answer is not what the route answers.
    #[error("answer to {what} is malformed: {why}")]
    Malformed {
        /// What was asked for.
        what: &'static str,
        /// What the parser said.
        why: String,
    },
    /// It points elsewhere. Addresses come from the configuration and from nobody else.
    #[error("{what} is said to be at {to}, and no redirection is followed")]
    Redirected {
        /// What was asked for.
        what: &'static str,
        /// Where it points.
        to: String,
    },
    /// Slow retrieval: it trickles, so that it never ends and never times out.
    #[error("expected {expected} bytes a second of {what}, got {got} in {ms} ms")]
    TooSlow {
        /// What was asked for.
        what: &'static str,
        /// The least that is accepted, in bytes per second.
        expected: u64,
        /// Bytes that came.
        got: u64,
        /// In so many milliseconds of waiting.
        ms: u64,
    },
    /// It says that the whole has another length than was signed.
    #[error("expected {path} to have {expected} bytes, it is said to have {got}")]
    WrongTotal {
        /// Which target.
        path: String,
        /// Its signed length in bytes.
        expected: u64,
        /// What came in its place.
        got: String,
    },
    /// It goes on past its signed length.
    #[error("{path} goes on past its {expected} bytes")]
    TooLong {
        /// Which target.
        path: String,
        /// Its signed length in bytes.
        expected: u64,
    },
    /// It cannot begin in the middle, so that all before was fetched once more.
    #[error("asked for bytes from {from} of {path}, it sent the whole")]
    NoRanges {
        /// Which target.
        path: String,
        /// From where.
        from: u64,
    },
    /// The server did not give the part that was asked for.
    #[error("expected bytes from {from} of {path}, got {got}")]
    WrongRange {
        /// Of which target.
        path: String,
        /// From where.
        from: u64,
        /// What came in its place.
        got: String,
    },
}

impl TransportError {
    /// How long the server asks to wait, in milliseconds.
    #[must_use]
    pub const fn retry_after_ms(&self) -> u64 {
        match self {
            Self::Refused { retry_after_ms, .. } => *retry_after_ms,
            _ => 0,
        }
    }

    /// The name under which this goes into the forensic log; none for what happens every day on a
    /// bad link.
    #[must_use]
    pub const fn code(&self) -> Option<&'static str> {
        match self {
            Self::Redirected { .. } => Some("download-redirected"),
            Self::TooSlow { .. } => Some("download-too-slow"),
            Self::WrongTotal { .. } => Some("download-wrong-total"),
            Self::WrongRange { .. } => Some("download-wrong-range"),
            Self::TooLong { .. } => Some("download-too-long"),
            Self::NoRanges { .. } => Some("download-no-ranges"),
            _ => None,
        }
    }

    /// What reading `what` failed with: an error of ours that came through a reader, or a
    /// connection that broke.
    #[must_use]
    pub fn unreadable(what: &'static str, err: io::Error) -> Self {
        let named = err.get_ref().is_some_and(|inner| inner.is::<Self>());
        if !named {
            return Self::Unreachable { what, source: Box::new(err.into()) };
        }
        let kind = err.kind();
        match err.into_inner().map(|inner| inner.downcast::<Self>()) {
            Some(Ok(inner)) => *inner,
            _ => Self::Unreachable { what, source: Box::new(io::Error::from(kind).into()) },
        }
    }

    /// What a reader of a target failed with, where it was more than a broken connection.
    #[must_use]
    pub fn within(err: &io::Error) -> Option<&Self> {
        err.get_ref()?.downcast_ref()
    }

    /// The server's code where it refused.
    #[must_use]
    pub fn refused_code(&self) -> Option<&str> {
        match self {
            Self::Refused { refusal, .. } => Some(&refusal.code),
            _ => None,
        }
    }
}
