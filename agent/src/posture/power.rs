//! The charge, from what Linux lists below `/sys/class/power_supply`
//! (`Documentation/ABI/testing/sysfs-class-power`), by one rule for the posture that a poll says
//! and for what an update asks of the device itself.

use std::fs;
use std::path::Path;

/// Longest file that is read, in bytes: the kernel's are one word.
const FILE_BYTES_MAX: usize = 256;
/// Entries that are looked at.
const ENTRIES_MAX: usize = 256;

/// What the device lives on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Power {
    /// The charge of the emptiest battery: where two feed one device, the emptier one is what may
    /// not last. None without a battery.
    pub(crate) least_percent: Option<u8>,
    /// It is fed from outside, and no battery says that it drains all the same.
    pub(crate) supplied: bool,
}

/// Reads what is listed below `folder`.
#[must_use]
pub(crate) fn read(folder: &Path) -> Power {
    let Ok(entries) = fs::read_dir(folder) else { return Power::default() };
    let (mut least_percent, mut drains, mut fed) = (None, false, false);
    for entry in entries.flatten().take(ENTRIES_MAX) {
        let path = entry.path();
        if word(&path, "type").unwrap_or_default() != "Battery" {
            fed |= word(&path, "online").is_some_and(|online| online != "0");
            continue;
        }
        // A mouse has a battery too.
        if word(&path, "scope").is_some_and(|scope| scope == "Device") {
            continue;
        }
        let Some(percent) = word(&path, "capacity").and_then(|text| text.parse::<u64>().ok())
        else {
            continue;
        };
        let percent = u8::try_from(percent.min(100)).unwrap_or(100);
        least_percent = Some(least_percent.unwrap_or(100_u8).min(percent));
        match word(&path, "status").as_deref() {
            // A charger that is too weak is one that does not feed it.
            Some("Discharging") => drains = true,
            // Fed, though no charger is listed.
            Some("Charging" | "Full" | "Not charging") => fed = true,
            _ => {}
        }
    }
    Power { least_percent, supplied: fed && !drains }
}

/// The charge that a poll says; none without a battery or while it is fed: nothing that an update
/// does can empty it then.
#[must_use]
pub(super) fn battery_percent(folder: &Path) -> Option<u8> {
    let power = read(folder);
    power.least_percent.filter(|_| !power.supplied)
}

fn word(folder: &Path, name: &str) -> Option<String> {
    let text = fs::read_to_string(folder.join(name)).ok()?;
    (text.len() <= FILE_BYTES_MAX).then(|| text.trim().to_owned())
}
