//! Taking up what a device has stored: every file is verified again, and compared with the floors.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::ToString as _;
use alloc::vec::Vec;

use lazaret_protocol::time::Timestamp;

use super::{StoredRole, Trust};
use crate::envelope::{Envelope, Header};
use crate::error::TufError;
use crate::limits::Limits;
use crate::metadata::Root;
use crate::name::{self, ROOT, SNAPSHOT, TARGETS, TIMESTAMP};
use crate::stored::{Floors, Notice, Stored};

impl Trust {
    /// **Load trusted root metadata** (TUF 5.2), and what else is stored.
    pub(crate) fn load(
        stored: Stored,
        floors: Floors,
        now: Timestamp,
        limits: Limits,
    ) -> Result<Self, TufError> {
        let root = load_root(&stored.root, &limits).map_err(|err| corrupt(ROOT, err))?;
        let mut trust = Self {
            limits,
            now,
            root,
            timestamp: None,
            snapshot: None,
            roles: BTreeMap::new(),
            floors,
            changes: Vec::new(),
            notices: Vec::new(),
        };
        trust.settle_floors();
        if let Some(bytes) = &stored.timestamp {
            trust.load_timestamp(bytes)?;
        }
        if let Some(bytes) = stored.snapshot {
            trust.load_snapshot(bytes)?;
        }
        for (role, bytes) in stored.roles {
            let header = load_role(&role, &bytes, &trust.limits);
            let version = header.map_err(|err| corrupt(&role, err))?.version;
            trust.roles.insert(role, StoredRole { version, bytes });
        }
        trust.notice_missing();
        Ok(trust)
    }

    /// The journal is written after the files. Where the power went in between, the stored root may
    /// be one that has rotated the online keys since the journal was written: then the floors fall
    /// with the files (TUF 5.3.11), which were deleted before that root was written.
    fn settle_floors(&mut self) {
        let rotated = self.floors.online_keys.is_some_and(|keys| keys != self.root.online_keys);
        if rotated && self.root.header.version > self.floors.root {
            self.floors.forget_online();
        }
    }

    fn load_timestamp(&mut self, bytes: &[u8]) -> Result<(), TufError> {
        let timestamp = self.read_timestamp(bytes).map_err(|err| corrupt(TIMESTAMP, err))?;
        at_least(TIMESTAMP, TIMESTAMP, self.floors.timestamp, timestamp.header.version)?;
        self.timestamp = Some(timestamp);
        Ok(())
    }

    fn load_snapshot(&mut self, bytes: Vec<u8>) -> Result<(), TufError> {
        let snapshot = self.read_snapshot(&bytes).map_err(|err| corrupt(SNAPSHOT, err))?;
        at_least(SNAPSHOT, SNAPSHOT, self.floors.snapshot, snapshot.header.version)?;
        for (role, floor) in &self.floors.roles {
            let got = snapshot.roles.get(role).map_or(0, |listed| listed.version);
            at_least(SNAPSHOT, role, *floor, got)?;
        }
        self.snapshot = Some((snapshot, bytes));
        Ok(())
    }

    fn notice_missing(&mut self) {
        let timestamp = (TIMESTAMP, self.floors.timestamp, self.timestamp.is_none());
        let snapshot = (SNAPSHOT, self.floors.snapshot, self.snapshot.is_none());
        for (role, floor, missing) in [timestamp, snapshot] {
            if missing && floor > 0 {
                self.notices.push(Notice::StoredMissing { role: role.into(), floor });
            }
        }
    }

    /// Whether the trusted root is at least as new as the floor.
    pub(crate) fn check_root_floor(&self) -> Result<(), TufError> {
        at_least(ROOT, ROOT, self.floors.root, self.root.header.version)
    }
}

/// The stored root has been verified before it was stored, and the factory's is trusted as it is;
/// that it is signed by itself shows that it is whole.
fn load_root(bytes: &[u8], limits: &Limits) -> Result<Root, TufError> {
    let envelope = Envelope::read(ROOT, bytes, limits)?;
    let root = Root::read(&envelope)?;
    envelope.check_signed_by(&root.root)?;
    Ok(root)
}

/// Signatures of a targets role are checked when it is used, since its delegator is known only
/// then.
fn load_role(role: &str, bytes: &[u8], limits: &Limits) -> Result<Header, TufError> {
    Envelope::read(role, bytes, limits)?.header(TARGETS)
}

fn corrupt(role: &str, source: TufError) -> TufError {
    TufError::StoredCorrupt { file: name::local_name(role), source: Box::new(source) }
}

/// Compares the version of `role` that the file of `said_by` says with its floor.
fn at_least(said_by: &str, role: &str, floor: u64, got: u64) -> Result<(), TufError> {
    if got < floor {
        let file = name::local_name(said_by);
        return Err(TufError::StoredBelowFloor { file, role: role.to_string(), floor, got });
    }
    Ok(())
}
