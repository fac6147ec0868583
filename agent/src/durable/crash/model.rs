//! What a disk holds for sure, what it may hold, and every combination of the latter.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashSet};
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::{Crash, Found, OwnedOp};
use crate::failpoint::Side;

/// What a disk writes whole or not at all, in bytes.
const SECTOR_BYTES: usize = 512;

/// Writes into one file of which every subset is tried; of more, those that differ from none or
/// from all by one.
const SUBSETS_OF_MAX: usize = 4;

/// Combinations over several files and folders that are all tried.
const COMBINATIONS_MAX: usize = 48;

/// What is on the disk for sure, and what may be.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(super) files: Vec<Content>,
    live: BTreeMap<PathBuf, Name>,
    durable: BTreeMap<PathBuf, Name>,
    /// Changes to the names in a folder that was not synced since; each is whole or not at all.
    pub(super) changes: BTreeMap<PathBuf, Vec<Vec<(PathBuf, Option<Name>)>>>,
    /// Names that the step under way has touched.
    touched: Vec<PathBuf>,
    /// What steps that are over have promised: each name's content, until it is touched again.
    pub(super) promises: BTreeMap<PathBuf, Option<Found>>,
    pub(super) settled: u64,
    in_step: bool,
    pub(crate) seen: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    File(usize),
    Link(String),
    Folder,
}

#[derive(Debug, Default)]
pub(super) struct Content {
    durable: Rc<Vec<u8>>,
    pub(super) pending: Vec<Change>,
}

#[derive(Debug, Clone)]
pub(super) enum Change {
    Write(u64, Vec<u8>),
    Length(u64),
}

impl Model {
    pub(super) fn new(before: &BTreeMap<PathBuf, Found>) -> Self {
        let mut model = Self::default();
        for (path, found) in before {
            let name = match found {
                Found::File(bytes) => {
                    model.files.push(Content { durable: Rc::clone(bytes), pending: Vec::new() });
                    Name::File(model.files.len() - 1)
                }
                Found::Link(target) => Name::Link(target.clone()),
                Found::Folder => Name::Folder,
            };
            model.live.insert(path.clone(), name.clone());
            model.durable.insert(path.clone(), name);
        }
        model
    }

    pub(super) fn take(&mut self, op: &OwnedOp) {
        match op {
            OwnedOp::Create(path) => match self.live.get(path) {
                Some(Name::File(file)) => self.files[*file].pending.push(Change::Length(0)),
                _ => {
                    self.files.push(Content::default());
                    let name = Name::File(self.files.len() - 1);
                    self.rename(path, vec![(path.clone(), Some(name))]);
                }
            },
            OwnedOp::Write(path, at, bytes) => {
                self.change(path, Change::Write(*at, bytes.clone()));
            }
            OwnedOp::SetLength(path, length) => self.change(path, Change::Length(*length)),
            OwnedOp::Sync(path) => {
                let file = self.file(path);
                self.files[file].settle();
                self.touch(path);
            }
            OwnedOp::SyncFolder(path) => {
                for (name, to) in self.changes.remove(path).into_iter().flatten().flatten() {
                    set(&mut self.durable, name, to);
                }
            }
            OwnedOp::SyncAll(_) => {
                for file in &mut self.files {
                    file.settle();
                }
                self.changes.clear();
                self.durable = self.live.clone();
            }
            OwnedOp::Rename(from, to) => {
                // A folder takes along what is in it.
                let moved = self.live.iter().filter(|(path, _)| path.starts_with(from));
                let mut change = Vec::new();
                for (path, name) in moved {
                    let rest = path.strip_prefix(from).unwrap();
                    let new = if rest.as_os_str().is_empty() { to.clone() } else { to.join(rest) };
                    change.extend([(path.clone(), None), (new, Some(name.clone()))]);
                }
                assert!(!change.is_empty(), "{} is renamed and is not there", from.display());
                self.rename(to, change);
            }
            OwnedOp::Remove(path) => self.rename(path, vec![(path.clone(), None)]),
            OwnedOp::Link(path, target) => {
                self.rename(path, vec![(path.clone(), Some(Name::Link(target.clone())))]);
            }
            OwnedOp::Folder(path) => self.rename(path, vec![(path.clone(), Some(Name::Folder))]),
        }
    }

