//! The bootloader `uboot`: U-Boot's environment, where `fw_env.config` says that it lies.
//! `agent/boot/uboot.cmd` picks the slot and counts.
//!
//! With two copies the one that does not hold is written whole and synced, and its checksum makes
//! it hold: a write that is torn anywhere leaves the other copy. A single copy is only taken where
//! it is a file of its own, which is replaced as a whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom};
use std::os::unix::fs::{FileExt as _, FileTypeExt as _};
use std::path::{Path, PathBuf};

use lazaret_agent_core::bootloader::Marks;
use lazaret_agent_core::bootloader::fw_env::{self, CONFIG_BYTES_MAX, Copies, CopyPlace};
use lazaret_agent_core::bootloader::uboot::{Flags, UbootEnv, UbootError};

use super::counted::{self, Record};
use super::{Bootloader, SlotError, SlotSettings, io_err};
use crate::durable::{self, Access, Durable, told};
use crate::failpoint::Step;

#[derive(Debug)]
struct Uboot {
    config: PathBuf,
    durable: Durable,
}

pub(super) fn open(
    settings: &SlotSettings,
    durable: Durable,
) -> Result<Box<dyn Bootloader>, SlotError> {
    let record = Uboot { config: settings.record.clone(), durable: durable.clone() };
    counted::open(record, settings, durable)
}

impl Uboot {
    fn copies(&self) -> Result<Copies, SlotError> {
        let missing = || io_err("open", &self.config)(io::ErrorKind::NotFound.into());
        let text = durable::read(&self.config, CONFIG_BYTES_MAX)?.ok_or_else(missing)?;
        let text = String::from_utf8_lossy(&text);
        let parsed = fw_env::parse(&text);
        let copies =
            parsed.map_err(|source| SlotError::FwEnv { path: self.config.clone(), source })?;
        for place in copies.all() {
            check(Path::new(&place.path))?;
        }
        if let Copies::One(place) = &copies {
            let meta = fs::metadata(&place.path).map_err(io_err("look at", place.path.as_ref()))?;
            let whole = place.offset == 0 && meta.is_file() && meta.len() == length_of(place);
            if !whole {
                let why = "a power cut amid its only copy would lose it; give U-Boot two copies";
                return Err(SlotError::Unsafe { path: place.path.clone().into(), why });
            }
        }
        Ok(copies)
    }

    fn load(&self, copies: &Copies) -> Result<UbootEnv, SlotError> {
        let parsed = match copies {
            Copies::One(place) => UbootEnv::parse(&read(place)?),
            Copies::Two([first, second]) => {
                let (one, two) = (read(first)?, read(second)?);
                UbootEnv::parse_two([&one, &two], flags_of(Path::new(&first.path)))
            }
        };
        parsed.map_err(|source| self.wrong(source))
    }

    fn wrong(&self, source: UbootError) -> SlotError {
        SlotError::Uboot { path: self.config.clone(), source }
    }
}

impl Record for Uboot {
    fn read(&self) -> Result<Marks, SlotError> {
        let env = self.load(&self.copies()?)?;
        env.marks().map_err(|source| self.wrong(source))
    }

    fn write(&self, marks: &Marks, step: Step) -> Result<(), SlotError> {
        let copies = self.copies()?;
        let mut env = self.load(&copies)?;
        env.put(marks);
        let written = env.written().map_err(|source| self.wrong(source))?;
        let [first, second] = match &copies {
            Copies::One(place) => {
                let path = Path::new(&place.path);
                return Ok(self.durable.write(path, &written.bytes, Access::Owner, step)?);
            }
            Copies::Two(both) => both,
        };
        let (to, other) = if written.copy == 0 { (first, second) } else { (second, first) };
        let points = self.durable.points();
        points.before(step).map_err(told("write", to.path.as_ref()))?;
        self.put(to, 0, &written.bytes)?;
        if written.clear_other {
            // After the copy that holds from there on, and never before.
            self.put(other, FLAG_AT, &[0])?;
        }
        Ok(points.after(step).map_err(told("write", to.path.as_ref()))?)
    }
}

/// Where the flag byte lies in a copy.
const FLAG_AT: u64 = 4;

impl Uboot {
    fn put(&self, place: &CopyPlace, from: u64, bytes: &[u8]) -> Result<(), SlotError> {
        let path = Path::new(&place.path);
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).open(path).map_err(io_err("open", path))?;
        let at = start_of(&file, place)?.saturating_add(from);
        let disk = self.durable.disk();
        disk.write_at(&file, path, bytes, at).map_err(told("write", path))?;
        Ok(disk.sync(&file, path).map_err(told("sync", path))?)
    }
}

fn length_of(place: &CopyPlace) -> u64 {
    u64::try_from(place.length).unwrap_or(u64::MAX)
}

/// Flash is erased in blocks by calls that this agent, without `unsafe`, does not make; the block
/// device over it does.
fn check(path: &Path) -> Result<(), SlotError> {
    let meta = fs::metadata(path).map_err(io_err("look at", path))?;
    if meta.file_type().is_char_device() {
        let why = "it is raw flash; name its block device, /dev/mtdblockN";
        return Err(SlotError::Unsafe { path: path.to_owned(), why });
    }
    Ok(())
}

/// U-Boot counts its flag up everywhere but on NOR flash.
fn flags_of(path: &Path) -> Flags {
    let number = path.to_str().and_then(|path| path.strip_prefix("/dev/mtdblock"));
    let kind = number
        .and_then(|number| fs::read_to_string(format!("/sys/class/mtd/mtd{number}/type")).ok());
    match kind {
        Some(kind) if kind.trim() == "nor" => Flags::Active,
        _ => Flags::Counting,
    }
}

fn read(place: &CopyPlace) -> Result<Vec<u8>, SlotError> {
    let path = Path::new(&place.path);
    let file = File::open(path).map_err(io_err("open", path))?;
    let at = start_of(&file, place)?;
    let mut bytes = vec![0; place.length];
    file.read_exact_at(&mut bytes, at).map_err(io_err("read", path))?;
    Ok(bytes)
}

/// A negative offset counts from the end.
fn start_of(mut file: &File, place: &CopyPlace) -> Result<u64, SlotError> {
    let path = Path::new(&place.path);
    let end = file.seek(SeekFrom::End(0)).map_err(io_err("look at", path))?;
    let at = match u64::try_from(place.offset) {
        Ok(at) => Some(at),
        Err(_) => end.checked_sub(place.offset.unsigned_abs()),
    };
    let at = at.filter(|at| at.saturating_add(length_of(place)) <= end);
    at.ok_or_else(|| SlotError::Corrupt {
        path: path.to_owned(),
        why: format!(
            "expected {} bytes from offset {} on, it ends at {end}",
            place.length, place.offset
        ),
    })
}
