//! Who may act: operators as the registry has them, invitations, and service tokens.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::Role;
use crate::id::{ModelName, OperatorName};
use crate::time::{DAY_MS, Timestamp};

/// Longest life of a service token, in milliseconds.
pub const TOKEN_VALID_MS_MAX: u64 = 366 * DAY_MS;

/// Longest life of an invitation, in milliseconds.
pub const INVITATION_VALID_MS_MAX: u64 = 14 * DAY_MS;

/// Models or groups that one scope may name.
pub const SCOPE_NAMES_MAX: usize = 64;

/// Longest name of a group or of an incident, in bytes.
pub const SCOPE_NAME_BYTES_MAX: usize = 64;

/// What begins the one-time code of the first administrator.
pub const BOOTSTRAP_PREFIX: &str = "lzb_";

/// What begins the one-time code of an invitation.
pub const INVITATION_PREFIX: &str = "lzi_";

/// What begins a service token.
pub const TOKEN_PREFIX: &str = "lzt_";

/// What a third party or a token may see and do: devices that match all of what is said here.
/// Routes that are about anything else are closed to them.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Scope {
    /// Only of these hardware models; of any where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<ModelName>,
    /// Only in these groups; in any where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Only with this value of the label `incident`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
}

impl Scope {
    /// Whether it says nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.models.is_empty() && self.groups.is_empty() && self.incident.is_none()
    }
}

/// `POST /v1/operators`: somebody who is to become an operator.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorRequest {
    /// Who.
    pub name: OperatorName,
    /// What they may do.
    pub roles: Vec<Role>,
    /// A third party's scope. None: one of us, without bounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// When their access ends. A third party has an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<Timestamp>,
    /// Milliseconds until the invitation lapses.
    pub valid_ms: u64,
    /// Why.
    pub reason: String,
}

/// `POST /v1/operators/NAME/invite`: another one-time code, because a key was lost.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvitationRequest {
    /// Milliseconds until it lapses.
    pub valid_ms: u64,
    /// Why.
    pub reason: String,
}

/// An operator with the code with which they fetch a certificate. It is shown once.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorMade {
    /// Who.
    pub operator: OperatorView,
    /// The secret, `lzi_` and 64 hexadecimal digits.
    pub code: String,
    /// When it lapses.
    pub expires: Timestamp,
}

/// An operator, as `GET /v1/operators` lists them.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorView {
    /// Who.
    pub name: OperatorName,
    /// What they may do; none where their certificate says it.
    pub roles: Option<Vec<Role>>,
    /// A third party's scope.
    pub scope: Option<Scope>,
    /// When their access ends.
    pub ends: Option<Timestamp>,
    /// Why they are let in no more, where that is so.
    pub disabled: Option<String>,
    /// Certificates of theirs that are good.
    pub certificates: u64,
    /// Whether an invitation waits for them.
    pub invited: bool,
    /// Who entered them.
    pub added_by: String,
    /// When.
    pub added: Timestamp,
}

/// `POST /v1/sign-in/...` on the listener for sign-in: a one-time code for a certificate.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignInRequest {
    /// The code.
    pub code: String,
    /// Who one is, or, for the first administrator, wants to be called.
    pub name: OperatorName,
    /// A PKCS#10 request in PEM over a P-256 key of one's own. Nothing of it counts but the key.
    pub csr: String,
}

/// `POST /v1/operators/renew`: another certificate before one's own ends.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewOperatorRequest {
    /// As in [`SignInRequest`].
    pub csr: String,
}

/// The certificate.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorCertificate {
    /// Whose.
    pub name: OperatorName,
    /// PEM: theirs, then the CA's.
    pub certificate_chain: String,
    /// When it ends.
    pub not_after: Timestamp,
    /// The port of the operators' listener.
    pub operator_port: u16,
}

/// `POST /v1/tokens`: a service token for a program that acts for the person who asks.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRequest {
    /// What it is for, in a word, such as `ci`.
    pub purpose: String,
    /// What it allows: roles that the person has.
    pub roles: Vec<Role>,
    /// Narrower than the person's own, where given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// Milliseconds until it ends.
    pub valid_ms: u64,
    /// Why.
    pub reason: String,
}

/// The token. Its secret is shown once; the server keeps its hash.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenMade {
    /// What is known of it from now on.
    pub token: TokenView,
    /// The secret, `lzt_` and 64 hexadecimal digits.
    pub secret: String,
}

/// A service token, as `GET /v1/tokens` lists it: without its secret.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenView {
    /// Its name.
    pub id: String,
    /// Whose person it counts as.
    pub operator: OperatorName,
    /// What it is for.
    pub purpose: String,
    /// What it allows.
    pub roles: Vec<Role>,
    /// Its own scope.
    pub scope: Option<Scope>,
    /// When it was made.
    pub made: Timestamp,
    /// When it ends.
    pub ends: Timestamp,
    /// When it was used last, to the minute; none before the first time.
    pub last_used: Option<Timestamp>,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
}
