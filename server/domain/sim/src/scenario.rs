//! What is made up: the fleet, its links and hours, and what is wrong with the image.

use alloc::format;
use alloc::string::String;

use lazaret_protocol::time::{HOUR_MS, MINUTE_MS, Timestamp};
use serde::{Deserialize, Serialize};

/// Most devices of a simulated fleet.
pub const DEVICES_MAX: u32 = 4_000_000;
/// Most hardware revisions.
pub const REVISIONS_MAX: u8 = 16;

/// When every simulated rollout begins: Monday 2026-11-23, 10:00 in UTC.
pub const BEGINNING: Timestamp = Timestamp::from_ms(1_795_428_000_000);

/// What is wrong with the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Fault {
    /// Nothing.
    None,
    /// It fails its trial everywhere, and devices roll back.
    Everywhere,
    /// It fails its trial on one hardware revision.
    Revision {
        /// Which, from 0. Revision 0 is every second device, 1 every fourth, and so on.
        revision: u8,
    },
    /// It confirms, and goes bad on every device later: a probe fails and says so.
    Slow {
        /// How much later, in milliseconds.
        after_ms: u64,
    },
    /// It confirms, and the device falls silent later.
    SlowSilent {
        /// How much later, in milliseconds.
        after_ms: u64,
    },
    /// It fails its trial on some devices of every kind.
    Some {
        /// On so many of 1000.
        permille: u32,
    },
}

/// How devices of ours hear of the server between two polls. hawkBit's poll plainly, always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Links {
    /// Their polls are held back, as agents ask for by default: what the server has to say is heard
    /// at once while the link stands. Whose poll is lost hears nothing until the next one.
    #[default]
    Held,
    /// They poll plainly as well.
    Plain,
}

/// A simulated fleet and what happens to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scenario {
    /// Devices.
    pub devices: u32,
    /// The same seed is the same run.
    pub seed: u64,
    /// What is wrong with the image.
    #[serde(flatten)]
    pub fault: Fault,
    /// Hardware revisions, each half as frequent as the one before.
    pub revisions: u8,
    /// Milliseconds between polls.
    pub poll_ms: u64,
    /// Whether polls are held back under our rules.
    #[serde(default)]
    pub links: Links,
    /// Median milliseconds from the offer to the word of the new image.
    pub install_ms: u64,
    /// Good installs that fail all the same, of 1000.
    pub failures_permille: u32,
    /// Polls that do not get through, of 1000.
    pub lost_polls_permille: u32,
    /// Devices that are on for ten hours of their day only, of 1000.
    pub day_only_permille: u32,
    /// Days after which the run ends.
    pub days: u32,
}

impl Scenario {
    /// A fleet of so many devices on good links, always on, and a good image.
    #[must_use]
    pub const fn calm(devices: u32, seed: u64) -> Self {
        Self {
            devices,
            seed,
            fault: Fault::None,
            revisions: 4,
            poll_ms: 5 * MINUTE_MS,
            links: Links::Held,
            install_ms: 8 * MINUTE_MS,
            failures_permille: 2,
            lost_polls_permille: 10,
            day_only_permille: 0,
            days: 4,
        }
    }

    /// The same with this fault.
    #[must_use]
    pub const fn with(self, fault: Fault) -> Self {
        Self { fault, ..self }
    }

    /// The same with plain polls.
    #[must_use]
    pub const fn plain(self) -> Self {
        Self { links: Links::Plain, ..self }
    }

    /// The same on flaky links: one poll in five is lost, and more installs fail.
    #[must_use]
    pub const fn flaky(self) -> Self {
        Self { lost_polls_permille: 200, failures_permille: 5, ..self }
    }

    /// The same with three devices in ten that are switched off at night, all around the world.
    #[must_use]
    pub const fn day_and_night(self) -> Self {
        Self { day_only_permille: 300, ..self }
    }

    /// Whether it can be run.
    ///
    /// # Errors
    /// What is out of range.
    pub fn check(&self) -> Result<(), String> {
        let ranges: [(&str, u64, u64, u64); 9] = [
            ("devices", u64::from(self.devices), 1, u64::from(DEVICES_MAX)),
            ("revisions", u64::from(self.revisions), 1, u64::from(REVISIONS_MAX)),
            ("poll_ms", self.poll_ms, 1000, 24 * HOUR_MS),
            ("install_ms", self.install_ms, 1000, 24 * HOUR_MS),
            ("failures_permille", u64::from(self.failures_permille), 0, 1000),
            ("lost_polls_permille", u64::from(self.lost_polls_permille), 0, 950),
            ("day_only_permille", u64::from(self.day_only_permille), 0, 1000),
            ("days", u64::from(self.days), 1, 60),
            ("seed", self.seed, 0, u64::MAX),
        ];
        for (name, got, least, most) in ranges {
            if got < least || got > most {
                return Err(format!("expected {name} of {least} to {most}, got {got}"));
            }
        }
        match self.fault {
            Fault::Revision { revision } if revision >= self.revisions => {
                Err(format!("expected a revision below {}, got {revision}", self.revisions))
            }
            _ => Ok(()),
        }
    }
}
