//! The journal's file and its copy. Two records written in turn outlive any power cut; the copy
//! beside them outlives the loss of both, and shows where an old journal was put back.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use lazaret_agent_core::journal::{Journal, Update};
use lazaret_agent_core::record::{self, JOURNAL_BYTES, RECORD_BYTES};

use super::{Access, Durable, DurableError, read, told};
use crate::failpoint::Step;

/// The journal's file: two records that are written in turn.
#[derive(Debug)]
pub struct JournalFile {
    file: File,
    path: PathBuf,
    durable: Durable,
    /// What the copy holds, without what every poll changes.
    copied: RefCell<Option<Journal>>,
}

/// The copy of the journal, as far as there is a good one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Copied {
    /// There is none: the device has never written a journal, or comes from an agent without
    /// copies.
    Nothing,
    /// It cannot be read.
    Corrupt,
    /// It holds this.
    Good(Box<Journal>),
}

impl JournalFile {
    /// Makes the file of zeros that stands for a device which has never started. An existing one
    /// stays.
    ///
    /// # Errors
    /// The file system said no.
    pub fn provision(durable: &Durable, path: &Path) -> Result<(), DurableError> {
        if path.exists() {
            return Ok(());
        }
        durable.write(path, &[0; JOURNAL_BYTES], Access::Folder, "provision-journal")
    }

    /// Opens the file and reads the newest journal in it.
    ///
    /// # Errors
    /// There is no such file, both of its records are corrupt, or it is older than its copy: never
    /// a silent reset.
    pub fn open(durable: &Durable, path: &Path) -> Result<(Self, Journal), DurableError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map_err(told("open the journal", path))?;
        let journal = Self::load(path)?;
        let (path, durable) = (path.to_owned(), durable.clone());
        Ok((Self { file, path, durable, copied: RefCell::default() }, journal))
    }

    /// Reads the copy that lies beside the journal.
    #[must_use]
    pub fn load_copy(path: &Path) -> Copied {
        let max = u64::try_from(RECORD_BYTES).unwrap_or(u64::MAX);
        match read(&copy_of(path), max) {
            Ok(None) => Copied::Nothing,
            Ok(Some(bytes)) => match record::decode_one(&bytes) {
                Ok(journal) => Copied::Good(Box::new(journal)),
                Err(_) => Copied::Corrupt,
            },
            Err(_) => Copied::Corrupt,
        }
    }

    /// Reads the newest journal without opening the file for writing.
    ///
    /// # Errors
    /// As [`JournalFile::open`].
    pub fn load(path: &Path) -> Result<Journal, DurableError> {
        let max = u64::try_from(JOURNAL_BYTES).unwrap_or(u64::MAX);
        let bytes = read(path, max)?.ok_or_else(|| DurableError::Io {
            what: "open the journal",
            path: path.to_owned(),
            source: io::ErrorKind::NotFound.into(),
        })?;
        let journal = record::decode(&bytes)
            .map_err(|source| DurableError::Journal { path: path.to_owned(), source })?;
        let Copied::Good(copy) = Self::load_copy(path) else { return Ok(journal) };
        let (copied, got) = (copy.generation, journal.generation);
        // The copy is written before the journal, with the generation that comes next: where the
        // power went in between, or the newest record has rotted since, it is the journal.
        if copied > got.saturating_add(1) {
            return Err(DurableError::JournalWentBack { path: path.to_owned(), copied, got });
        }
        Ok(if copied > got { *copy } else { journal })
    }

    /// Makes `journal` durable in the record of its generation; the other record stays as it is.
    ///
    /// # Errors
    /// The journal does not fit, or the file system said no.
    pub fn write(&self, journal: &Journal) -> Result<(), DurableError> {
        let step = step_of(journal);
        let points = self.durable.points();
        let bytes = record::encode(journal)
            .map_err(|source| DurableError::Journal { path: self.path.clone(), source })?;
        self.copy(journal, &bytes)?;
        points.before(step).map_err(told("write", &self.path))?;
        let at = record::place(journal.generation);
        let disk = self.durable.disk();
        disk.write_at(&self.file, &self.path, &bytes, at).map_err(told("write", &self.path))?;
        disk.sync(&self.file, &self.path).map_err(told("sync", &self.path))?;
        points.after(step).map_err(told("write", &self.path))
    }

    /// The copy is for the day on which both records are lost: floors, orders and what the slots
    /// hold. It follows whatever of the journal is more than the pulse of polls, and goes before
    /// it: so it is never behind on a floor.
    fn copy(&self, journal: &Journal, bytes: &[u8]) -> Result<(), DurableError> {
        let facts = journal.without_pulse();
        if self.copied.borrow().as_ref() == Some(&facts) {
            return Ok(());
        }
        self.durable.write(&copy_of(&self.path), bytes, Access::Folder, "journal-copy")?;
        *self.copied.borrow_mut() = Some(facts);
        Ok(())
    }

    /// Writes the journal anew from its copy. What was there is moved aside, whole.
    ///
    /// # Errors
    /// The file system said no.
    pub fn restore(
        durable: &Durable,
        path: &Path,
        journal: &Journal,
    ) -> Result<Option<PathBuf>, DurableError> {
        let aside = if path.exists() { Some(move_aside(durable, path)?) } else { None };
        let mut bytes = vec![0; JOURNAL_BYTES];
        let record = record::encode(journal)
            .map_err(|source| DurableError::Journal { path: path.to_owned(), source })?;
        let at = usize::try_from(record::place(journal.generation)).unwrap_or(0);
        if let Some(place) = bytes.get_mut(at..at.saturating_add(record.len())) {
            place.copy_from_slice(&record);
        }
        durable.write(path, &bytes, Access::Folder, "journal-copy")?;
        Ok(aside)
    }
}

fn copy_of(path: &Path) -> PathBuf {
    path.with_extension("copy")
}

fn move_aside(durable: &Durable, path: &Path) -> Result<PathBuf, DurableError> {
    for number in 1..1000_u32 {
        let aside = path.with_extension(format!("refused-{number}"));
        if !aside.exists() {
            durable.rename(path, &aside, "journal-aside")?;
            return Ok(aside);
        }
    }
    Err(told("move aside", path)(io::ErrorKind::AlreadyExists.into()))
}

/// The durable step that writing this journal is.
const fn step_of(journal: &Journal) -> Step {
    match journal.update {
        Update::Idle if journal.reports.is_empty() => "journal-idle",
        Update::Idle => "journal-settled",
        Update::Accepted(_) => "journal-accepted",
        Update::Staging { .. } => "journal-staging",
        Update::Staged { .. } => "journal-staged",
        Update::Armed { .. } => "journal-armed",
        Update::Trial { .. } => "journal-trial",
        Update::RollingBack { .. } => "journal-rolling-back",
    }
}
