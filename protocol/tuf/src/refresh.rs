//! The first half of the client workflow (TUF 5.1 to 5.6.6): from what is stored to a trusted
//! top-level targets role.

use alloc::vec::Vec;

use lazaret_protocol::time::Timestamp;

use crate::error::TufError;
use crate::limits::Limits;
use crate::machine::{Machine, Presence, Supplied, Want, WantedFile};
use crate::metadata::Listed;
use crate::name::{self, ROOT, SNAPSHOT, TARGETS, TIMESTAMP};
use crate::search::Trusted;
use crate::stored::{Change, Floors, Notice, Stored};
use crate::targets::TargetsMetadata;
use crate::trust::Trust;

/// Brings the top-level metadata up to date. See the crate's documentation for how to drive it.
#[derive(Debug)]
pub struct Refresh {
    trust: Trust,
    phase: Phase,
}

/// Which file is wanted next.
#[derive(Debug)]
enum Phase {
    Root { taken: u32 },
    Timestamp,
    Snapshot,
    Targets,
    Done(TargetsMetadata),
    Failed(TufError),
}

impl Refresh {
    /// Begins a refresh at `now` (TUF 5.1: it stays the same until the targets are found) with what
    /// is stored, which is verified again.
    ///
    /// # Errors
    /// [`TufError::StoredCorrupt`] or [`TufError::StoredBelowFloor`], which name the file. Such a
    /// file other than `root.json` may be left out and the refresh begun again: the floors guard in
    /// its place. For a lost root see [`begin_from_factory_root`](Self::begin_from_factory_root).
    pub fn begin(
        stored: Stored,
        floors: Floors,
        now: Timestamp,
        limits: Limits,
    ) -> Result<Self, TufError> {
        let trust = Trust::load(stored, floors, now, limits)?;
        trust.check_root_floor()?;
        Ok(Self::from_trust(trust))
    }

    /// Begins on a device whose stored root is lost, with the root from the factory. The chain of
    /// roots must lead to the floor's at least before anything else is accepted, so that nothing
    /// older than the floors gets in.
    ///
    /// # Errors
    /// [`TufError::StoredCorrupt`]: not even the factory's root is whole.
    pub fn begin_from_factory_root(
        root: Vec<u8>,
        floors: Floors,
        now: Timestamp,
        limits: Limits,
    ) -> Result<Self, TufError> {
        Ok(Self::from_trust(Trust::load(Stored::factory(root), floors, now, limits)?))
    }

    /// The trusted metadata, for finding targets.
    ///
    /// # Errors
    /// Why the refresh failed, or [`TufError::NotFinished`]. Changes not yet asked for with
    /// [`Machine::keep`] are lost then.
    pub fn finish(self) -> Result<Trusted, TufError> {
        if let Want::File(wanted) = self.next() {
            return Err(TufError::NotFinished { file: wanted.name });
        }
        match self.phase {
            Phase::Done(targets) => Ok(Trusted::new(self.trust, targets)),
            Phase::Failed(err) => Err(err),
            _ => Err(TufError::NotWanted),
        }
    }

    fn from_trust(trust: Trust) -> Self {
        let mut refresh = Self { trust, phase: Phase::Root { taken: 0 } };
        // Without a next version or an allowance there is no root to ask for.
        if refresh.wants_no_root(0) {
            let after = refresh.finish_root();
            refresh.phase = after.unwrap_or_else(Phase::Failed);
        }
        refresh
    }

    fn wants_no_root(&self, taken: u32) -> bool {
        taken >= self.trust.limits.root_rotations_max || self.trust.root.header.version == u64::MAX
    }

    /// Takes a file that was wanted, and says what is wanted then.
    fn advance(&mut self, supplied: Supplied) -> Result<Phase, TufError> {
        let Want::File(wanted) = self.next() else { return Err(TufError::NotWanted) };
        let bytes = match (supplied, wanted.presence) {
            // 5.3.3: no newer root.
            (Supplied::Missing, Presence::Optional) => return self.finish_root(),
            (supplied, _) => bytes_of(supplied, &wanted)?,
        };
        match self.phase {
            Phase::Root { taken } => {
                self.trust.accept_root(bytes)?;
                // 5.3.9, as often as 5.3.3 allows.
                let taken = taken.saturating_add(1);
                if self.wants_no_root(taken) {
                    self.finish_root()
                } else {
                    Ok(Phase::Root { taken })
                }
            }
            Phase::Timestamp => {
                self.trust.accept_timestamp(bytes)?;
                self.enter_snapshot()
            }
            Phase::Snapshot => {
                self.trust.accept_snapshot(bytes)?;
                self.enter_targets()
            }
            Phase::Targets => {
                let keys = self.trust.root.targets.clone();
                let targets = self.trust.accept_role(TARGETS, &keys, bytes)?;
                self.trust.delete_unlisted();
                Ok(Phase::Done(targets))
            }
            Phase::Done(_) | Phase::Failed(_) => Err(TufError::NotWanted),
        }
    }

