//! What can be wrong with metadata, each attack of the TUF specification under its own name.

use alloc::boxed::Box;
use alloc::string::String;

use lazaret_protocol::time::Timestamp;

/// Why metadata or a target is not trusted. Nothing that failed is ever kept or used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TufError {
    /// Endless data: more bytes than allowed.
    #[error("{file} has {got} bytes, expected at most {max}")]
    TooLarge {
        /// The file as asked for, or the target's name.
        file: String,
        /// How many bytes are allowed.
        max: u64,
        /// How many came before reading stopped.
        got: u64,
    },
    /// The repository does not have a file that it must have.
    #[error("expected {file} in the repository, found no such file")]
    Missing {
        /// The file as asked for.
        file: String,
    },
    /// Not TUF metadata.
    #[error("metadata of {role} is malformed: {why}")]
    Malformed {
        /// Whose metadata it should be.
        role: String,
        /// What was expected and what came.
        why: String,
    },
    /// Metadata of another kind of role, served in its place.
    #[error("expected metadata of type {expected} for {role}, got type {got:?}")]
    WrongType {
        /// Whose metadata it should be.
        role: String,
        /// The `_type` that the role has.
        expected: &'static str,
        /// The `_type` that came.
        got: String,
    },
    /// Metadata of another major version of the specification (TUF 4.3).
    #[error("expected {role} in a 1.x version of the TUF specification, got {got:?}")]
    SpecVersion {
        /// Whose metadata it is.
        role: String,
        /// The `spec_version` that came.
        got: String,
    },
    /// Arbitrary software: not signed by enough keys.
    #[error("{role} needs valid signatures of {needed} distinct keys, has {got}")]
    ThresholdNotMet {
        /// Whose metadata it is.
        role: String,
        /// The threshold.
        needed: u64,
        /// Distinct keys of the role with a valid signature.
        got: u64,
    },
    /// Rollback: older than what is already trusted.
    #[error("{role} went back to version {got}, version {trusted} is already trusted")]
    Rollback {
        /// Whose version went back.
        role: String,
        /// The version known.
        trusted: u64,
        /// The version that came.
        got: u64,
    },
    /// A root file other than the next one.
    #[error("expected version {expected} of {role}, got version {got}")]
    WrongVersion {
        /// Whose metadata it is.
        role: String,
        /// The version asked for.
        expected: u64,
        /// The version that came.
        got: u64,
    },
    /// Mix and match: a file other than the one that signed metadata lists.
    #[error("{role} is not the file that was listed: {mismatch}")]
    MixAndMatch {
        /// Whose metadata it is, or the target's name.
        role: String,
        /// What differs.
        mismatch: Mismatch,
    },
    /// A role that a trusted snapshot lists is gone from the new one (TUF 5.5.5).
    #[error("{role} was in the trusted snapshot and is missing from the new one")]
    RoleVanished {
        /// The role.
        role: String,
    },
    /// A role that the snapshot does not list.
    #[error("{role} is not listed in the snapshot")]
    NotInSnapshot {
        /// The role.
        role: String,
    },
    /// Freeze: metadata whose time is over. It stays stored and guards against rollback.
    #[error("{role} expired at {expires}, it is {now}")]
    Expired {
        /// Whose metadata it is.
        role: String,
        /// Its `expires`.
        expires: Timestamp,
        /// When the refresh began.
        now: Timestamp,
    },
    /// What was stored on this device does not verify.
    #[error("stored {file} does not verify")]
    StoredCorrupt {
        /// The local file name.
        file: String,
        /// Why it does not.
        #[source]
        source: Box<TufError>,
    },
    /// What was stored on this device is older than its own journal says.
    #[error("stored {file} says version {got} of {role}, the journal knows of {floor}")]
    StoredBelowFloor {
        /// The local file name. The version of a delegated role is said in `snapshot.json`.
        file: String,
        /// Whose version it is.
        role: String,
        /// The version in the floors.
        floor: u64,
        /// The version in the file.
        got: u64,
    },
    /// The search met a role that may know of the target and cannot be trusted. Targets of other
    /// roles are not affected.
    #[error("role {role} could not be verified")]
    RoleUnverified {
        /// The role.
        role: String,
        /// Why.
        #[source]
        source: Box<TufError>,
    },
    /// No role lists the target.
    #[error("no role lists a target {name:?}")]
    TargetNotFound {
        /// The name searched for.
        name: String,
    },
    /// The search gave up before it had asked every role.
    #[error("target {name:?} was in none of {roles_max} delegated roles, more were not asked")]
    SearchLimit {
        /// The name searched for.
        name: String,
        /// How many delegated roles a search may visit.
        roles_max: usize,
    },
    /// A target's entry cannot be used. Other targets of the same role are not affected.
    #[error("role {role} lists target {name:?} in a form that cannot be used: {why}")]
    BadTarget {
        /// The target.
        name: String,
        /// Who lists it.
        role: String,
        /// What was expected and what came.
        why: String,
    },
    /// A file was supplied that nobody had asked for.
    #[error("a file was supplied that was not asked for")]
    NotWanted,
    /// The outcome was asked for while a file is still wanted.
    #[error("the outcome was asked for while {file} is still wanted")]
    NotFinished {
        /// The file.
        file: String,
    },
}

/// How a file differs from what was listed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Mismatch {
    /// Another version.
    #[error("expected version {expected}, got {got}")]
    Version {
        /// As listed.
        expected: u64,
        /// As in the file.
        got: u64,
    },
    /// Another length.
    #[error("expected {expected} bytes, got {got}")]
    Length {
        /// As listed.
        expected: u64,
        /// As it came.
        got: u64,
    },
    /// Another content.
    #[error("expected {algorithm} {expected}, got {got}")]
    Hash {
        /// `sha256` or `sha512`.
        algorithm: &'static str,
        /// As listed, in lower-case hexadecimal.
        expected: String,
        /// As computed.
        got: String,
    },
}

impl TufError {
    /// A stable name for logs and reports.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "tuf-too-large",
            Self::Missing { .. } => "tuf-missing",
            Self::Malformed { .. } => "tuf-malformed",
            Self::WrongType { .. } => "tuf-wrong-type",
            Self::SpecVersion { .. } => "tuf-spec-version",
            Self::ThresholdNotMet { .. } => "tuf-threshold-not-met",
            Self::Rollback { .. } => "tuf-rollback",
            Self::WrongVersion { .. } => "tuf-wrong-version",
            Self::MixAndMatch { .. } => "tuf-mix-and-match",
            Self::RoleVanished { .. } => "tuf-role-vanished",
            Self::NotInSnapshot { .. } => "tuf-not-in-snapshot",
            Self::Expired { .. } => "tuf-expired",
            Self::StoredCorrupt { .. } => "tuf-stored-corrupt",
            Self::StoredBelowFloor { .. } => "tuf-stored-below-floor",
            Self::RoleUnverified { .. } => "tuf-role-unverified",
            Self::TargetNotFound { .. } => "tuf-target-not-found",
            Self::SearchLimit { .. } => "tuf-search-limit",
            Self::BadTarget { .. } => "tuf-bad-target",
            Self::NotWanted => "tuf-not-wanted",
            Self::NotFinished { .. } => "tuf-not-finished",
        }
    }
}
