//! What is trusted at a moment of the workflow, and the checks that something must pass to be added
//! to it. In which order files are asked for is not decided here.

mod load;

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use lazaret_protocol::time::Timestamp;

use crate::envelope::{Envelope, Header};
use crate::error::TufError;
use crate::keys::RoleKeys;
use crate::limits::Limits;
use crate::metadata::{Listed, Root, SnapshotMetadata, TimestampMetadata};
use crate::name::{self, ROOT, SNAPSHOT, TIMESTAMP};
use crate::stored::{Change, Floors, Notice};
use crate::targets::TargetsMetadata;

/// Trusted metadata, the floors below it, and what is still to be written.
#[derive(Debug)]
pub(crate) struct Trust {
    pub(crate) limits: Limits,
    /// TUF 5.1: the fixed update start time.
    now: Timestamp,
    pub(crate) root: Root,
    timestamp: Option<TimestampMetadata>,
    snapshot: Option<(SnapshotMetadata, Vec<u8>)>,
    roles: BTreeMap<String, StoredRole>,
    floors: Floors,
    changes: Vec<Change>,
    notices: Vec<Notice>,
}

/// Metadata of a targets role as stored. It is verified each time it is used, against the delegator
/// of that time: two delegators may give one role different keys.
#[derive(Debug)]
struct StoredRole {
    version: u64,
    bytes: Vec<u8>,
}

impl Trust {
    /// When the first of root, timestamp and snapshot expires.
    pub(crate) fn expires(&self) -> Timestamp {
        let timestamp = self.timestamp.iter().map(|timestamp| timestamp.header.expires);
        let snapshot = self.snapshot.iter().map(|(snapshot, _)| snapshot.header.expires);
        timestamp.chain(snapshot).fold(self.root.header.expires, Timestamp::min)
    }

    /// Takes the next root (TUF 5.3.4 to 5.3.8).
    pub(crate) fn accept_root(&mut self, bytes: Vec<u8>) -> Result<(), TufError> {
        let envelope = Envelope::read(ROOT, &bytes, &self.limits)?;
        // 5.3.4: signed by a threshold of keys of the trusted root, and of its own.
        envelope.check_signed_by(&self.root.root)?;
        let root = Root::read(&envelope)?;
        envelope.check_signed_by(&root.root)?;
        // 5.3.5: the version is exactly the next one.
        let (trusted, got) = (self.root.header.version, root.header.version);
        let expected = trusted.saturating_add(1);
        if got <= trusted {
            return Err(TufError::Rollback { role: ROOT.into(), trusted, got });
        }
        if got != expected {
            return Err(TufError::WrongVersion { role: ROOT.into(), expected, got });
        }
        if root.online_keys != self.root.online_keys {
            self.drop_online(got);
        }
        // 5.3.7 and 5.3.8. 5.3.6: its expiry does not matter yet.
        self.root = root;
        self.write(ROOT, bytes);
        Ok(())
    }

    /// **If the timestamp and / or snapshot keys have been rotated, then delete the trusted
    /// timestamp and snapshot metadata files** (TUF 5.3.11).
    ///
    /// The comparison is between each root and the one before it, from the stored one on, never
    /// from the factory's. The files go before the root is written: a power cut in between leaves
    /// the old root without them, guarded by the floors, while the other order would leave files
    /// that no key of the stored root has signed.
    fn drop_online(&mut self, root: u64) {
        self.timestamp = None;
        self.snapshot = None;
        // Also where none was taken up: a file that was set aside is older than this root too.
        self.delete(TIMESTAMP);
        self.delete(SNAPSHOT);
        // Where the chain begins at an older root than the floors know, only what comes after them
        // can make them fall.
        if root > self.floors.root {
            self.floors.forget_online();
            self.notices.push(Notice::OnlineKeysRotated { root });
        }
    }

    /// Ends the update of root (TUF 5.3.10). 5.3.12 is [`Root::consistent_snapshot`].
    pub(crate) fn finish_root(&self) -> Result<(), TufError> {
        let (trusted, got) = (self.floors.root, self.root.header.version);
        if got < trusted {
            return Err(TufError::Rollback { role: ROOT.into(), trusted, got });
        }
        self.check_fresh(ROOT, &self.root.header)
    }

