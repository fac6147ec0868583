//! The bootloader `systemd-boot`: boot entries on the EFI system partition, whose starts are
//! counted in their names. Each slot has one entry, made at the factory with its kernel and its
//! command line; here only its name and its `version` change.
//!
//! FAT has no journal. What makes a change whole is that each step is one renamed name, synced, and
//! that an entry is taken out of the choice (`+0`) before it is touched: wherever the power goes,
//! it has its old name, none of the choice, or its new one. Where a broken rename leaves two names,
//! the weaker counts, and the next change takes the other away.

use std::fs;
use std::path::{Path, PathBuf};

use lazaret_agent_core::bootloader::boot_entry::{
    ENTRY_BYTES_MAX, EntryName, marks_of, version_of, with_version,
};
use lazaret_agent_core::bootloader::{Mark, Marks};
use lazaret_agent_core::slot::Slot;

use super::counted::{self, Record};
use super::{Bootloader, SlotError, SlotSettings, io_err};
use crate::durable::{self, Access, Durable};
use crate::failpoint::Step;

/// Files that are looked at among the entries; an honest folder has a dozen.
const ENTRIES_MAX: usize = 1000;

#[derive(Debug)]
struct SystemdBoot {
    /// `loader/entries` of the partition.
    entries: PathBuf,
    durable: Durable,
}

/// The entry of a slot as it is.
#[derive(Debug)]
struct Entry {
    path: PathBuf,
    name: EntryName,
    text: String,
    /// Other names of the slot, which a broken rename left.
    further: Vec<PathBuf>,
}

pub(super) fn open(
    settings: &SlotSettings,
    durable: Durable,
) -> Result<Box<dyn Bootloader>, SlotError> {
    let entries = settings.record.join("loader").join("entries");
    counted::open(SystemdBoot { entries, durable: durable.clone() }, settings, durable)
}

impl SystemdBoot {
    fn entry(&self, slot: Slot) -> Result<Entry, SlotError> {
        let corrupt = |why: String| SlotError::Corrupt { path: self.entries.clone(), why };
        let mut names = Vec::new();
        let listed = fs::read_dir(&self.entries).map_err(io_err("read", &self.entries))?;
        for (count, file) in listed.enumerate() {
            if count >= ENTRIES_MAX {
                return Err(corrupt(format!("expected at most {ENTRIES_MAX} entries")));
            }
            let name = file.map_err(io_err("read", &self.entries))?.file_name();
            let read = name.to_str().and_then(EntryName::parse);
            names.extend(read.filter(|read| read.slot == slot).map(|read| (name, read)));
        }
        names.sort_by_key(|(_, name)| strength(*name));
        let mut names = names.into_iter();
        let Some((file, name)) = names.next() else {
            return Err(corrupt(format!("expected an entry lazaret-{slot}.conf, got none")));
        };
        let path = self.entries.join(file);
        let bytes = durable::read(&path, ENTRY_BYTES_MAX)?.unwrap_or_default();
        let text = String::from_utf8(bytes).map_err(|err| corrupt(err.to_string()))?;
        let further = names.map(|(file, _)| self.entries.join(file)).collect();
        Ok(Entry { path, name, text, further })
    }

    fn rename(&self, entry: &mut Entry, mark: Mark, step: Step) -> Result<(), SlotError> {
        let name = EntryName::of(entry.name.slot, mark);
        let path = self.entries.join(name.to_string());
        if path != entry.path {
            self.durable.rename(&entry.path, &path, step)?;
        }
        (entry.path, entry.name) = (path, name);
        Ok(())
    }

    /// Gives an entry its new mark; `version` where it is to come before the other one.
    fn change(&self, slot: Slot, to: (Mark, Option<u64>), step: Step) -> Result<(), SlotError> {
        let (mark, version) = to;
        let mut entry = self.entry(slot)?;
        for path in std::mem::take(&mut entry.further) {
            self.durable.delete(&path, step)?;
        }
        if let Some(version) = version {
            if matches!(mark, Mark::Trial { .. }) {
                // Not in the choice while it is put first: it must not be picked without a count.
                self.rename(&mut entry, Mark::Unknown, step)?;
            }
            let text = with_version(&entry.text, version);
            self.write(&entry.path, &text, step)?;
        }
        self.rename(&mut entry, mark, step)
    }

    fn write(&self, path: &Path, text: &str, step: Step) -> Result<(), SlotError> {
        Ok(self.durable.write(path, text.as_bytes(), Access::Folder, step)?)
    }
}

/// An entry without starts left comes last of all, whatever its version.
const fn bootable(mark: Mark) -> bool {
    matches!(mark, Mark::Good | Mark::Trial { left: 1.. })
}

/// Nothing known, failed, on trial, good.
const fn strength(name: EntryName) -> u8 {
    match name.mark_of_name() {
        Mark::Unknown => 0,
        Mark::Bad => 1,
        Mark::Trial { .. } => 2,
        Mark::Good => 3,
    }
}

impl Record for SystemdBoot {
    fn read(&self) -> Result<Marks, SlotError> {
        let (a, b) = (self.entry(Slot::A)?, self.entry(Slot::B)?);
        let said = |entry: &Entry| (entry.name.mark_of_name(), version_of(&entry.text));
        Ok(marks_of(said(&a), said(&b)))
    }

    fn write(&self, marks: &Marks, step: Step) -> Result<(), SlotError> {
        let now = self.read()?;
        let first = marks.first;
        // The slot that is not to be first goes first: for a moment both may be out of the choice,
        // and then systemd-boot still starts one of them; never may a slot be picked uncounted.
        for slot in [first.other(), first] {
            let mark = marks.mark(slot);
            let contested = bootable(marks.mark(first.other())) && now.first != first;
            let chosen = slot == first && bootable(mark);
            let version = if chosen && (contested || matches!(mark, Mark::Trial { .. })) {
                let other = version_of(&self.entry(first.other())?.text);
                Some(other.saturating_add(1))
            } else {
                None
            };
            if version.is_some() || mark != now.mark(slot) {
                self.change(slot, (mark, version), step)?;
            }
        }
        Ok(())
    }
}
