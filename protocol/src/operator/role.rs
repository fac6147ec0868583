//! What operators may do.

// What the derive of the schema writes refers to them.
#[cfg(feature = "schema")]
use alloc::{string::String, vec::Vec};

use serde::{Deserialize, Serialize};

/// What an operator may do. In a certificate of the key tool: one organisational unit each; of who
/// was entered on the server the registry says it.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Role {
    /// Sees everything but evidence.
    Viewer,
    /// Runs rollouts, provisions devices, may quarantine.
    Operator,
    /// Proposes and publishes releases.
    ReleaseManager,
    /// Leads an incident: may quarantine.
    IncidentCommander,
    /// Collects and pulls evidence.
    Responder,
    /// Reads the log of who did what.
    Auditor,
    /// Manages people and their tokens; acts on nothing else.
    Admin,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 7] = [
        Self::Viewer,
        Self::Operator,
        Self::ReleaseManager,
        Self::IncidentCommander,
        Self::Responder,
        Self::Auditor,
        Self::Admin,
    ];

    /// The role as it stands in a certificate.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::ReleaseManager => "release-manager",
            Self::IncidentCommander => "incident-commander",
            Self::Responder => "responder",
            Self::Auditor => "auditor",
            Self::Admin => "admin",
        }
    }

    /// Reads a role; none where there is no such role.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}