    pub(super) fn file(&self, path: &Path) -> usize {
        match self.live.get(path) {
            Some(Name::File(file)) => *file,
            other => panic!("{} is {other:?} and no file", path.display()),
        }
    }

    fn change(&mut self, path: &Path, change: Change) {
        let file = self.file(path);
        self.files[file].pending.push(change);
        self.touch(path);
    }

    fn rename(&mut self, path: &Path, change: Vec<(PathBuf, Option<Name>)>) {
        for (name, to) in &change {
            set(&mut self.live, name.clone(), to.clone());
            self.touch(name);
        }
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        self.changes.entry(folder).or_default().push(change);
    }

    fn touch(&mut self, path: &Path) {
        self.promises.remove(path);
        if self.in_step {
            self.touched.push(path.to_owned());
        }
    }

    /// When a step is over, what it has touched is promised to be on the disk.
    pub(super) fn point(&mut self, side: Side) {
        self.in_step = side == Side::Before;
        if side == Side::After {
            self.settled += 1;
            for path in std::mem::take(&mut self.touched) {
                let now = self.live.get(&path).map(|name| self.found(name, None));
                self.promises.insert(path, now);
            }
        }
    }

    /// The promises that a crash's state does not keep.
    pub(crate) fn broken(&self, crash: &Crash) -> Vec<String> {
        let mut broken = Vec::new();
        for (path, promised) in &self.promises {
            let got = crash.names.get(path);
            if got != promised.as_ref() {
                let length = |found: Option<&Found>| match found {
                    Some(Found::File(bytes)) => format!("{} bytes", bytes.len()),
                    other => format!("{other:?}"),
                };
                let (want, got) = (length(promised.as_ref()), length(got));
                broken.push(format!("{}: promised {want}, got {got}", path.display()));
            }
        }
        broken
    }

    /// What a name stands for, with these changes of its content or all of them.
    fn found(&self, name: &Name, content: Option<&Rc<Vec<u8>>>) -> Found {
        match name {
            Name::File(file) => {
                let file = &self.files[*file];
                let all: Vec<&Change> = file.pending.iter().collect();
                let all = || Rc::new(changed(&file.durable, &all));
                Found::File(content.map_or_else(all, Rc::clone))
            }
            Name::Link(target) => Found::Link(target.clone()),
            Name::Folder => Found::Folder,
        }
    }

    /// Every state that the power going now could leave.
    pub(super) fn states(&self) -> Vec<BTreeMap<PathBuf, Found>> {
        let folders: Vec<&PathBuf> = self
            .changes
            .iter()
            .filter(|(_, list)| !list.is_empty())
            .map(|(path, _)| path)
            .collect();
        let unsynced: Vec<usize> =
            (0..self.files.len()).filter(|file| !self.files[*file].pending.is_empty()).collect();
        let contents: Vec<Vec<Rc<Vec<u8>>>> =
            unsynced.iter().map(|file| self.files[*file].variants()).collect();
        let mut sizes: Vec<usize> =
            folders.iter().map(|folder| self.changes[*folder].len() + 1).collect();
        sizes.extend(contents.iter().map(Vec::len));
        let picks = picks(&sizes);
        let state = |pick: Vec<usize>| {
            let mut names = self.durable.clone();
            for (folder, count) in folders.iter().zip(&pick) {
                for (name, to) in self.changes[*folder].iter().take(*count).flatten() {
                    set(&mut names, name.clone(), to.clone());
                }
            }
            let content = |name: &Name| {
                let Name::File(file) = name else { return None };
                match unsynced.iter().position(|known| known == file) {
                    Some(at) => Some(&contents[at][pick[folders.len() + at]]),
                    None => Some(&self.files[*file].durable),
                }
            };
            // A folder whose name was lost has lost what is in it.
            let there = |path: &Path| {
                path.ancestors().skip(1).all(|above| {
                    above.as_os_str().is_empty() || names.get(above) == Some(&Name::Folder)
                })
            };
            let found = names.iter().filter(|(path, _)| there(path));
            found.map(|(path, name)| (path.clone(), self.found(name, content(name)))).collect()
        };
        picks.into_iter().map(state).collect()
    }
}

