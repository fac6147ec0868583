//! A disk that loses power: the operations of a run in their order, and every state that a crash
//! could leave. Until a file is synced, any part of what was written into it may be on the disk or
//! not, in any order, and of each write only some sectors; until a folder is synced, so many of the
//! changes to its names. Nothing else is promised, and nothing else is assumed.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::ops::ControlFlow;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use super::{Disk, Durable, Op};
use crate::failpoint::{Failpoints, Side};

mod model;

pub(crate) use model::Model;

/// What happened, in its order.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// An operation on the disk.
    Op(OwnedOp),
    /// A point of a durable step.
    Point(Side),
    /// Something that the world outside has seen.
    Seen(String),
}

/// An operation with paths below the recorded folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OwnedOp {
    Create(PathBuf),
    Write(PathBuf, u64, Vec<u8>),
    SetLength(PathBuf, u64),
    Sync(PathBuf),
    SyncFolder(PathBuf),
    SyncAll(PathBuf),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    Link(PathBuf, String),
    Folder(PathBuf),
}

/// Takes down what an agent does below a folder.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    root: PathBuf,
    before: BTreeMap<PathBuf, Found>,
    events: Arc<Mutex<Vec<Event>>>,
}

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Found {
    File(Rc<Vec<u8>>),
    Link(String),
    Folder,
}

/// A run that is over.
#[derive(Debug)]
pub(crate) struct Recording {
    before: BTreeMap<PathBuf, Found>,
    pub(crate) events: Vec<Event>,
}

/// What a crash has left, after so many events.
#[derive(Debug)]
pub(crate) struct Crash {
    pub(crate) after: usize,
    pub(crate) names: BTreeMap<PathBuf, Found>,
}

impl Recorder {
    /// Begins with what lies below `root` at this moment, all of it durable.
    pub(crate) fn new(root: &Path) -> Self {
        let before = look(root);
        Self { root: root.to_owned(), before, events: Arc::default() }
    }

    /// A durable room whose operations are taken down.
    pub(crate) fn durable(&self) -> Durable {
        let events = Arc::clone(&self.events);
        let points = Failpoints::calling(move |side, _| {
            events.lock().unwrap().push(Event::Point(side));
            Ok(())
        });
        Durable::on(points, self.disk())
    }

    pub(crate) fn disk(&self) -> Disk {
        let (events, root) = (Arc::clone(&self.events), self.root.clone());
        Disk::telling(move |op| events.lock().unwrap().push(Event::Op(owned(&root, op))))
    }

    /// Takes down that the world has seen something.
    pub(crate) fn seen(&self) -> impl Fn(String) + Send + Sync + 'static {
        let events = Arc::clone(&self.events);
        move |what| events.lock().unwrap().push(Event::Seen(what))
    }

    pub(crate) fn end(self) -> Recording {
        let events = std::mem::take(&mut *self.events.lock().unwrap());
        Recording { before: self.before, events }
    }
}

fn owned(root: &Path, op: &Op<'_>) -> OwnedOp {
    let below = |path: &Path| {
        path.strip_prefix(root)
            .unwrap_or_else(|_| panic!("{} is elsewhere", path.display()))
            .to_owned()
    };
    match *op {
        Op::Create(path) => OwnedOp::Create(below(path)),
        Op::Write(path, at, bytes) => OwnedOp::Write(below(path), at, bytes.to_vec()),
        Op::SetLength(path, length) => OwnedOp::SetLength(below(path), length),
        Op::Sync(path) => OwnedOp::Sync(below(path)),
        Op::SyncFolder(path) => OwnedOp::SyncFolder(below(path)),
        Op::SyncAll(path) => OwnedOp::SyncAll(below(path)),
        Op::Rename(from, to) => OwnedOp::Rename(below(from), below(to)),
        Op::Remove(path) => OwnedOp::Remove(below(path)),
        Op::Link(path, target) => OwnedOp::Link(below(path), target.to_owned()),
        Op::Folder(path) => OwnedOp::Folder(below(path)),
    }
}

