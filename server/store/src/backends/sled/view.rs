//! What readers see: the tree as it would survive power loss. While a group is being written, the
//! values it replaces are held here and shown in the place of the new ones, so readers neither wait
//! for the disk nor see what the disk does not have yet.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use sled::{IVec, Tree};

use super::engine_error;
use super::layout::{Entry, damaged};
use crate::backend::{BackendError, SCAN_BYTES_MAX, Stored};

/// Values of the tree by key; `None`: there was none.
pub(super) type Values = BTreeMap<Vec<u8>, Option<IVec>>;

/// The tree and the values to show in place of those being written.
#[derive(Debug)]
pub(super) struct View {
    tree: Tree,
    shown: RwLock<Values>,
}

/// The view at one moment: for as long as this lives, no group begins or ends.
pub(super) struct Moment<'a> {
    tree: &'a Tree,
    shown: RwLockReadGuard<'a, Values>,
}

impl View {
    pub(super) fn new(tree: Tree) -> Self {
        Self { tree, shown: RwLock::new(Values::new()) }
    }

    pub(super) fn tree(&self) -> &Tree {
        &self.tree
    }

    pub(super) fn now(&self) -> Moment<'_> {
        let shown = self.shown.read().unwrap_or_else(PoisonError::into_inner);
        Moment { tree: &self.tree, shown }
    }

    /// From here on readers see `before`, whatever is written under those keys.
    pub(super) fn hold(&self, before: Values) {
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = before;
    }

    /// From here on readers see what was written.
    pub(super) fn release(&self) {
        self.hold(Values::new());
    }
}

impl Moment<'_> {
    pub(super) fn value(&self, key: &[u8]) -> Result<Option<IVec>, BackendError> {
        match self.shown.get(key) {
            Some(before) => Ok(before.clone()),
            None => self.tree.get(key).map_err(engine_error("read a record")),
        }
    }

    /// The record or event that `entry`, the value under `key`, stands for.
    pub(super) fn stored(&self, key: &[u8], entry: &[u8]) -> Result<Stored, BackendError> {
        let entry = Entry::decode(key, entry)?;
        let length = match entry {
            Entry::Inline { version, bytes } => {
                return Ok(Stored { version, bytes: bytes.to_vec() });
            }
            Entry::Pieces { length, .. } => length,
        };
        let mut bytes = Vec::new();
        for piece in entry.pieces() {
            let value = self.value(&piece)?;
            bytes.extend_from_slice(&value.ok_or_else(|| damaged(&piece, "a piece", &[]))?);
        }
        if bytes.len() as u64 != length {
            return Err(damaged(key, "pieces of the length that the entry says", &bytes));
        }
        Ok(Stored { version: entry.version(), bytes })
    }

    /// The records or events in `range`, in key order: at most `limit`, and no more after
    /// [`SCAN_BYTES_MAX`].
    pub(super) fn page(
        &self,
        range: Range<Vec<u8>>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Stored)>, BackendError> {
        let mut page = Vec::new();
        let mut bytes = 0_usize;
        for entry in self.entries(range).take(limit) {
            let (key, entry) = entry?;
            let stored = self.stored(&key, &entry)?;
            bytes = bytes.saturating_add(key.len()).saturating_add(stored.bytes.len());
            page.push((key.to_vec(), stored));
            if bytes >= SCAN_BYTES_MAX {
                break;
            }
        }
        Ok(page)
    }

    /// The tree's entries in `range` with the held ones in the place of those being written.
    fn entries(&self, range: Range<Vec<u8>>) -> impl Iterator<Item = Result<Pair, BackendError>> {
        let mut held = self
            .shown
            .range(range.clone())
            .filter_map(|(key, before)| Some((IVec::from(key.as_slice()), before.clone()?)))
            .peekable();
        let mut tree = self
            .tree
            .range(range)
            .filter(|item| !matches!(item, Ok((key, _)) if self.shown.contains_key(key.as_ref())))
            .map(|item| item.map_err(engine_error("walk the records")))
            .peekable();
        std::iter::from_fn(move || match (tree.peek(), held.peek()) {
            (Some(Ok((key, _))), Some((held_key, _))) if held_key < key => held.next().map(Ok),
            (None, _) => held.next().map(Ok),
            (Some(_), _) => tree.next(),
        })
    }
}

type Pair = (IVec, IVec);
