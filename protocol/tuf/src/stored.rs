//! What a device keeps between refreshes: the files as they were received, and the floors in its
//! journal. This crate holds nothing on disk; it says what to write and takes it back.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use lazaret_protocol::digest::Sha256Digest;
use serde::{Deserialize, Serialize};

use crate::error::TufError;
use crate::name::{self, ROOT, SNAPSHOT, TIMESTAMP};

/// The metadata that is on the disk, byte for byte as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// `root.json`: the newest trusted root. On a new device the one from the factory; later never
    /// that one again, or a rollback past a rotation of keys would go unseen.
    pub root: Vec<u8>,
    /// `timestamp.json`.
    pub timestamp: Option<Vec<u8>>,
    /// `snapshot.json`.
    pub snapshot: Option<Vec<u8>>,
    /// The targets role and delegated roles, by the name of the role.
    pub roles: BTreeMap<String, Vec<u8>>,
}

impl Stored {
    /// What a new device has.
    #[must_use]
    pub const fn factory(root: Vec<u8>) -> Self {
        Self { root, timestamp: None, snapshot: None, roles: BTreeMap::new() }
    }

    /// What a folder has, from local file names and contents; none without `root.json`. Files that
    /// are not named as a role's are left aside.
    #[must_use]
    pub fn from_files(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Option<Self> {
        let mut roles: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for (file, bytes) in files {
            if let Some(role) = name::role_of_local_name(&file) {
                roles.insert(role, bytes);
            }
        }
        let root = roles.remove(ROOT)?;
        let (timestamp, snapshot) = (roles.remove(TIMESTAMP), roles.remove(SNAPSHOT));
        Some(Self { root, timestamp, snapshot, roles })
    }
}

/// The newest versions that were ever trusted. Kept in the device's journal beside the files, which
/// are separate durable writes: files first, then the journal. So a file is never older than the
/// journal unless the disk went back in time, and a file that is lost leaves its floor behind,
/// which goes on guarding against rollback.
///
/// Zero stands for none. A journal may keep the roles it wants to; each floor stands for itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Floors {
    /// Version of root.
    pub root: u64,
    /// Names the timestamp and snapshot keys under which the other floors were reached. Once a
    /// newer root has rotated those keys, the other floors fall, as the files do (TUF 5.3.11).
    pub online_keys: Option<Sha256Digest>,
    /// Version of timestamp.
    pub timestamp: u64,
    /// Version of snapshot.
    pub snapshot: u64,
    /// Version of each role that the snapshot lists.
    pub roles: BTreeMap<String, u64>,
}

impl Floors {
    /// Forgets what the online keys vouched for.
    pub(crate) fn forget_online(&mut self) {
        *self = Self { root: self.root, ..Self::default() };
    }
}

/// A change to the files on the disk. They are carried out in the order given, each one durable
/// before the next; a power cut between any two leaves a state that the next refresh takes up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Write the file, in place of what it had.
    Write {
        /// The local file name.
        file: String,
        /// What it holds from now on.
        bytes: Vec<u8>,
    },
    /// Delete the file. That it is gone already is no failure.
    Delete {
        /// The local file name.
        file: String,
    },
}

impl Change {
    /// The local file name.
    #[must_use]
    pub fn file(&self) -> &str {
        match self {
            Self::Write { file, .. } | Self::Delete { file } => file,
        }
    }
}

/// Something that is no error and that a device should note in its log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// A root rotated the timestamp or snapshot keys: the stored timestamp and snapshot, and what
    /// they guarded, are dropped (TUF 5.3.11). It is also how a repository recovers from a
    /// fast-forward attack.
    OnlineKeysRotated {
        /// The version of the root that did.
        root: u64,
    },
    /// A file is gone that the floors say was there. The floor guards in its place.
    StoredMissing {
        /// Whose file.
        role: String,
        /// The version that it had.
        floor: u64,
    },
    /// A stored file has the version that is listed and does not verify (any more). It is asked
    /// for again.
    StoredSetAside {
        /// Whose file.
        role: String,
        /// Why it does not.
        why: TufError,
    },
}
