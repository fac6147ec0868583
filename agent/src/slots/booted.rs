//! Which slot runs, by the command line that the bootloader gave the kernel: the running system's
//! own word, and no file of ours.

use std::path::Path;

use lazaret_agent_core::slot::Slot;

use super::SlotError;
use crate::durable;

/// Largest command line, in bytes; Linux takes 4 KiB at most.
const COMMAND_LINE_BYTES_MAX: u64 = 64 * 1024;

/// Parameters that name the slot: ours, and the one that boot scripts made for RAUC give.
const PARAMETERS: [&str; 2] = ["lazaret.slot=", "rauc.slot="];

/// The slot that runs; none where the command line names none, as in a rescue system.
pub(super) fn slot(command_line: &Path) -> Result<Option<Slot>, SlotError> {
    // Files of /proc say that they are empty, and are read all the same.
    let bytes = match std::fs::read(command_line) {
        Ok(bytes) => bytes,
        Err(err) => return Err(durable::told("read", command_line)(err).into()),
    };
    let got = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if got > COMMAND_LINE_BYTES_MAX {
        let (path, max) = (command_line.to_owned(), COMMAND_LINE_BYTES_MAX);
        return Err(durable::DurableError::TooLarge { path, max, got }.into());
    }
    Ok(named(&String::from_utf8_lossy(&bytes)))
}

/// The last parameter holds, as with the kernel's own.
fn named(command_line: &str) -> Option<Slot> {
    let mut values = command_line
        .split_ascii_whitespace()
        .filter_map(|word| PARAMETERS.iter().find_map(|name| word.strip_prefix(name)));
    let value = values.next_back()?;
    Slot::ALL.into_iter().find(|slot| slot.as_str().eq_ignore_ascii_case(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_parameter_names_the_slot() {
        assert_eq!(named("root=/dev/sda2 lazaret.slot=a quiet\n"), Some(Slot::A));
        assert_eq!(named("lazaret.slot=a lazaret.slot=b"), Some(Slot::B));
        assert_eq!(named("rauc.slot=B"), Some(Slot::B));
        assert_eq!(named("lazaret.slot=c"), None);
        assert_eq!(named("xlazaret.slot=a slot=b"), None);
        assert_eq!(named(""), None);
    }
}