    /// Takes the timestamp (TUF 5.4.2 to 5.4.5).
    pub(crate) fn accept_timestamp(&mut self, bytes: Vec<u8>) -> Result<(), TufError> {
        let new = self.read_timestamp(&bytes)?;
        let got = new.header.version;
        // 5.4.3.1: no older version; and an equal one is discarded, whatever it says.
        if let Some(trusted) = &self.timestamp
            && trusted.header.version == got
        {
            return self.check_fresh(TIMESTAMP, &trusted.header);
        }
        let trusted = self.timestamp.as_ref().map_or(0, |trusted| trusted.header.version);
        not_older(TIMESTAMP, trusted.max(self.floors.timestamp), got)?;
        // 5.4.3.2: nor one that lists an older snapshot.
        let trusted = self.timestamp.as_ref().map_or(0, |trusted| trusted.snapshot.version);
        not_older(SNAPSHOT, trusted.max(self.floors.snapshot), new.snapshot.version)?;
        // 5.4.4
        self.check_fresh(TIMESTAMP, &new.header)?;
        self.timestamp = Some(new);
        // 5.4.5
        self.write(TIMESTAMP, bytes);
        Ok(())
    }

    /// What the timestamp lists as the snapshot.
    pub(crate) fn listed_snapshot(&self) -> Result<&Listed, TufError> {
        let timestamp = self.timestamp.as_ref();
        timestamp.map(|timestamp| &timestamp.snapshot).ok_or(TufError::NotWanted)
    }

    /// Whether the stored snapshot is the one that the timestamp lists, so that nothing need be
    /// fetched.
    pub(crate) fn stored_snapshot_is_listed(&mut self) -> Result<bool, TufError> {
        let listed = self.listed_snapshot()?;
        let Some((snapshot, bytes)) = &self.snapshot else { return Ok(false) };
        if snapshot.header.version != listed.version {
            return Ok(false);
        }
        if let Err(why) = listed.check_bytes(SNAPSHOT, bytes) {
            self.notices.push(Notice::StoredSetAside { role: SNAPSHOT.into(), why });
            return Ok(false);
        }
        // 5.5.6
        self.check_fresh(SNAPSHOT, &snapshot.header)?;
        Ok(true)
    }

    /// Takes the snapshot (TUF 5.5.2 to 5.5.7).
    pub(crate) fn accept_snapshot(&mut self, bytes: Vec<u8>) -> Result<(), TufError> {
        let listed = self.listed_snapshot()?;
        // 5.5.2
        listed.check_bytes(SNAPSHOT, &bytes)?;
        // 5.5.3
        let new = self.read_snapshot(&bytes)?;
        // 5.5.4
        listed.check_version(SNAPSHOT, new.header.version)?;
        // 5.5.5: no role goes back, and none is left out.
        let trusted = self.snapshot.iter().flat_map(|(trusted, _)| &trusted.roles);
        let trusted = trusted.map(|(role, listed)| (role, listed.version));
        let floors = self.floors.roles.iter().map(|(role, floor)| (role, *floor));
        for (role, trusted) in trusted.chain(floors) {
            let Some(listed) = new.roles.get(role) else {
                return Err(TufError::RoleVanished { role: role.clone() });
            };
            not_older(role, trusted, listed.version)?;
        }
        // 5.5.6
        self.check_fresh(SNAPSHOT, &new.header)?;
        // 5.5.7
        self.write(SNAPSHOT, bytes.clone());
        self.snapshot = Some((new, bytes));
        Ok(())
    }

    /// What the snapshot lists as the metadata of a targets role.
    pub(crate) fn listed_role(&self, role: &str) -> Result<&Listed, TufError> {
        let (snapshot, _) = self.snapshot.as_ref().ok_or(TufError::NotWanted)?;
        let listed = snapshot.roles.get(role);
        listed.ok_or_else(|| TufError::NotInSnapshot { role: role.into() })
    }

    /// The stored metadata of a targets role, where it is what the snapshot lists and verifies
    /// under its delegator.
    pub(crate) fn stored_role(
        &mut self,
        role: &str,
        keys: &RoleKeys,
    ) -> Result<Option<TargetsMetadata>, TufError> {
        let listed = self.listed_role(role)?;
        let Some(stored) = self.roles.get(role) else { return Ok(None) };
        if stored.version != listed.version {
            return Ok(None);
        }
        match self.read_role(role, keys, &stored.bytes) {
            Ok(targets) => Ok(Some(targets)),
            // A version is published once, so that fetching it again would not renew it.
            Err(expired @ TufError::Expired { .. }) => Err(expired),
            Err(why) => {
                self.notices.push(Notice::StoredSetAside { role: role.into(), why });
                Ok(None)
            }
        }
    }

