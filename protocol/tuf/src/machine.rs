//! The one shape that refresh and search share: they say which file they want, and take it.

use alloc::string::String;
use alloc::vec::Vec;

use crate::error::TufError;
use crate::stored::{Change, Floors, Notice};

/// What a machine needs to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// A file of the repository.
    File(WantedFile),
    /// Nothing: it is done, or it has failed.
    Nothing,
}

/// A file to fetch from the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedFile {
    /// The name below the base of metadata, percent-encoded as one segment of a URL, such as
    /// `7.root.json`.
    pub name: String,
    /// How many bytes to read at most. One more is proof of endless data: reading stops there, and
    /// supplying what was read gives the right error.
    pub length_max: u64,
    /// Whether the repository may do without.
    pub presence: Presence,
}

/// Whether a file may be absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It must be there.
    Required,
    /// Absence is an ordinary answer: there is no newer root.
    Optional,
}

/// What the repository answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Supplied {
    /// The file.
    Bytes(Vec<u8>),
    /// The repository says that it has no such file (HTTP 404 or 403), as opposed to not answering:
    /// then nothing is supplied, and the refresh is given up until later.
    Missing,
}

/// A step of the client workflow that runs on files which somebody else fetches.
pub trait Machine {
    /// What it wants next. Asking twice gives the same answer.
    fn next(&self) -> Want;

    /// Takes what [`next`](Self::next) wanted.
    ///
    /// # Errors
    /// The file is not trusted, or must be there and is not. The machine then wants nothing more,
    /// and what it had accepted before stays accepted.
    fn supply(&mut self, supplied: Supplied) -> Result<(), TufError>;

    /// The changes to the files on the disk since this was last asked. To be carried out also after
    /// an error: a root that was accepted is kept even where the timestamp after it is refused.
    fn keep(&mut self) -> Vec<Change>;

    /// What happened since this was last asked that belongs in a log.
    fn notices(&mut self) -> Vec<Notice>;

    /// The versions that are trusted at this moment, for the journal: to be written after the
    /// changes of [`keep`](Self::keep), never before.
    fn floors(&self) -> Floors;
}