impl Content {
    fn settle(&mut self) {
        let all: Vec<&Change> = self.pending.iter().collect();
        if !all.is_empty() {
            self.durable = Rc::new(changed(&self.durable, &all));
        }
        self.pending.clear();
    }

    /// What may be of this file on the disk.
    fn variants(&self) -> Vec<Rc<Vec<u8>>> {
        let count = self.pending.len();
        let mut subsets: Vec<Vec<usize>> = Vec::new();
        if count <= SUBSETS_OF_MAX {
            for bits in 0..1_usize << count {
                subsets.push((0..count).filter(|at| bits & (1 << at) != 0).collect());
            }
        } else {
            subsets.push(Vec::new());
            subsets.push((0..count).collect());
            for one in 0..count {
                subsets.push(vec![one]);
                subsets.push((0..count).filter(|at| *at != one).collect());
            }
        }
        let mut variants = Vec::new();
        for subset in subsets {
            let all: Vec<&Change> = subset.iter().map(|at| &self.pending[*at]).collect();
            variants.push(changed(&self.durable, &all));
            // The last of them is torn: only its first sectors are there, or only its last.
            if let Some((Change::Write(at, bytes), before)) = all.split_last() {
                for torn in torn(*at, bytes) {
                    let mut some = before.to_vec();
                    some.push(&torn);
                    variants.push(changed(&self.durable, &some));
                }
            }
        }
        let mut known = HashSet::new();
        variants.retain(|bytes| {
            let mut hasher = DefaultHasher::new();
            bytes.hash(&mut hasher);
            known.insert(hasher.finish())
        });
        variants.into_iter().map(Rc::new).collect()
    }
}

/// A write that ended at the edge of a sector, or began at one.
fn torn(at: u64, bytes: &[u8]) -> Vec<Change> {
    let start = usize::try_from(at).unwrap();
    let first = SECTOR_BYTES - start % SECTOR_BYTES;
    let edges: Vec<usize> = (first..bytes.len()).step_by(SECTOR_BYTES).collect();
    let mut some: Vec<usize> = edges.iter().take(2).copied().collect();
    some.extend(edges.get(edges.len() / 2));
    some.extend(edges.last());
    some.dedup();
    let mut changes = Vec::new();
    for edge in some {
        changes.push(Change::Write(at, bytes[..edge].to_vec()));
        changes.push(Change::Write(at + u64::try_from(edge).unwrap(), bytes[edge..].to_vec()));
    }
    changes
}

fn changed(durable: &[u8], changes: &[&Change]) -> Vec<u8> {
    let mut bytes = durable.to_vec();
    for change in changes {
        match change {
            Change::Length(length) => bytes.resize(usize::try_from(*length).unwrap(), 0),
            Change::Write(at, new) => {
                let at = usize::try_from(*at).unwrap();
                if bytes.len() < at + new.len() {
                    bytes.resize(at + new.len(), 0);
                }
                bytes[at..at + new.len()].copy_from_slice(new);
            }
        }
    }
    bytes
}

fn set(names: &mut BTreeMap<PathBuf, Name>, path: PathBuf, to: Option<Name>) {
    match to {
        Some(name) => names.insert(path, name),
        None => names.remove(&path),
    };
}

/// All combinations of so many choices each, or, where they are too many, none, all, and those that
/// differ from either in one place.
fn picks(sizes: &[usize]) -> Vec<Vec<usize>> {
    let all = sizes.iter().try_fold(1_usize, |product, size| product.checked_mul(*size));
    if all.is_some_and(|all| all <= COMBINATIONS_MAX) {
        let mut picks = vec![Vec::new()];
        for size in sizes {
            let longer = |pick: Vec<usize>| {
                (0..*size).map(move |choice| [pick.as_slice(), &[choice]].concat())
            };
            picks = picks.into_iter().flat_map(longer).collect();
        }
        return picks;
    }
    let none = vec![0; sizes.len()];
    let full: Vec<usize> = sizes.iter().map(|size| size - 1).collect();
    let mut picks = vec![none.clone(), full.clone()];
    for (place, size) in sizes.iter().enumerate() {
        for choice in 0..*size {
            for base in [&none, &full] {
                let mut pick = base.clone();
                pick[place] = choice;
                picks.push(pick);
            }
        }
    }
    picks
}