    /// Takes metadata of a targets role (TUF 5.6.2 to 5.6.6).
    pub(crate) fn accept_role(
        &mut self,
        role: &str,
        keys: &RoleKeys,
        bytes: Vec<u8>,
    ) -> Result<TargetsMetadata, TufError> {
        let targets = self.read_role(role, keys, &bytes)?;
        self.write(role, bytes.clone());
        let version = targets.header.version;
        self.roles.insert(role.into(), StoredRole { version, bytes });
        Ok(targets)
    }

    /// Deletes the files of roles that the snapshot lists no more.
    pub(crate) fn delete_unlisted(&mut self) {
        let Some((snapshot, _)) = &self.snapshot else { return };
        let unlisted = self.roles.keys().filter(|role| !snapshot.roles.contains_key(*role));
        for role in unlisted.cloned().collect::<Vec<_>>() {
            self.roles.remove(&role);
            self.delete(&role);
        }
    }

    /// See [`crate::Machine::keep`].
    pub(crate) fn take_changes(&mut self) -> Vec<Change> {
        core::mem::take(&mut self.changes)
    }

    /// See [`crate::Machine::notices`].
    pub(crate) fn take_notices(&mut self) -> Vec<Notice> {
        core::mem::take(&mut self.notices)
    }

    /// See [`crate::Machine::floors`].
    pub(crate) fn floors(&self) -> Floors {
        let mut floors = self.floors.clone();
        if self.root.header.version < floors.root {
            return floors;
        }
        floors.root = self.root.header.version;
        floors.online_keys = Some(self.root.online_keys);
        if let Some(timestamp) = &self.timestamp {
            floors.timestamp = floors.timestamp.max(timestamp.header.version);
        }
        if let Some((snapshot, _)) = &self.snapshot {
            floors.snapshot = floors.snapshot.max(snapshot.header.version);
            for (role, listed) in &snapshot.roles {
                let floor = floors.roles.entry(role.clone()).or_default();
                *floor = listed.version.max(*floor);
            }
        }
        floors
    }

    fn read_timestamp(&self, bytes: &[u8]) -> Result<TimestampMetadata, TufError> {
        let envelope = Envelope::read(TIMESTAMP, bytes, &self.limits)?;
        // 5.4.2
        envelope.check_signed_by(&self.root.timestamp)?;
        TimestampMetadata::read(&envelope)
    }

    fn read_snapshot(&self, bytes: &[u8]) -> Result<SnapshotMetadata, TufError> {
        let envelope = Envelope::read(SNAPSHOT, bytes, &self.limits)?;
        // 5.5.3
        envelope.check_signed_by(&self.root.snapshot)?;
        SnapshotMetadata::read(&envelope)
    }

    fn read_role(
        &self,
        role: &str,
        keys: &RoleKeys,
        bytes: &[u8],
    ) -> Result<TargetsMetadata, TufError> {
        let listed = self.listed_role(role)?;
        // 5.6.2
        listed.check_bytes(role, bytes)?;
        // 5.6.3
        let envelope = Envelope::read(role, bytes, &self.limits)?;
        envelope.check_signed_by(keys)?;
        let targets = TargetsMetadata::read(envelope)?;
        // 5.6.4
        listed.check_version(role, targets.header.version)?;
        // 5.6.5
        self.check_fresh(role, &targets.header)?;
        Ok(targets)
    }

    /// **Check for a freeze attack** (TUF 5.3.10, 5.4.4, 5.5.6, 5.6.5).
    fn check_fresh(&self, role: &str, header: &Header) -> Result<(), TufError> {
        if header.expires > self.now {
            return Ok(());
        }
        let (expires, now) = (header.expires, self.now);
        Err(TufError::Expired { role: role.into(), expires, now })
    }

    /// Of several roots in one refresh, only the newest need be written.
    fn write(&mut self, role: &str, bytes: Vec<u8>) {
        let file = name::local_name(role);
        self.changes.retain(|c| !matches!(c, Change::Write { file: f, .. } if *f == file));
        self.changes.push(Change::Write { file, bytes });
    }

    fn delete(&mut self, role: &str) {
        let delete = Change::Delete { file: name::local_name(role) };
        self.changes.retain(|change| *change != delete);
        self.changes.push(delete);
    }
}

/// **Check for a rollback attack** (TUF 5.4.3, 5.5.5).
fn not_older(role: &str, trusted: u64, got: u64) -> Result<(), TufError> {
    if got < trusted {
        return Err(TufError::Rollback { role: role.to_string(), trusted, got });
    }
    Ok(())
}
