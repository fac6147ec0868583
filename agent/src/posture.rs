//! What the device says of itself with every poll beside what it runs: its charge, its local time,
//! how its probes fare, what the other slot holds, and attributes. Rollouts are paced by it and
//! filters name it; it grants nothing. What cannot be known is left out and never guessed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lazaret_agent_core::health::{Finding, ProbeResult};
use lazaret_protocol::operator::NumberKind;
use lazaret_protocol::poll::{Boot, Posture, Subscriber};
use lazaret_protocol::time::Timestamp;

use crate::config::Reader;
use crate::probes::{ProbeConfig, Round, Surroundings, free_bytes};

pub(crate) mod power;
mod saying;
#[cfg(test)]
mod tests;
mod zone;

pub use saying::Saying;
pub use zone::Zone;

/// Most `[[attributes]]` of one device; the server keeps 100 with the agent's own.
pub const ATTRIBUTES_MAX: usize = 32;

/// Longest value of an attribute, in bytes: what the server keeps.
const VALUE_BYTES_MAX: usize = 128;

/// A command of this name says the charge in percent in place of the system.
const BATTERY: &str = "battery_percent";

/// A command of this name says the minutes ahead of UTC in place of the system.
const OFFSET: &str = "utc_offset_min";

/// How the device finds out what it says.
#[derive(Debug)]
pub struct PostureConfig {
    /// Its hardware revision: what tells cohorts of one model apart.
    pub hardware: Option<String>,
    /// Where it stands.
    pub zone: Zone,
    /// Where the system lists its batteries and chargers.
    pub power_supply_dir: PathBuf,
    /// Between two rounds of commands and probes outside a trial, in milliseconds.
    pub every_ms: u64,
    /// What commands and the configuration say.
    pub sayings: Vec<Saying>,
}

impl PostureConfig {
    /// Reads its settings.
    pub fn read(from: &mut Reader<'_>) -> Self {
        let hardware = from.text("hardware", "", |text| {
            let plain = text.len() <= VALUE_BYTES_MAX && !text.contains(char::is_control);
            if plain { Ok(text.to_owned()) } else { Err("expected up to 128 plain bytes".into()) }
        });
        Self {
            hardware: hardware.filter(|text| !text.is_empty()),
            zone: from.text("time_zone", "system", Zone::parse).unwrap_or(Zone::Unknown),
            power_supply_dir: from
                .optional_path("power_supply_dir")
                .unwrap_or_else(|| PathBuf::from("/sys/class/power_supply")),
            every_ms: from.number("posture_seconds", 300, 1..=86_400).saturating_mul(1000),
            sayings: from.tables("attributes", ATTRIBUTES_MAX, Saying::read),
        }
    }
}

/// Whether a round of probes leaves anything open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// Every probe has passed or used up its attempts, and all is as it was.
    AsBefore,
    /// The same, and at least one of them fares differently than it did.
    Changed,
    /// One failed that may be tried again.
    NotYet,
}

/// What was found out last by looking, which takes time, and is therefore not done for every poll.
#[derive(Debug, Default)]
pub struct Watch {
    round: Round,
    probes: BTreeMap<String, bool>,
    said: BTreeMap<String, String>,
}

impl Watch {
    /// Looks once with each probe, in the image that runs. A probe that fails keeps its last
    /// verdict until its attempts are used up, so that one hiccup is no regression.
    pub fn look(&mut self, probes: &[ProbeConfig], around: &Surroundings<'_>) -> Settled {
        let results = self.round.look(probes, around);
        let settled = self.judged(&results);
        if settled != Settled::NotYet {
            self.round = Round::default();
        }
        settled
    }

    /// Takes in what the probes of a trial, or of a round of its own, have found.
    pub fn judged(&mut self, results: &[ProbeResult]) -> Settled {
        let before = self.probes.clone();
        let mut open = false;
        for result in results {
            match result.finding {
                Finding::Passed => drop(self.probes.insert(result.name.clone(), true)),
                Finding::Failed { tries_left: 0, .. } => {
                    self.probes.insert(result.name.clone(), false);
                }
                Finding::Failed { .. } => open = true,
            }
        }
        match self.probes == before {
            _ if open => Settled::NotYet,
            true => Settled::AsBefore,
            false => Settled::Changed,
        }
    }

