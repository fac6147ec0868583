//! How much a store takes at once, with units and reasons, and the checks of it. Every engine calls
//! these checks first, so that all refuse alike.

use std::collections::HashSet;
use std::fmt;

use super::{BackendError, Batch, Key, Refused, Scan};

/// Longest key, in bytes. A device id has 64; PostgreSQL indexes at most 2704 per row.
pub const KEY_BYTES_MAX: usize = 512;

/// Largest value and largest event, in bytes. Signed metadata of up to 5 MB goes through here;
/// images and bundles are blobs.
pub const VALUE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Expectations, puts, deletions and events in one batch, together.
pub const BATCH_ITEMS_MAX: usize = 4096;

/// Bytes of keys, values and events in one batch. A batch is held in memory a few times over, and
/// holds up all commits behind it.
pub const BATCH_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Keys in one read.
pub const READ_KEYS_MAX: usize = 4096;

/// Records or events on one page.
pub const SCAN_ITEMS_MAX: usize = 4096;

/// Bytes after which a page ends. The record that reaches it is still on the page.
pub const SCAN_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A limit by name, as errors report it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// [`KEY_BYTES_MAX`].
    KeyBytes,
    /// [`VALUE_BYTES_MAX`].
    ValueBytes,
    /// [`BATCH_ITEMS_MAX`].
    BatchItems,
    /// [`BATCH_BYTES_MAX`].
    BatchBytes,
    /// [`READ_KEYS_MAX`].
    ReadKeys,
    /// [`SCAN_ITEMS_MAX`].
    ScanItems,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyBytes => write!(f, "a key of 1 to {KEY_BYTES_MAX} bytes"),
            Self::ValueBytes => write!(f, "a value or event of at most {VALUE_BYTES_MAX} bytes"),
            Self::BatchItems => write!(f, "a batch of at most {BATCH_ITEMS_MAX} items"),
            Self::BatchBytes => write!(f, "a batch of at most {BATCH_BYTES_MAX} bytes"),
            Self::ReadKeys => write!(f, "a read of at most {READ_KEYS_MAX} keys"),
            Self::ScanItems => write!(f, "a page of 1 to {SCAN_ITEMS_MAX} items"),
        }
    }
}

fn within(limit: Limit, got: usize, max: usize) -> Result<(), Refused> {
    if got > max { Err(Refused::OutsideLimit { limit, got }) } else { Ok(()) }
}

impl Key {
    pub(crate) fn check(&self) -> Result<(), Refused> {
        let got = self.as_bytes().len();
        if got == 0 {
            return Err(Refused::OutsideLimit { limit: Limit::KeyBytes, got });
        }
        within(Limit::KeyBytes, got, KEY_BYTES_MAX)
    }
}

impl Scan {
    pub(crate) fn check(&self) -> Result<(), BackendError> {
        within(Limit::KeyBytes, self.prefix.len(), KEY_BYTES_MAX)?;
        if let Some(after) = &self.after {
            after.check()?;
        }
        check_page(self.limit)
    }
}

pub(crate) fn check_page(limit: usize) -> Result<(), BackendError> {
    if limit == 0 {
        return Err(Refused::OutsideLimit { limit: Limit::ScanItems, got: 0 }.into());
    }
    Ok(within(Limit::ScanItems, limit, SCAN_ITEMS_MAX)?)
}

pub(crate) fn check_read(keys: &[Key]) -> Result<(), BackendError> {
    within(Limit::ReadKeys, keys.len(), READ_KEYS_MAX)?;
    Ok(keys.iter().try_for_each(Key::check)?)
}

impl Batch {
    pub(crate) fn items(&self) -> usize {
        [self.expect.len(), self.put.len(), self.delete.len(), self.append.len()]
            .iter()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }

    pub(crate) fn bytes(&self) -> usize {
        let expect = self.expect.iter().map(|(key, _)| key.as_bytes().len());
        let put =
            self.put.iter().map(|(key, value)| key.as_bytes().len().saturating_add(value.len()));
        let delete = self.delete.iter().map(|key| key.as_bytes().len());
        let append = self.append.iter().map(Vec::len);
        expect.chain(put).chain(delete).chain(append).fold(0, usize::saturating_add)
    }

    /// Counts first, then sizes, then contents: the cheap checks bound the work of the others.
    pub(crate) fn check(&self) -> Result<(), Refused> {
        within(Limit::BatchItems, self.items(), BATCH_ITEMS_MAX)?;
        for (key, _) in &self.expect {
            key.check()?;
        }
        for (key, value) in &self.put {
            key.check()?;
            within(Limit::ValueBytes, value.len(), VALUE_BYTES_MAX)?;
        }
        self.delete.iter().try_for_each(Key::check)?;
        for event in &self.append {
            within(Limit::ValueBytes, event.len(), VALUE_BYTES_MAX)?;
        }
        within(Limit::BatchBytes, self.bytes(), BATCH_BYTES_MAX)?;
        each_once(self.expect.iter().map(|(key, _)| key))?;
        each_once(self.put.iter().map(|(key, _)| key).chain(&self.delete))
    }
}

fn each_once<'a>(keys: impl Iterator<Item = &'a Key>) -> Result<(), Refused> {
    let mut seen = HashSet::new();
    for key in keys {
        if !seen.insert(key) {
            return Err(Refused::KeyTwice { key: key.clone() });
        }
    }
    Ok(())
}
