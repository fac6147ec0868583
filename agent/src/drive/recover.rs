//! Making a lost journal anew, from the copy beside it.

use std::path::PathBuf;

use lazaret_agent_core::journal::Journal;
use lazaret_protocol_evidence::log::Detail;

use super::DriveError;
use super::start::{lock, note_alone};
use crate::cli::chain;
use crate::clock::Clock;
use crate::config::Config;
use crate::durable::{Copied, Durable, JournalFile};

/// What a recovery came to.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Recovered {
    /// What was wrong with the journal.
    pub why: String,
    /// Where the lost one lies, where there was one.
    pub kept_as: Option<PathBuf>,
    /// The floors that hold again.
    pub release_floor: u64,
    /// The highest order.
    pub order_sequence: u64,
    /// The version of root.
    pub root: u64,
}

/// Why there is nothing to recover, or nothing to recover from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverError {
    /// The journal is as it should be.
    #[error("journal {} is whole: there is nothing to recover", path.display())]
    Whole {
        /// The file.
        path: PathBuf,
    },
    /// The copy is lost as well: nothing says where the floors were.
    #[error("there is no good copy beside {}: provision this device anew", path.display())]
    NoCopy {
        /// The journal's file.
        path: PathBuf,
    },
    /// The state cannot be used.
    #[error("state cannot be recovered")]
    Drive(#[from] DriveError),
}

/// Makes a lost journal anew from the copy beside it, which is never behind on a floor. `rehearse`
/// changes nothing.
///
/// # Errors
/// There is nothing to recover, or nothing to recover from.
pub fn recover(config: &Config, rehearse: bool) -> Result<Recovered, RecoverError> {
    let durable = Durable::default();
    let path = config.journal();
    let _lock = lock(config)?;
    let why = match JournalFile::open(&durable, &path) {
        Ok((_, journal)) if journal.generation > 0 => return Err(RecoverError::Whole { path }),
        Ok(_) => "it is empty".to_owned(),
        Err(err) => chain(&err),
    };
    let Copied::Good(copy) = JournalFile::load_copy(&path) else {
        return Err(RecoverError::NoCopy { path });
    };
    let journal = Journal::from_copy(&copy, Clock::new(copy.time_floor).now());
    let mut recovered = Recovered {
        why,
        kept_as: None,
        release_floor: journal.release_floor,
        order_sequence: journal.order_sequence,
        root: journal.tuf.root,
    };
    if rehearse {
        return Ok(recovered);
    }
    let restored = JournalFile::restore(&durable, &path, &journal).map_err(DriveError::from)?;
    recovered.kept_as = restored;
    let detail = Detail::none()
        .text("file", "journal")
        .text("why", &recovered.why)
        .number("release-floor", recovered.release_floor)
        .number("order-sequence", recovered.order_sequence)
        .number("root", recovered.root);
    note_alone(config, &durable, "state-recovered", detail)?;
    Ok(recovered)
}
