//! The audit log as operators read it, and what one of its entries says. How entries are chained,
//! hashed and signed is `lazaret-protocol-evidence`'s.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::time::Timestamp;

/// Longest free text within an act, in bytes; what is longer is cut by whoever writes it.
pub const AUDIT_TEXT_BYTES_MAX: usize = 1024;

/// Who acted, or tried to.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AuditWho {
    /// What kind of peer it is.
    pub kind: AuditWhoKind,
    /// The person, the device id, or `-` of strangers.
    pub name: String,
    /// What they showed: the certificate's SHA-256 or the token's name; empty where nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub credential: String,
    /// The network address they came from; empty for acts on the server itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub address: String,
}

/// What kind of peer acted.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum AuditWhoKind {
    /// A person with a certificate.
    Operator,
    /// A person's service token.
    Token,
    /// A device.
    Device,
    /// Somebody who has not said who they are.
    Stranger,
    /// Whoever administers the machine that the server runs on.
    Server,
}

impl AuditWhoKind {
    /// As it travels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Token => "token",
            Self::Device => "device",
            Self::Stranger => "stranger",
            Self::Server => "server",
        }
    }
}

/// One act or refusal.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditAct {
    /// When, by the server's clock.
    pub at: Timestamp,
    /// Who.
    pub who: AuditWho,
    /// What: method and route, such as `POST /v1/rollouts/{rollout}/halt`, or a word such as
    /// `connect operators`.
    pub what: String,
    /// The path that was asked for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub target: String,
    /// The reason that was given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// SHA-256 of the request's body, where it had one: what exactly was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Sha256Digest>,
    /// `done`, or the code of the refusal.
    pub outcome: String,
    /// The refusal in words, or particulars of the act.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// How often: more than once where refusals of one kind are counted together.
    pub count: u64,
}

/// The outcome of an act that was carried out.
pub const AUDIT_DONE: &str = "done";

/// An entry of the audit log, as `GET /v1/audit/entries` lists it.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Its place, from 0.
    pub index: u64,
    /// The leaf hash of the entry before it; for the first, SHA-256 of nothing.
    pub previous: Sha256Digest,
    /// What happened.
    pub act: AuditAct,
}

/// The keys of the audit log as the server names them. Trust comes from the anchors, never from
/// here.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditKeysView {
    /// The name of the log.
    pub origin: String,
    /// Verifier keys (c2sp.org/signed-note): the one that signs, then the one that is to come.
    pub keys: Vec<String>,
}

/// A checkpoint of the audit log, as `GET /v1/audit/checkpoints` lists it.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditCheckpointView {
    /// How many entries it is about.
    pub size: u64,
    /// The signed note.
    pub note: String,
}
