//! A root: who may sign.

use std::collections::HashMap;

use lazaret_protocol::key::PublicKey;
use lazaret_protocol::time::Timestamp;
use lazaret_repo_keys_signing::metadata::{
    Document, Keyring, MetadataError, make, payload_of, rules,
};
use tough::schema::{RoleType, Root};

use super::KeySet;

/// What a root will say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootPlan {
    /// One more than the last.
    pub version: u64,
    /// When it expires.
    pub expires: Timestamp,
    /// Holders of root.
    pub root: KeySet,
    /// Holders of targets.
    pub targets: KeySet,
    /// The server's key for snapshots.
    pub snapshot: PublicKey,
    /// The server's key for timestamps.
    pub timestamp: PublicKey,
}

impl RootPlan {
    pub(super) fn payload(&self) -> Result<Vec<u8>, MetadataError> {
        let mut keys = HashMap::new();
        let mut roles = HashMap::new();
        let one = |key: &PublicKey| (vec![key.clone()], 1);
        for (role, (publics, threshold)) in [
            (RoleType::Root, (self.root.to_vec(), self.root.threshold)),
            (RoleType::Targets, (self.targets.to_vec(), self.targets.threshold)),
            (RoleType::Snapshot, one(&self.snapshot)),
            (RoleType::Timestamp, one(&self.timestamp)),
        ] {
            let listed = make::role_keys(&role.to_string(), &publics, threshold, &mut keys)?;
            roles.insert(role, listed);
        }
        let root = Root {
            spec_version: make::SPEC_VERSION.to_owned(),
            consistent_snapshot: true,
            version: make::number("root", self.version)?,
            expires: make::moment(self.expires),
            keys,
            roles,
            _extra: HashMap::new(),
        };
        rules::check_root(&root)?;
        payload_of(&root)
    }

    /// Reads a root.
    ///
    /// # Errors
    /// It says what no root of this house may say.
    pub fn of(document: &Document<Root>) -> Result<Self, MetadataError> {
        let root = &document.signed;
        rules::check_root(root)?;
        let set = |role| Keyring::of_root(root, role).map(KeySet::from);
        Ok(Self {
            version: document.version(),
            expires: document.expires(),
            root: set(RoleType::Root)?,
            targets: set(RoleType::Targets)?,
            snapshot: single("snapshot", set(RoleType::Snapshot)?)?,
            timestamp: single("timestamp", set(RoleType::Timestamp)?)?,
        })
    }
}

/// The one key of an online role.
pub(super) fn single(role: &str, set: KeySet) -> Result<PublicKey, MetadataError> {
    let what = format!("{} keys with a threshold of {}", set.keys.len(), set.threshold);
    let mut keys = set.keys.into_iter();
    match (keys.next(), keys.next(), set.threshold) {
        (Some(key), None, 1) => Ok(key),
        _ => Err(MetadataError::OutOfScope { role: role.to_owned(), what }),
    }
}
