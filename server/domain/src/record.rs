//! Records as decisions see them, and the decision itself: what was read, what is to be written,
//! what is to be said once that is on disk. How a record is kept is the store's affair.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::sweep::table::Seen;

/// Something the store keeps under `KIND/name`.
pub trait Record: Serialize + DeserializeOwned {
    /// First part of its key. Never reused for anything else.
    const KIND: &'static str;
    /// The version of its format, written with it.
    const FORMAT: u32 = 1;
    /// Second part of its key, made of identifiers and slashes.
    fn name(&self) -> String;
    /// What sweeps want to know of it; nothing of most records.
    fn seen(&self) -> Option<Seen> {
        None
    }
}

/// The key of the record of kind `T` that is called `name`.
#[must_use]
pub fn key_of<T: Record>(name: &str) -> String {
    format!("{}/{name}", T::KIND)
}

/// The version of a record at the moment it was read; none where there was no record.
pub type ReadVersion = Option<u64>;

/// What a look-up found, with the version it had, so that a decision can name what it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<T> {
    /// The key looked up.
    pub key: String,
    /// Its version; none where there was nothing.
    pub version: ReadVersion,
    /// The record; none where there was nothing.
    pub value: Option<T>,
}

/// A record of a format that this program does not know, or no record at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// There are no bytes for this record, or no record in these bytes.
    #[error("record {key} is not as expected: {why}")]
    Malformed {
        /// Its key.
        key: String,
        /// What the parser or the serialiser said.
        why: String,
    },
    /// Written by a newer program.
    #[error("record {key} has format {got}, this program knows up to {known}")]
    NewerFormat {
        /// Its key.
        key: String,
        /// The highest format known here.
        known: u32,
        /// The format it has.
        got: u32,
    },
}

#[derive(Serialize, Deserialize)]
struct Framed<T> {
    format: u32,
    record: T,
}

/// The bytes of a record.
///
/// # Errors
/// JSON has no form for it. No record of ours is so, but empty bytes must never be committed.
fn encode<T: Record>(key: &str, record: &T) -> Result<Vec<u8>, RecordError> {
    serde_json::to_vec(&Framed { format: T::FORMAT, record })
        .map_err(|err| RecordError::Malformed { key: key.into(), why: format!("{err}") })
}

/// Reads a record back.
///
/// # Errors
/// Not a record, or of a newer format.
pub fn decode<T: Record>(key: &str, bytes: &[u8]) -> Result<T, RecordError> {
    #[derive(Deserialize)]
    struct FormatOnly {
        format: u32,
    }
    let newer = |got| RecordError::NewerFormat { key: key.into(), known: T::FORMAT, got };
    match serde_json::from_slice::<Framed<T>>(bytes) {
        Ok(framed) if framed.format > T::FORMAT => Err(newer(framed.format)),
        Ok(framed) => Ok(framed.record),
        // Only what cannot be read is read twice: whether it is of a newer format, or none at all.
        Err(err) => match serde_json::from_slice(bytes) {
            Ok(FormatOnly { format }) if format > T::FORMAT => Err(newer(format)),
            _ => Err(RecordError::Malformed { key: key.into(), why: format!("{err}") }),
        },
    }
}

/// What is to be done about one request: nothing of `reply` may leave before the store has
/// committed the rest, which it refuses when anything in `expect` has changed since.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Decision<R> {
    expect: Vec<(String, ReadVersion)>,
    put: Vec<(String, Vec<u8>)>,
    removed: Vec<String>,
    events: Vec<Event>,
    seen: Vec<Seen>,
    unwritable: Option<RecordError>,
    reply: R,
}

/// The parts of a [`Decision`], for the store.
#[derive(Debug)]
pub struct DecisionParts<R> {
    /// Keys and the versions they must still have.
    pub expect: Vec<(String, ReadVersion)>,
    /// Keys and their new bytes.
    pub put: Vec<(String, Vec<u8>)>,
    /// Keys of records that go.
    pub removed: Vec<String>,
    /// What happened.
    pub events: Vec<Event>,
    /// What to say afterwards.
    pub reply: R,
}

impl<R> Decision<R> {
    /// A decision that says `reply` and changes nothing yet.
    pub const fn reply(reply: R) -> Self {
        Self {
            expect: Vec::new(),
            put: Vec::new(),
            removed: Vec::new(),
            events: Vec::new(),
            seen: Vec::new(),
            unwritable: None,
            reply,
        }
    }

    /// Rests on what `found` says.
    pub fn resting_on<T>(mut self, found: &Found<T>) -> Self {
        if !self.expect.iter().any(|(key, _)| *key == found.key) {
            self.expect.push((found.key.clone(), found.version));
        }
        self
    }

    /// Writes `record`. Where it has no bytes, taking the decision apart fails, and so the commit.
    pub fn put<T: Record>(mut self, record: &T) -> Self {
        let key = key_of::<T>(&record.name());
        match encode(&key, record) {
            Ok(bytes) => {
                self.put.push((key, bytes));
                self.seen.extend(record.seen());
            }
            Err(err) => self.unwritable = Some(err),
        }
        self
    }

    /// Takes away the record of kind `T` called `name`, which its successor stands in for: nothing
    /// that is evidence goes this way.
    pub fn remove<T: Record>(mut self, name: &str) -> Self {
        self.removed.push(key_of::<T>(name));
        self
    }

    /// Replaces what was found by `record`.
    pub fn replace<T: Record>(self, found: &Found<T>, record: &T) -> Self {
        self.resting_on(found).put(record)
    }

    /// Adds to the event log.
    pub fn event(mut self, event: Event) -> Self {
        self.events.push(event);
        self
    }

    /// Does what `other` does as well, in the same commit, and says nothing of it.
    pub fn and<S>(mut self, other: Decision<S>) -> Self {
        for (key, version) in other.expect {
            if !self.expect.iter().any(|(known, _)| *known == key) {
                self.expect.push((key, version));
            }
        }
        self.put.extend(other.put);
        self.removed.extend(other.removed);
        self.events.extend(other.events);
        self.seen.extend(other.seen);
        self.unwritable = self.unwritable.or(other.unwritable);
        self
    }

    /// Whether committing it would change anything.
    #[must_use]
    pub const fn changes_nothing(&self) -> bool {
        self.put.is_empty()
            && self.removed.is_empty()
            && self.events.is_empty()
            && self.unwritable.is_none()
    }

    /// What would be said, for tests and for previews that are never sent.
    pub const fn preview(&self) -> &R {
        &self.reply
    }

    /// What sweeps want to know of it, once it is committed.
    pub fn take_seen(&mut self) -> Vec<Seen> {
        core::mem::take(&mut self.seen)
    }

    /// Another reply to the same changes.
    pub fn with_reply<S>(self, reply: S) -> Decision<S> {
        let Self { expect, put, removed, events, seen, unwritable, .. } = self;
        Decision { expect, put, removed, events, seen, unwritable, reply }
    }

    /// Takes it apart. Only the store has a use for this.
    ///
    /// # Errors
    /// A record that is to be written has no bytes.
    pub fn into_parts(self) -> Result<DecisionParts<R>, RecordError> {
        let Self { expect, put, removed, events, unwritable, reply, .. } = self;
        match unwritable {
            Some(err) => Err(err),
            None => Ok(DecisionParts { expect, put, removed, events, reply }),
        }
    }
}

#[cfg(test)]
mod tests;