    /// Runs the commands. One that fails says nothing, and what it said before is forgotten.
    pub fn ask(&mut self, config: &PostureConfig) {
        self.said.clear();
        for saying in &config.sayings {
            match saying.say() {
                Ok(text) => drop(self.said.insert(saying.name.clone(), cut(&text))),
                Err(why) => tracing::warn!(attribute = saying.name, "no attribute: {why}"),
            }
        }
    }

    /// What the device says of itself at `now`. The room of `folders` is said by name.
    #[must_use]
    pub fn posture(
        &self,
        config: &PostureConfig,
        folders: &[(&str, &Path)],
        now: Timestamp,
    ) -> Posture {
        let mut attributes = system(folders);
        attributes.extend(config.hardware.iter().map(|text| ("hardware".to_owned(), text.clone())));
        attributes.extend(self.said.iter().map(|(name, text)| (name.clone(), text.clone())));
        let asked = |name| attributes.get(name).and_then(|text| text.trim().parse().ok());
        let battery_percent = match config.says(BATTERY) {
            true => asked(BATTERY),
            false => power::battery_percent(&config.power_supply_dir),
        };
        let utc_offset_min = match config.says(OFFSET) {
            true => attributes.get(OFFSET).and_then(|text| text.trim().parse().ok()),
            false => config.zone.offset_min(now),
        };
        let subscriber = taken_out(&mut attributes);
        Posture {
            attributes,
            subscriber,
            utc_offset_min,
            battery_percent: battery_percent.filter(|percent| *percent <= 100),
            probes: self.probes.clone(),
            ..Posture::default()
        }
    }
}

/// Numbers of a modem and SIM are no attributes: those are shown to everybody.
fn taken_out(attributes: &mut BTreeMap<String, String>) -> Option<Subscriber> {
    let mut take = |kind: NumberKind| {
        let name = kind.as_str();
        let found = attributes.keys().find(|key| key.eq_ignore_ascii_case(name)).cloned()?;
        attributes.remove(&found)
    };
    let subscriber = Subscriber {
        imei: take(NumberKind::Imei),
        iccid: take(NumberKind::Iccid),
        imsi: take(NumberKind::Imsi),
    };
    (subscriber != Subscriber::default()).then_some(subscriber)
}

impl PostureConfig {
    fn says(&self, name: &str) -> bool {
        self.sayings.iter().any(|saying| saying.name == name)
    }
}

/// The start of the machine, as Linux names it, and that of the agent; none where `/proc` does not
/// say.
#[must_use]
pub fn boot(agent: &str) -> Option<Boot> {
    let id = first_line("/proc/sys/kernel/random/boot_id")?;
    let uptime = first_line("/proc/uptime")?;
    // "12345.67 54321.00": seconds since the start with two digits behind the point, and idle ones.
    let (seconds, rest) = uptime.split_once('.')?;
    let seconds: u64 = seconds.parse().ok()?;
    let hundredths: u64 = rest.get(..2)?.parse().ok()?;
    let uptime_ms = seconds.saturating_mul(1000).saturating_add(hundredths.saturating_mul(10));
    Some(Boot { id, uptime_ms, agent: agent.to_owned() })
}

/// What every system can say of itself.
fn system(folders: &[(&str, &Path)]) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut say = |name: &str, text: String| drop(all.insert(name.to_owned(), cut(&text)));
    say("agent", env!("CARGO_PKG_VERSION").to_owned());
    say("arch", std::env::consts::ARCH.to_owned());
    if let Some(kernel) = first_line("/proc/sys/kernel/osrelease") {
        say("kernel", kernel);
    }
    // "12345.67 54321.00": since the machine started, and how long it idled.
    let uptime = first_line("/proc/uptime");
    if let Some(seconds) = uptime.as_deref().and_then(|line| line.split(['.', ' ']).next()) {
        say("uptime_s", seconds.to_owned());
    }
    for (name, path) in folders {
        if let Ok(free) = free_bytes(path) {
            say(name, free.to_string());
        }
    }
    all
}

fn first_line(path: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    text.lines().next().map(str::to_owned)
}

/// A value as the server keeps it: one line of at most [`VALUE_BYTES_MAX`].
fn cut(text: &str) -> String {
    let mut out = String::new();
    for c in text.trim().chars().filter(|c| !c.is_control()) {
        if out.len().saturating_add(c.len_utf8()) > VALUE_BYTES_MAX {
            break;
        }
        out.push(c);
    }
    out
}
