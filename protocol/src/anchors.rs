//! What a device must trust beside TUF, as the TUF target `trust/anchors`, signed by the targets
//! role: a stolen server cannot add to it, and it rotates like everything else.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::id::OperatorName;
use crate::key::PublicKey;
use crate::release::{APPROVERS_MAX, Approvers};
use crate::sshsig::SshKey;

/// Largest `trust/anchors` target, in bytes.
pub const ANCHORS_BYTES_MAX: usize = 256 * 1024;

/// The content of `trust/anchors`, canonical JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchors {
    /// Format, 1.
    pub version: u64,
    /// Keys that may sign orders: the current one, and the next where a rotation is prepared.
    pub order_keys: Vec<PublicKey>,
    /// CA certificates in PEM that servers may present.
    pub server_cas: Vec<String>,
    /// CA certificates in PEM that device certificates chain to.
    pub device_cas: Vec<String>,
    /// Keys that may sign checkpoints of the server's audit log: the current one, and the next
    /// where a rotation is prepared. Devices have no use for them; auditors do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audit_keys: Vec<PublicKey>,
    /// The age recipients (`age1...`) that evidence is encrypted to on the device. Two at least, so
    /// that the loss of one key is a rotation and not a disaster. A device that knows none collects
    /// nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub responders: Vec<String>,
    /// Who may approve plans, by their own SSH keys. Servers and auditors check against it, devices
    /// have no use for it. Where it is empty, servers go by the keys that operators entered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plan_approvers: Vec<Approver>,
    /// Who may set devices free from quarantine. Where nobody is named, nobody can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approvers: Option<Approvers>,
}

/// One person's key, and what it may be used for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approver {
    /// Whose.
    pub operator: OperatorName,
    /// The key, as a line of OpenSSH.
    pub key: SshKey,
    /// The namespaces in which its signatures count, such as
    /// [`NAMESPACE_PLAN`](crate::sshsig::NAMESPACE_PLAN).
    pub namespaces: Vec<String>,
}

/// Anchors that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnchorsError {
    /// Larger than [`ANCHORS_BYTES_MAX`].
    #[error("expected anchors of at most {ANCHORS_BYTES_MAX} bytes, got {got}")]
    TooLarge {
        /// Size in bytes.
        got: usize,
    },
    /// Not anchors.
    #[error("expected anchors of format 1: {why}")]
    Malformed {
        /// What the parser said.
        why: String,
    },
}

impl Anchors {
    /// Whether `key` is listed as that of `operator` for signatures in `namespace`.
    #[must_use]
    pub fn lets_approve(&self, operator: &OperatorName, key: &SshKey, namespace: &str) -> bool {
        self.plan_approvers.iter().any(|one| {
            one.operator == *operator
                && one.key == *key
                && one.namespaces.iter().any(|listed| listed == namespace)
        })
    }

    /// Reads the target's bytes, which the caller has verified.
    ///
    /// # Errors
    /// Too large, or not of format 1.
    pub fn parse(bytes: &[u8]) -> Result<Self, AnchorsError> {
        if bytes.len() > ANCHORS_BYTES_MAX {
            return Err(AnchorsError::TooLarge { got: bytes.len() });
        }
        let anchors: Self = serde_json::from_slice(bytes)
            .map_err(|err| AnchorsError::Malformed { why: alloc::format!("{err}") })?;
        if anchors.version != 1 {
            let why = alloc::format!("it says format {}", anchors.version);
            return Err(AnchorsError::Malformed { why });
        }
        if let Some(approvers) = &anchors.approvers {
            check_approvers(approvers)?;
        }
        Ok(anchors)
    }
}

/// A threshold that nobody can reach would shut devices in for ever, and one of nobody would let
/// them all out.
fn check_approvers(approvers: &Approvers) -> Result<(), AnchorsError> {
    let people: BTreeSet<_> = approvers.keys.iter().map(|entry| &entry.name).collect();
    let keys: BTreeSet<_> = approvers.keys.iter().map(|entry| &entry.key).collect();
    let people = u64::try_from(people.len()).unwrap_or(u64::MAX);
    let why = if approvers.keys.len() > APPROVERS_MAX {
        alloc::format!("at most {APPROVERS_MAX} approvers' keys, got {}", approvers.keys.len())
    } else if keys.len() != approvers.keys.len() {
        "each approver's key once".into()
    } else if approvers.threshold == 0 || approvers.threshold > people {
        let threshold = approvers.threshold;
        alloc::format!("a threshold of 1 to the {people} approvers, got {threshold}")
    } else {
        return Ok(());
    };
    Err(AnchorsError::Malformed { why })
}
