//! The bootloader `grub`: GRUB's environment block, in place. `agent/boot/grub.cfg` picks the slot
//! and counts.
//!
//! The block is written over itself and not renamed over, because GRUB reads the file system
//! without its journal and must find the new block where the old one was. All variables lie in its
//! first 512 bytes, and the rest is the same before and after: a disk writes a sector whole or not
//! at all.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use lazaret_agent_core::bootloader::Marks;
use lazaret_agent_core::bootloader::grub::{BLOCK_BYTES, GrubEnv, GrubError};

use super::counted::{self, Record};
use super::{Bootloader, SlotError, SlotSettings, io_err};
use crate::durable::{Durable, told};
use crate::failpoint::Step;

#[derive(Debug)]
struct Grub {
    block: PathBuf,
    durable: Durable,
}

pub(super) fn open(
    settings: &SlotSettings,
    durable: Durable,
) -> Result<Box<dyn Bootloader>, SlotError> {
    let record = Grub { block: settings.record.clone(), durable: durable.clone() };
    counted::open(record, settings, durable)
}

impl Grub {
    fn load(&self) -> Result<(File, GrubEnv), SlotError> {
        let wrong = |source| SlotError::Grub { path: self.block.clone(), source };
        let mut options = OpenOptions::new();
        let file = match options.read(true).write(true).open(&self.block) {
            // Whoever only looks need not be root.
            Err(err) if err.kind() == io::ErrorKind::PermissionDenied => File::open(&self.block),
            other => other,
        };
        let file = file.map_err(io_err("open", &self.block))?;
        let length = file.metadata().map_err(io_err("read", &self.block))?.len();
        if length != u64::try_from(BLOCK_BYTES).unwrap_or(u64::MAX) {
            let got = usize::try_from(length).unwrap_or(usize::MAX);
            return Err(wrong(GrubError::Length { got }));
        }
        let mut block = [0; BLOCK_BYTES];
        file.read_exact_at(&mut block, 0).map_err(io_err("read", &self.block))?;
        Ok((file, GrubEnv::parse(&block).map_err(wrong)?))
    }
}

impl Record for Grub {
    fn read(&self) -> Result<Marks, SlotError> {
        let (_, env) = self.load()?;
        env.marks().map_err(|source| SlotError::Grub { path: self.block.clone(), source })
    }

    fn write(&self, marks: &Marks, step: Step) -> Result<(), SlotError> {
        let (file, mut env) = self.load()?;
        env.put(marks);
        let wrong = |source| SlotError::Grub { path: self.block.clone(), source };
        let block = env.to_block().map_err(wrong)?;
        let (points, disk) = (self.durable.points(), self.durable.disk());
        points.before(step).map_err(told("write", &self.block))?;
        disk.write_at(&file, &self.block, &block, 0).map_err(told("write", &self.block))?;
        disk.sync(&file, &self.block).map_err(told("sync", &self.block))?;
        Ok(points.after(step).map_err(told("write", &self.block))?)
    }
}
