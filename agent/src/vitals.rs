//! Measures what an update needs of the device beside room: memory, battery, temperature. What it
//! has to be is judged in `lazaret_agent_core::vitals`.

use std::fs;
use std::path::{Path, PathBuf};

use lazaret_agent_core::vitals::Vitals;

use crate::posture::power;

/// Entries of a folder of the kernel's that are looked at.
const ENTRIES_MAX: usize = 256;

/// Measures this device.
#[must_use]
pub fn measure() -> Vitals {
    measure_below(Path::new("/"))
}

/// Measures what lies below `root` as it does below `/`.
fn measure_below(root: &Path) -> Vitals {
    let memory = fs::read_to_string(root.join("proc/meminfo")).unwrap_or_default();
    let kibibytes = memory.lines().find_map(|line| {
        line.strip_prefix("MemAvailable:")?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()
    });
    let mut vitals = Vitals {
        memory_bytes: kibibytes.map(|kibibytes| kibibytes.saturating_mul(1024)),
        ..Vitals::default()
    };
    let power = power::read(&root.join("sys/class/power_supply"));
    vitals.battery_percent = power.least_percent.map(u64::from);
    vitals.supplied = power.supplied;
    for zone in entries(&root.join("sys/class/thermal")) {
        if let Ok(temperature) = said(&zone, "temp").parse() {
            let most = vitals.temperature_millicelsius.unwrap_or(i64::MIN);
            vitals.temperature_millicelsius = Some(most.max(temperature));
        }
    }
    vitals
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(listed) = fs::read_dir(folder) else { return Vec::new() };
    listed.take(ENTRIES_MAX).filter_map(|entry| Some(entry.ok()?.path())).collect()
}

fn said(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "files of a test")]
mod tests {
    use super::*;

    #[test]
    fn memory_batteries_supplies_and_sensors_are_read_as_linux_says_them() {
        let folder = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        assert_eq!(measure_below(folder.path()), Vitals::default());
        put("proc/meminfo", "MemTotal: 2000 kB\nMemAvailable:    1000 kB\n");
        put("sys/class/power_supply/BAT0/type", "Battery\n");
        put("sys/class/power_supply/BAT0/capacity", "80\n");
        put("sys/class/power_supply/BAT1/type", "Battery\n");
        put("sys/class/power_supply/BAT1/capacity", "40\n");
        put("sys/class/power_supply/pen/type", "Battery\n");
        put("sys/class/power_supply/pen/scope", "Device\n");
        put("sys/class/power_supply/pen/capacity", "1\n");
        put("sys/class/power_supply/AC/type", "Mains\n");
        put("sys/class/power_supply/AC/online", "0\n");
        put("sys/class/thermal/thermal_zone0/temp", "45000\n");
        put("sys/class/thermal/thermal_zone1/temp", "-5000\n");
        put("sys/class/thermal/cooling_device0/cur_state", "0\n");
        let expected = Vitals {
            memory_bytes: Some(1_024_000),
            battery_percent: Some(40),
            supplied: false,
            temperature_millicelsius: Some(45_000),
        };
        assert_eq!(measure_below(folder.path()), expected);
        put("sys/class/power_supply/AC/online", "1\n");
        assert!(measure_below(folder.path()).supplied);
        assert!(measure().memory_bytes.is_some(), "this machine has memory");
    }
}
