//! The charge, from what Linux lists below `/sys/class/power_supply`
//! (`Documentation/ABI/testing/sysfs-class-power`). A device on the mains says none: nothing that
//! an update does can empty its battery.

use std::fs;
use std::path::Path;

/// Longest file that is read, in bytes: the kernel's are one word.
const FILE_BYTES_MAX: usize = 256;

/// The mean charge of the batteries that it runs from; none without a battery or on the mains.
#[must_use]
pub(super) fn battery_percent(folder: &Path) -> Option<u8> {
    let entries = fs::read_dir(folder).ok()?;
    let (mut sum, mut count, mut drains, mut mains) = (0_u64, 0_u64, false, false);
    for entry in entries.flatten() {
        let path = entry.path();
        let kind = word(&path, "type").unwrap_or_default();
        if kind != "Battery" {
            mains |= word(&path, "online").is_some_and(|online| online != "0");
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
        drains |= word(&path, "status").is_some_and(|status| status == "Discharging");
        sum = sum.saturating_add(percent.min(100));
        count = count.saturating_add(1);
    }
    // A charger that is too weak drains as well, and a battery that does not say is believed to.
    if mains && !drains {
        return None;
    }
    let mean = sum.checked_div(count)?;
    let charging = !drains && charges(folder);
    (!charging).then(|| u8::try_from(mean).unwrap_or(100))
}

/// Whether a battery says that it is being fed, though no charger is listed.
fn charges(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| {
        let fed = ["Charging", "Full", "Not charging"];
        word(&entry.path(), "status").is_some_and(|status| fed.contains(&status.as_str()))
    })
}

fn word(folder: &Path, name: &str) -> Option<String> {
    let text = fs::read_to_string(folder.join(name)).ok()?;
    (text.len() <= FILE_BYTES_MAX).then(|| text.trim().to_owned())
}
