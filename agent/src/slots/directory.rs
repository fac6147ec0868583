//! The bootloader `directory`: `a/image` and `b/image` behind the symbolic link `current`, for
//! applications and for where there is no bootloader. Its record, `boot.json`, is the truth; the
//! link follows it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lazaret_agent_core::bootloader::Change;
use lazaret_agent_core::slot::Slot;
use lazaret_protocol::canonical;
use lazaret_protocol::poll::SlotHealth;
use serde::{Deserialize, Serialize};

use super::{Bootloader, SlotError, SlotFile, SlotSettings, place, refuse, step_of};
use crate::durable::{self, Access, Durable, told};
use crate::failpoint::Step;

/// Largest record, in bytes; an honest one has under 200.
const RECORD_BYTES_MAX: u64 = 4096;

/// The record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    a: SlotHealth,
    b: SlotHealth,
    /// Where `current` has to point; null where nothing is installed.
    current: Option<Slot>,
    trial: Trial,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Trial {
    Nothing,
    Slot {
        slot: Slot,
        /// Where to go back to; null where nothing was installed before.
        from: Option<Slot>,
        /// Starts that it still gets.
        tries_left: u8,
    },
}

#[derive(Debug)]
struct Directory {
    folder: PathBuf,
    durable: Durable,
    record: Record,
    planned: Option<(Record, Step)>,
    booted: Option<Slot>,
}

/// Opens the slots below the folder, and makes them where they are absent.
pub(super) fn open(
    settings: &SlotSettings,
    durable: Durable,
) -> Result<Box<dyn Bootloader>, SlotError> {
    let folder = &settings.folder;
    for slot in Slot::ALL {
        durable.folder(&folder.join(slot.as_str()))?;
    }
    let record = load(folder)?;
    let booted = record.current;
    let (folder, planned) = (folder.clone(), None);
    Ok(Box::new(Directory { folder, durable, record, planned, booted }))
}

/// The record, or what the link says on a device whose first image came with it from the factory.
fn load(folder: &Path) -> Result<Record, SlotError> {
    let path = folder.join("boot.json");
    if let Some(bytes) = durable::read(&path, RECORD_BYTES_MAX)? {
        return serde_json::from_slice(&bytes)
            .map_err(|err| SlotError::Corrupt { path, why: err.to_string() });
    }
    let current = linked(folder)?;
    let health = |slot| if current == Some(slot) { SlotHealth::Good } else { SlotHealth::Unknown };
    Ok(Record { a: health(Slot::A), b: health(Slot::B), current, trial: Trial::Nothing })
}

/// Where the link points.
fn linked(folder: &Path) -> Result<Option<Slot>, SlotError> {
    let path = folder.join("current");
    match fs::read_link(&path) {
        Ok(target) => Ok(Slot::ALL.into_iter().find(|slot| target == Path::new(slot.as_str()))),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(err) => Err(told("read the link", &path)(err).into()),
    }
}

impl Directory {
    /// Record first, link second: after a power cut between the two, the next start puts the link
    /// right. The other order could run an image that nobody counts the starts of.
    fn change(&mut self, record: Record, step: Step) -> Result<(), SlotError> {
        let path = self.folder.join("boot.json");
        let bytes = canonical::to_bytes(&record)
            .map_err(|err| SlotError::Corrupt { path: path.clone(), why: err.to_string() })?;
        self.durable.write(&path, &bytes, Access::Folder, step)?;
        self.record = record;
        self.align()
    }

    fn align(&self) -> Result<(), SlotError> {
        if linked(&self.folder)? == self.record.current {
            return Ok(());
        }
        let link = self.folder.join("current");
        match self.record.current {
            Some(slot) => self.durable.link(&link, slot.as_str(), "boot-link")?,
            None => self.durable.delete(&link, "boot-link")?,
        }
        Ok(())
    }

    fn with_health(&self, slot: Slot, health: SlotHealth) -> Record {
        let mut record = self.record.clone();
        match slot {
            Slot::A => record.a = health,
            Slot::B => record.b = health,
        }
        record
    }

    fn given_up(&self, slot: Slot) -> Record {
        let mut record = self.with_health(slot, SlotHealth::Bad);
        if let Trial::Slot { slot: tried, from, .. } = record.trial
            && tried == slot
        {
            (record.current, record.trial) = (from, Trial::Nothing);
        } else if record.current == Some(slot) {
            record.current = Some(slot.other()).filter(|slot| self.image(*slot).exists());
        }
        record
    }
}

impl Bootloader for Directory {
    fn boot(&mut self) -> Result<Option<Slot>, SlotError> {
        let record = match self.record.trial {
            Trial::Nothing => None,
            Trial::Slot { slot, tries_left: 0, .. } => Some(self.given_up(slot)),
            Trial::Slot { slot, from, tries_left } => {
                let tries_left = tries_left.saturating_sub(1);
                Some(Record {
                    trial: Trial::Slot { slot, from, tries_left },
                    ..self.record.clone()
                })
            }
        };
        match record {
            Some(record) => self.change(record, "boot-count")?,
            None => self.align()?,
        }
        self.booted = self.record.current;
        Ok(self.booted)
    }

    fn booted(&self) -> Option<Slot> {
        self.booted
    }

    fn health(&self, slot: Slot) -> SlotHealth {
        match slot {
            Slot::A => self.record.a,
            Slot::B => self.record.b,
        }
    }

    fn plan(&mut self, change: Change) -> Result<(), SlotError> {
        self.planned = None;
        let record = match change {
            Change::Forget(slot) => {
                refuse(change, self.booted, &self.image(slot))?;
                self.with_health(slot, SlotHealth::Unknown)
            }
            Change::Try { slot, tries } => {
                refuse(change, self.booted, &self.image(slot))?;
                let trial = Trial::Slot { slot, from: self.booted, tries_left: tries };
                let current = Some(slot);
                Record { trial, current, ..self.with_health(slot, SlotHealth::Unknown) }
            }
            Change::Keep(slot) => {
                let (trial, current) = (Trial::Nothing, Some(slot));
                Record { trial, current, ..self.with_health(slot, SlotHealth::Good) }
            }
            Change::GiveUp(slot) => self.given_up(slot),
        };
        self.planned = Some((record, step_of(change)));
        Ok(())
    }

    fn commit(&mut self) -> Result<(), SlotError> {
        match self.planned.take() {
            Some((record, step)) if record != self.record => self.change(record, step),
            // The link may still have to follow.
            Some(_) => self.align(),
            None => Ok(()),
        }
    }

    fn image(&self, slot: Slot) -> PathBuf {
        self.folder.join(slot.as_str()).join("image")
    }

    fn open_for_writing(&self, slot: Slot) -> Result<SlotFile, SlotError> {
        if self.booted == Some(slot) {
            return Err(SlotError::Running { slot, what: "writing" });
        }
        SlotFile::open(&self.image(slot), &self.durable)
    }

    fn room(&self, slot: Slot) -> Result<u64, SlotError> {
        place::room(&self.image(slot))
    }
}