    fn finish_root(&self) -> Result<Phase, TufError> {
        self.trust.finish_root()?;
        Ok(Phase::Timestamp)
    }

    /// With an unchanged timestamp the specification stops here (5.4.3.1). This goes on with what
    /// the timestamp lists, which asks for nothing where all of it is stored, and makes good what a
    /// power cut or a failure kept from being stored the last time.
    fn enter_snapshot(&mut self) -> Result<Phase, TufError> {
        if self.trust.stored_snapshot_is_listed()? {
            self.enter_targets()
        } else {
            Ok(Phase::Snapshot)
        }
    }

    fn enter_targets(&mut self) -> Result<Phase, TufError> {
        let keys = self.trust.root.targets.clone();
        let Some(targets) = self.trust.stored_role(TARGETS, &keys)? else {
            return Ok(Phase::Targets);
        };
        self.trust.delete_unlisted();
        Ok(Phase::Done(targets))
    }
}

impl Machine for Refresh {
    fn next(&self) -> Want {
        let limits = &self.trust.limits;
        let wanted = match &self.phase {
            // 5.3.3
            Phase::Root { .. } => Ok(WantedFile {
                name: name::wire_name(ROOT, self.trust.root.header.version.checked_add(1)),
                length_max: limits.root_bytes_max,
                presence: Presence::Optional,
            }),
            // 5.4.1
            Phase::Timestamp => Ok(WantedFile {
                name: name::wire_name(TIMESTAMP, None),
                length_max: limits.timestamp_bytes_max,
                presence: Presence::Required,
            }),
            // 5.5.1
            Phase::Snapshot => self.trust.listed_snapshot().map(|listed| {
                wanted_role(&self.trust, SNAPSHOT, listed, limits.snapshot_bytes_max)
            }),
            // 5.6.1
            Phase::Targets => self
                .trust
                .listed_role(TARGETS)
                .map(|listed| wanted_role(&self.trust, TARGETS, listed, limits.targets_bytes_max)),
            Phase::Done(_) | Phase::Failed(_) => return Want::Nothing,
        };
        wanted.map_or(Want::Nothing, Want::File)
    }

    fn supply(&mut self, supplied: Supplied) -> Result<(), TufError> {
        match self.advance(supplied) {
            Ok(phase) => {
                self.phase = phase;
                Ok(())
            }
            Err(TufError::NotWanted) => Err(TufError::NotWanted),
            Err(err) => {
                self.phase = Phase::Failed(err.clone());
                Err(err)
            }
        }
    }

    fn keep(&mut self) -> Vec<Change> {
        self.trust.take_changes()
    }

    fn notices(&mut self) -> Vec<Notice> {
        self.trust.take_notices()
    }

    fn floors(&self) -> Floors {
        self.trust.floors()
    }
}

/// A file that signed metadata lists, with its version in its name where snapshots are consistent.
pub(crate) fn wanted_role(trust: &Trust, role: &str, listed: &Listed, limit: u64) -> WantedFile {
    let version = trust.root.consistent_snapshot.then_some(listed.version);
    WantedFile {
        name: name::wire_name(role, version),
        length_max: listed.length_max(limit),
        presence: Presence::Required,
    }
}

/// The bytes supplied, which must be there and no more than allowed.
pub(crate) fn bytes_of(supplied: Supplied, wanted: &WantedFile) -> Result<Vec<u8>, TufError> {
    let file = || wanted.name.clone();
    let Supplied::Bytes(bytes) = supplied else { return Err(TufError::Missing { file: file() }) };
    let got = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if got > wanted.length_max {
        return Err(TufError::TooLarge { file: file(), max: wanted.length_max, got });
    }
    Ok(bytes)
}
