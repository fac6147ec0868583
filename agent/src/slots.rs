//! Where images run from, and what picks the one that runs. Each bootloader is a file and a line in
//! [`BOOTLOADERS`], held to one contract test. What to tell it, the core decides.

use std::fs::File;
use std::path::{Path, PathBuf};

use lazaret_agent_core::slot::Slot;
use lazaret_protocol::poll::SlotHealth;

use crate::durable::{Durable, DurableError};

mod directory;
#[cfg(test)]
mod tests;

/// What a bootloader cannot do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SlotError {
    /// Something could not be kept.
    #[error("slots cannot be changed")]
    Durable(#[from] DurableError),
    /// Its own record cannot be read. Nothing is guessed.
    #[error("expected the bootloader's record in {}: {why}", path.display())]
    Corrupt {
        /// The record's file.
        path: PathBuf,
        /// What the parser said.
        why: String,
    },
    /// The slot that runs was to be written or tried.
    #[error("slot {slot} runs, so it is not for {what}")]
    Running {
        /// Which.
        slot: Slot,
        /// What was wanted of it.
        what: &'static str,
    },
    /// A slot was to be tried that holds no image.
    #[error("slot {slot} holds no image to try")]
    Empty {
        /// Which.
        slot: Slot,
    },
}

/// What picks the image that runs.
pub trait Bootloader: std::fmt::Debug + Send {
    /// Counts this start and picks the slot, which goes back to the former one where a trial has no
    /// tries left. Called once when the agent starts; a bootloader that starts the agent has done
    /// it before.
    ///
    /// # Errors
    /// Its record cannot be read or written.
    fn boot(&mut self) -> Result<Option<Slot>, SlotError>;

    /// The slot that runs, none where nothing is installed.
    fn booted(&self) -> Option<Slot>;

    /// What is known of a slot.
    fn health(&self, slot: Slot) -> SlotHealth;

    /// Forgets what was known of a slot, because its content is to change.
    ///
    /// # Errors
    /// It runs, or the record cannot be written.
    fn mark_unknown(&mut self, slot: Slot) -> Result<(), SlotError>;

    /// Has the slot tried at the next start, so many times.
    ///
    /// # Errors
    /// It runs, it is empty, or the record cannot be written.
    fn arm(&mut self, slot: Slot, tries: u8) -> Result<(), SlotError>;

    /// Keeps the slot.
    ///
    /// # Errors
    /// The record cannot be written.
    fn mark_good(&mut self, slot: Slot) -> Result<(), SlotError>;

    /// Gives the slot up and goes back to the one before at the next start.
    ///
    /// # Errors
    /// The record cannot be written.
    fn revert(&mut self, slot: Slot) -> Result<(), SlotError>;

    /// The image of a slot, for reading.
    fn image(&self, slot: Slot) -> PathBuf;

    /// Opens the image of a slot that does not run, for reading and writing, and makes it where it
    /// is absent.
    ///
    /// # Errors
    /// It runs, or the file system said no.
    fn open_for_writing(&self, slot: Slot) -> Result<File, SlotError>;

    /// Bytes that an image in the slot could take: what is free, and what the image there takes
    /// now.
    ///
    /// # Errors
    /// The file system said no.
    fn room(&self, slot: Slot) -> Result<u64, SlotError>;
}

/// Makes a bootloader over `slots_dir`.
pub type Open = fn(&Path, Durable) -> Result<Box<dyn Bootloader>, SlotError>;

/// Every bootloader, by its name in the configuration.
pub const BOOTLOADERS: &[(&str, Open)] = &[("directory", directory::open)];
