//! A device: its disk, its journal, its clock, and the loop that a shell runs.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use lazaret_protocol::time::Timestamp;
use serde_json::Value;

use super::repository::Repository;
use crate::error::TufError;
use crate::limits::Limits;
use crate::machine::{Machine, Want};
use crate::refresh::Refresh;
use crate::search::Trusted;
use crate::stored::{Change, Floors, Notice, Stored};
use crate::target::Target;

pub(super) struct Device {
    pub(super) disk: BTreeMap<String, Vec<u8>>,
    pub(super) journal: Floors,
    pub(super) now: Timestamp,
    pub(super) limits: Limits,
    pub(super) notices: Vec<Notice>,
    /// Changes that reach the disk before the power goes. The journal is written after all.
    pub(super) power: usize,
}

impl Device {
    /// A device with the repository's first root.
    pub(super) fn new(repository: &Repository) -> Self {
        let root = repository.files["1.root.json"].clone();
        Self {
            disk: BTreeMap::from([("root.json".to_string(), root)]),
            journal: Floors::default(),
            now: Timestamp::parse_rfc3339("2026-11-01T00:00:00Z").unwrap(),
            limits: Limits::default(),
            notices: Vec::new(),
            power: usize::MAX,
        }
    }

    pub(super) fn begin(&self) -> Result<Refresh, TufError> {
        let stored = Stored::from_files(self.disk.clone()).unwrap();
        Refresh::begin(stored, self.journal.clone(), self.now, self.limits.clone())
    }

    pub(super) fn refresh(&mut self, repository: &Repository) -> Result<Trusted, TufError> {
        let refresh = self.begin()?;
        self.run(refresh, repository)
    }

    pub(super) fn run(
        &mut self,
        mut refresh: Refresh,
        repository: &Repository,
    ) -> Result<Trusted, TufError> {
        let outcome = drive(&mut refresh, repository);
        self.keep(&mut refresh);
        outcome.and_then(|()| refresh.finish())
    }

    /// Refreshes, and searches.
    pub(super) fn find(&mut self, repository: &Repository, name: &str) -> Result<Target, TufError> {
        let mut trusted = self.refresh(repository)?;
        self.search(&mut trusted, repository, name)
    }

    pub(super) fn search(
        &mut self,
        trusted: &mut Trusted,
        repository: &Repository,
        name: &str,
    ) -> Result<Target, TufError> {
        let mut search = trusted.find(name);
        let outcome = drive(&mut search, repository);
        self.keep(&mut search);
        let found = search.finish();
        if let Err(told) = outcome {
            assert_eq!(found.as_ref(), Err(&told));
        }
        found
    }

    fn keep(&mut self, machine: &mut impl Machine) {
        self.notices.extend(machine.notices());
        for change in machine.keep() {
            if self.power == 0 {
                return;
            }
            self.power -= 1;
            match change {
                Change::Write { file, bytes } => self.disk.insert(file, bytes),
                Change::Delete { file } => self.disk.remove(&file),
            };
        }
        if self.power > 0 {
            self.journal = machine.floors();
        }
    }

    /// The version on the disk, zero where there is no file.
    pub(super) fn version(&self, role: &str) -> u64 {
        let bytes = self.disk.get(&crate::name::local_name(role));
        let file: Option<Value> = bytes.map(|bytes| serde_json::from_slice(bytes).unwrap());
        file.map_or(0, |file| file["signed"]["version"].as_u64().unwrap())
    }

    /// Versions of root, timestamp, snapshot and targets on the disk.
    pub(super) fn versions(&self) -> [u64; 4] {
        ["root", "timestamp", "snapshot", "targets"].map(|role| self.version(role))
    }
}

pub(super) fn drive(machine: &mut impl Machine, repository: &Repository) -> Result<(), TufError> {
    while let Want::File(wanted) = machine.next() {
        machine.supply(repository.serve(&wanted))?;
    }
    Ok(())
}
