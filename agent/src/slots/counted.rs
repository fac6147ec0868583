//! What is the same for all bootloaders that count starts themselves: the marks, a plan over them,
//! and the slots' places. Each of them adds where and how the marks are kept.

use std::path::PathBuf;

use lazaret_agent_core::bootloader::{Change, Marks};
use lazaret_agent_core::slot::Slot;
use lazaret_protocol::poll::SlotHealth;

use super::{Bootloader, SlotError, SlotFile, SlotSettings, booted, place, refuse, step_of};
use crate::durable::Durable;
use crate::failpoint::Step;

/// Where the marks are kept.
pub(super) trait Record: std::fmt::Debug + Send {
    /// Reads them.
    ///
    /// # Errors
    /// The record cannot be read; nothing is guessed.
    fn read(&self) -> Result<Marks, SlotError>;

    /// Makes `marks` durable, leaving all that is not ours in the record as it is. Wherever the
    /// power goes, the old or the new marks hold, or a slot that was to be tried is left unknown.
    ///
    /// # Errors
    /// The record cannot be read or written.
    fn write(&self, marks: &Marks, step: Step) -> Result<(), SlotError>;
}

#[derive(Debug)]
struct Counted<R> {
    record: R,
    settings: SlotSettings,
    durable: Durable,
    marks: Marks,
    planned: Option<(Marks, Step)>,
    booted: Option<Slot>,
}

/// A bootloader over a record.
pub(super) fn open<R: Record + 'static>(
    record: R,
    settings: &SlotSettings,
    durable: Durable,
) -> Result<Box<dyn Bootloader>, SlotError> {
    for slot in Slot::ALL {
        let image = settings.image(slot);
        if let (false, Some(folder)) = (image.exists(), image.parent()) {
            durable.folder(folder)?;
        }
    }
    let marks = record.read()?;
    let booted = booted::slot(&settings.command_line)?;
    let settings = settings.clone();
    Ok(Box::new(Counted { record, settings, durable, marks, planned: None, booted }))
}

impl<R: Record> Bootloader for Counted<R> {
    fn boot(&mut self) -> Result<Option<Slot>, SlotError> {
        // The start was counted before the kernel ran.
        self.marks = self.record.read()?;
        self.booted = booted::slot(&self.settings.command_line)?;
        Ok(self.booted)
    }

    fn booted(&self) -> Option<Slot> {
        self.booted
    }

    fn health(&self, slot: Slot) -> SlotHealth {
        self.marks.health(slot, self.booted)
    }

    fn plan(&mut self, change: Change) -> Result<(), SlotError> {
        self.planned = None;
        if let Change::Forget(slot) | Change::Try { slot, .. } = change {
            refuse(change, self.booted, &self.image(slot))?;
        }
        self.planned = Some((self.marks.after(change), step_of(change)));
        Ok(())
    }

    fn commit(&mut self) -> Result<(), SlotError> {
        let Some((planned, step)) = self.planned.take() else { return Ok(()) };
        if planned == self.marks {
            return Ok(());
        }
        self.record.write(&planned, step)?;
        self.marks = planned;
        Ok(())
    }

    fn image(&self, slot: Slot) -> PathBuf {
        self.settings.image(slot)
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
