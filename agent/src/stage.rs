//! From a verified target to bytes in the inactive slot: streaming, in bounded memory, without a
//! second copy of the image, and resumable after the power went. A delta is tried first; on any
//! doubt about it the image itself is taken. Nothing counts before it was read back from the disk
//! and is what was signed.

use std::fs::File;
use std::io::{self, Read as _};

use lazaret_agent_core::journal::{Route, Target as Staged};
use lazaret_protocol_tuf::{Target, TufError};

use crate::failpoint::Failpoints;
use crate::slots::SlotFile;
use crate::source::{Source, TargetReader};
use crate::transport::TransportError;
use crate::verify::Found;

mod delta;
#[cfg(test)]
mod tests;
pub mod tree;

use delta::DeltaRun;

/// Bytes that are read at once.
const PIECE_BYTES: usize = 64 * 1024;

/// Staging cannot go on at this moment, or never.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StageError {
    /// The server could not be asked: later.
    #[error("image could not be fetched")]
    Transport(#[from] TransportError),
    /// The connection broke: later.
    #[error("image broke off after {got} of {expected} bytes")]
    BrokeOff {
        /// Its length.
        expected: u64,
        /// How far it came.
        got: u64,
        /// What the connection said, where it said anything.
        #[source]
        source: Option<io::Error>,
    },
    /// The slot cannot be written or read.
    #[error("slot cannot be used")]
    Slot(#[source] io::Error),
}

/// How far it went.
#[derive(Debug)]
pub enum Progress {
    /// The time is up; call again.
    Paused,
    /// So many bytes are durable in the slot.
    Synced {
        /// Bytes from the beginning.
        offset: u64,
    },
    /// The delta is in doubt: the image itself has to be taken, from its beginning.
    DeltaDoubted {
        /// Why, in words.
        why: String,
    },
    /// What is in the slot is not the image, though all of it came.
    Mismatch(TufError),
    /// The image is in the slot, and was read back from the disk.
    Complete,
}

/// Settings of staging.
#[derive(Debug, Clone)]
pub struct StageSettings {
    /// Bytes between two durable steps.
    pub sync_bytes: u64,
    /// Memory that a delta may take.
    pub delta_ram_bytes_max: u64,
    /// Where the power may go.
    pub points: Failpoints,
}

/// One image on its way into one slot.
#[derive(Debug)]
pub struct Stage {
    slot: SlotFile,
    image: Target,
    settings: StageSettings,
    route: Going,
    /// Bytes in the slot, and how many of them are durable.
    offset: u64,
    synced: u64,
    fetched: u64,
}

#[derive(Debug)]
enum Going {
    /// The image itself, with the connection it comes over.
    Image(Option<TargetReader>),
    Delta(Box<DeltaRun>),
}

impl Stage {
    /// Takes up staging where the journal says that it stands. `base` is the image that runs.
    ///
    /// Bytes of a full image are not hashed again here: only the whole can be judged, and it is
    /// when it is read back.
    ///
    /// # Errors
    /// The slot cannot be used.
    pub fn resume(
        slot: SlotFile,
        base: Option<File>,
        found: &Found,
        at: (&Staged, u64),
        settings: StageSettings,
    ) -> Result<Self, StageError> {
        let (target, offset) = at;
        let there = slot.length().map_err(StageError::Slot)?;
        let offset = offset.min(there).min(found.image.length);
        let route = match (&found.delta, base) {
            (Some((delta, custom)), Some(base)) if target.route == Route::Delta => {
                Going::Delta(Box::new(DeltaRun::new(delta.clone(), custom.clone(), base)))
            }
            _ => Going::Image(None),
        };
        let mut stage = Self {
            slot,
            image: found.image.clone(),
            settings,
            route,
            offset,
            synced: offset,
            fetched: target.fetched,
        };
        stage.cut(offset)?;
        Ok(stage)
    }

    /// Bytes fetched over the network so far.
    #[must_use]
    pub const fn fetched(&self) -> u64 {
        self.fetched
    }

    /// Begins anew, with the image itself.
    ///
    /// # Errors
    /// The slot cannot be used.
    pub fn begin_anew(&mut self) -> Result<(), StageError> {
        self.route = Going::Image(None);
        self.cut(0)
    }

    /// Goes on until the next durable step, the end, or until `time_is_up`.
    ///
    /// # Errors
    /// The server or the slot; what is in the slot stays, and the next call goes on from there.
    pub fn advance(
        &mut self,
        from: &Source,
        time_is_up: &dyn Fn() -> bool,
    ) -> Result<Progress, StageError> {
        let outcome = match &self.route {
            Going::Image(_) => self.advance_image(from, time_is_up),
            Going::Delta(_) => self.advance_delta(from, time_is_up),
        };
        if outcome.is_err() {
            // A connection that broke has nothing more to say.
            self.hang_up();
        }
        outcome
    }

    /// Ends the connection: the next bytes come from elsewhere.
    pub fn hang_up(&mut self) {
        match &mut self.route {
            Going::Image(connection) => *connection = None,
            Going::Delta(run) => run.hang_up(),
        }
    }

    fn advance_image(
        &mut self,
        from: &Source,
        time_is_up: &dyn Fn() -> bool,
    ) -> Result<Progress, StageError> {
        let expected = self.image.length;
        let mut piece = vec![0; PIECE_BYTES];
        while self.offset < expected {
            let Going::Image(connection) = &mut self.route else { return Ok(Progress::Paused) };
            let reader = match connection {
                Some(reader) => reader,
                None => {
                    let path = &self.image.wire_path;
                    connection.insert(from.target(path, self.offset, expected)?)
                }
            };
            let want = piece_length(expected.saturating_sub(self.offset), piece.len());
            let got = self.offset;
            let read = reader.read(piece.get_mut(..want).unwrap_or_default());
            let read = read.map_err(|err| broke_off(expected, got, err))?;
            if read == 0 {
                return Err(StageError::BrokeOff { expected, got, source: None });
            }
            self.append(piece.get(..read).unwrap_or_default())?;
            self.fetched = self.fetched.saturating_add(length_of(read));
            if self.due() {
                return self.sync();
            }
            if time_is_up() {
                return Ok(Progress::Paused);
            }
        }
        if self.synced < self.offset {
            return self.sync();
        }
        self.read_back()
    }

    fn advance_delta(
        &mut self,
        from: &Source,
        time_is_up: &dyn Fn() -> bool,
    ) -> Result<Progress, StageError> {
        loop {
            let Going::Delta(run) = &mut self.route else { return Ok(Progress::Paused) };
            let limits = (self.settings.delta_ram_bytes_max, &self.image);
            let limits = (limits, time_is_up);
            let before = run.fetched();
            let step = run.next(from, &self.slot, self.offset, limits);
            self.fetched = self.fetched.saturating_add(run.fetched().saturating_sub(before));
            match step? {
                delta::Step::Doubt(why) => return Ok(Progress::DeltaDoubted { why }),
                delta::Step::Paused => return Ok(Progress::Paused),
                delta::Step::KeepOnly(offset) => self.cut(offset)?,
                delta::Step::Wrote(bytes) => {
                    self.offset = self.offset.saturating_add(bytes);
                    if self.due() {
                        return self.sync();
                    }
                }
                delta::Step::End if self.synced < self.offset => return self.sync(),
                delta::Step::End => {
                    return Ok(match self.read_back()? {
                        Progress::Mismatch(err) => Progress::DeltaDoubted {
                            why: format!("what it yields is not the image: {err}"),
                        },
                        progress => progress,
                    });
                }
            }
            if time_is_up() {
                return Ok(Progress::Paused);
            }
        }
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), StageError> {
        self.slot.write_all_at(bytes, self.offset).map_err(StageError::Slot)?;
        self.offset = self.offset.saturating_add(length_of(bytes.len()));
        Ok(())
    }

    const fn due(&self) -> bool {
        self.offset.saturating_sub(self.synced) >= self.settings.sync_bytes
    }

    /// Data first, journal second: the journal never claims bytes that are not on the disk.
    fn sync(&mut self) -> Result<Progress, StageError> {
        self.settings.points.before("stage-sync").map_err(StageError::Slot)?;
        self.slot.sync().map_err(StageError::Slot)?;
        self.settings.points.after("stage-sync").map_err(StageError::Slot)?;
        self.synced = self.offset;
        Ok(Progress::Synced { offset: self.offset })
    }

    /// Leaves only the first `offset` bytes in the slot.
    fn cut(&mut self, offset: u64) -> Result<(), StageError> {
        self.settings.points.before("stage-cut").map_err(StageError::Slot)?;
        self.slot.cut(offset).map_err(StageError::Slot)?;
        self.settings.points.after("stage-cut").map_err(StageError::Slot)?;
        (self.offset, self.synced) = (offset, offset);
        Ok(())
    }

    /// Reads the image from the disk, past the cache where the system allows it, and judges it.
    fn read_back(&self) -> Result<Progress, StageError> {
        self.settings.points.before("stage-read-back").map_err(StageError::Slot)?;
        self.slot.forget_cached();
        let end = self.slot.end_of(self.image.length);
        let mut check = self.image.check();
        let mut piece = vec![0; PIECE_BYTES];
        let mut offset = 0;
        loop {
            let want = piece_length(end.saturating_sub(offset), piece.len());
            let wanted = piece.get_mut(..want).unwrap_or_default();
            let read = self.slot.read_at(wanted, offset).map_err(StageError::Slot)?;
            if read == 0 {
                break;
            }
            if let Err(err) = check.update(piece.get(..read).unwrap_or_default()) {
                return Ok(Progress::Mismatch(err));
            }
            offset = offset.saturating_add(length_of(read));
        }
        if let Err(err) = check.finish() {
            return Ok(Progress::Mismatch(err));
        }
        self.settings.points.after("stage-read-back").map_err(StageError::Slot)?;
        Ok(Progress::Complete)
    }
}

/// A connection that broke, or that was given up for a reason with a name.
fn broke_off(expected: u64, got: u64, err: io::Error) -> StageError {
    if TransportError::within(&err).is_some() {
        return TransportError::unreadable("a target", err).into();
    }
    StageError::BrokeOff { expected, got, source: Some(err) }
}

fn piece_length(left: u64, most: usize) -> usize {
    usize::try_from(left).unwrap_or(usize::MAX).min(most)
}

fn length_of(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