/// All that lies below a folder.
pub(crate) fn look(root: &Path) -> BTreeMap<PathBuf, Found> {
    let mut names = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let kind = fs::symlink_metadata(&path).unwrap().file_type();
            let found = if kind.is_symlink() {
                Found::Link(fs::read_link(&path).unwrap().to_str().unwrap().to_owned())
            } else if kind.is_dir() {
                folders.push(path.clone());
                Found::Folder
            } else {
                Found::File(Rc::new(fs::read(&path).unwrap()))
            };
            names.insert(path.strip_prefix(root).unwrap().to_owned(), found);
        }
    }
    names
}

impl Recording {
    /// The syncs of files and folders that had anything to make durable: their places among the
    /// events, and what they sync. One that finds all of it on the disk, as after a start that goes
    /// well where the one before was killed, can be left out by definition.
    pub(crate) fn syncs(&self) -> Vec<(usize, String)> {
        let mut model = Model::new(&self.before);
        let mut syncs = Vec::new();
        for (at, event) in self.events.iter().enumerate() {
            let Event::Op(op) = event else { continue };
            match op {
                OwnedOp::Sync(path) if !model.files[model.file(path)].pending.is_empty() => {
                    syncs.push((at, format!("sync {}", path.display())));
                }
                OwnedOp::SyncFolder(path) if model.changes.contains_key(path) => {
                    syncs.push((at, format!("sync folder /{}", path.display())));
                }
                OwnedOp::SyncAll(_) => syncs.push((at, "sync all".to_owned())),
                _ => {}
            }
            model.take(op);
        }
        syncs
    }

    /// Visits every state that a crash could leave, each only once however often it comes up while
    /// no more was promised or seen; `without` the sync at this place among the events, those from
    /// there on. Gives the number of those visited.
    pub(crate) fn crashes(
        &self,
        without: Option<usize>,
        mut visit: impl FnMut(&Crash, &Model) -> ControlFlow<()>,
    ) -> usize {
        let mut model = Model::new(&self.before);
        let mut known = HashSet::new();
        for (index, event) in self.events.iter().enumerate() {
            if Some(index) == without {
                continue;
            }
            match event {
                Event::Op(op) => model.take(op),
                Event::Point(side) => model.point(*side),
                // From here on the same state has to answer for more.
                Event::Seen(what) => model.seen.push(what.clone()),
            }
            if without.is_some_and(|without| index < without) {
                // All is as with it up to its place.
                continue;
            }
            for names in model.states() {
                let mut hasher = DefaultHasher::new();
                (&names, model.promises.len(), model.seen.len(), model.settled).hash(&mut hasher);
                let crash = Crash { after: index.saturating_add(1), names };
                if known.insert(hasher.finish()) && visit(&crash, &model).is_break() {
                    return known.len();
                }
            }
        }
        known.len()
    }
}

impl Crash {
    /// The bytes of a file.
    pub(crate) fn file(&self, path: &str) -> Option<&[u8]> {
        match self.names.get(Path::new(path)) {
            Some(Found::File(bytes)) => Some(bytes),
            _ => None,
        }
    }

    /// Puts all of it below `root`, in place of what is there.
    pub(crate) fn put(&self, root: &Path) {
        for entry in fs::read_dir(root).unwrap() {
            let path = entry.unwrap().path();
            if fs::symlink_metadata(&path).unwrap().is_dir() {
                fs::remove_dir_all(path).unwrap();
            } else {
                fs::remove_file(path).unwrap();
            }
        }
        for (path, found) in &self.names {
            let path = root.join(path);
            match found {
                Found::File(bytes) => fs::write(path, bytes.as_slice()).unwrap(),
                Found::Link(target) => symlink(target, path).unwrap(),
                Found::Folder => fs::create_dir(path).unwrap(),
            }
        }
    }
}
