//! Where images run from, and what picks the one that runs. Each bootloader is a file and a line in
//! [`BOOTLOADERS`], held to one contract test. What to tell it, the core decides.

use std::io;
use std::path::{Path, PathBuf};

use lazaret_agent_core::bootloader::Change;
use lazaret_agent_core::bootloader::fw_env::FwEnvError;
use lazaret_agent_core::bootloader::grub::GrubError;
use lazaret_agent_core::bootloader::uboot::UbootError;
use lazaret_agent_core::slot::Slot;
use lazaret_protocol::poll::SlotHealth;

use crate::durable::{Durable, DurableError};

mod booted;
mod counted;
mod directory;
mod grub;
mod place;
mod settings;
mod systemd_boot;
#[cfg(test)]
pub(crate) mod tests;
mod uboot;

pub use place::SlotFile;
pub use settings::{SlotContent, SlotSettings};

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
    /// GRUB's environment block cannot be used.
    #[error("GRUB's environment block {} cannot be used", path.display())]
    Grub {
        /// The block's file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: GrubError,
    },
    /// U-Boot's environment cannot be used.
    #[error("U-Boot's environment, which {} leads to, cannot be used", path.display())]
    Uboot {
        /// The file that says where it is.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: UbootError,
    },
    /// Where U-Boot's environment lies is not said.
    #[error("{} does not say where U-Boot's environment lies", path.display())]
    FwEnv {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: FwEnvError,
    },
    /// A place for the environment that cannot be written safely.
    #[error("U-Boot's environment on {} cannot be written safely: {why}", path.display())]
    Unsafe {
        /// The device or file.
        path: PathBuf,
        /// What could go wrong, and what to do.
        why: &'static str,
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

    /// Plans a change, in place of one that was planned before. Nothing is written.
    ///
    /// # Errors
    /// The slot runs and is to be forgotten or tried, or it is to be tried and is empty.
    fn plan(&mut self, change: Change) -> Result<(), SlotError>;

    /// Writes what is planned, durably; nothing where nothing is.
    ///
    /// # Errors
    /// The record cannot be read or written. The plan is dropped then.
    fn commit(&mut self) -> Result<(), SlotError>;

    /// The image of a slot, for reading: a file, or a block device with more behind the image.
    fn image(&self, slot: Slot) -> PathBuf;

    /// Opens the image of a slot that does not run, for reading and writing, and makes it where it
    /// is absent. A block device has to be there, and in no use.
    ///
    /// # Errors
    /// It runs, or the file system said no.
    fn open_for_writing(&self, slot: Slot) -> Result<SlotFile, SlotError>;

    /// Bytes that an image in the slot could take: what is free, and what the image there takes
    /// now.
    ///
    /// # Errors
    /// The file system said no.
    fn room(&self, slot: Slot) -> Result<u64, SlotError>;
}

/// Makes a bootloader.
pub type Open = fn(&SlotSettings, Durable) -> Result<Box<dyn Bootloader>, SlotError>;

/// Every bootloader, by its name in the configuration.
pub const BOOTLOADERS: &[(&str, Open)] = &[
    ("directory", directory::open),
    ("grub", grub::open),
    ("systemd-boot", systemd_boot::open),
    ("uboot", uboot::open),
];

/// The durable step that a change is.
const fn step_of(change: Change) -> crate::failpoint::Step {
    match change {
        Change::Forget(_) => "boot-forget",
        Change::Try { .. } => "boot-arm",
        Change::Keep(_) => "boot-keep",
        Change::GiveUp(_) => "boot-revert",
    }
}

/// Refuses a change that no bootloader may make.
fn refuse(change: Change, booted: Option<Slot>, image: &Path) -> Result<(), SlotError> {
    let (slot, what) = match change {
        Change::Forget(slot) => (slot, "forgetting"),
        Change::Try { slot, .. } => (slot, "trying"),
        Change::Keep(_) | Change::GiveUp(_) => return Ok(()),
    };
    if booted == Some(slot) {
        return Err(SlotError::Running { slot, what });
    }
    if matches!(change, Change::Try { .. }) && !image.exists() {
        return Err(SlotError::Empty { slot });
    }
    Ok(())
}

fn io_err(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SlotError {
    let told = crate::durable::told(what, path);
    move |err| told(err).into()
}
