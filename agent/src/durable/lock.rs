//! Who may write a device's state: one program at a time. The lock goes with the process that holds
//! it, so that no power cut leaves one behind.

use std::fs::{File, OpenOptions};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::{DurableError, told};

/// The state is this program's until this goes.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

impl StateLock {
    /// Takes the lock of a state folder; none where somebody else has it.
    ///
    /// # Errors
    /// The file system said no.
    pub fn try_take(state_dir: &Path) -> Result<Option<Self>, DurableError> {
        let path = state_dir.join("lock");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(told("open", &path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(err) => Err(told("lock", &path)(err.into())),
        }
    }
}
