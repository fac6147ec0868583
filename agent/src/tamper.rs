//! Tamper inputs: what a device can notice of somebody who has a hand on it. Each is a file and a
//! line in [`INPUTS`]; each looks and says what is new since it looked last. All of it goes into
//! the log's security ring; nothing here decides what follows.

use std::path::PathBuf;

use lazaret_protocol_evidence::log::Detail;

use crate::clock::Clock;
use crate::config::Reader;

mod case_switch;
mod clock;
mod console;
mod gpio;
mod usb;

/// Most inputs of one device.
pub const INPUTS_MAX: usize = 16;

/// Things that one input says in one look; of more, the count is said.
const SEEN_MAX: usize = 16;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its kind in the log.
    pub kind: &'static str,
    /// Its particulars.
    pub detail: Detail,
}

/// Watches one thing.
pub trait Input: std::fmt::Debug + Send {
    /// What is new since the last look; the first look only learns how things stand. What cannot be
    /// read is not there.
    fn look(&mut self) -> Vec<Seen>;
}

/// Makes an input of its settings.
type Make = fn(&InputConfig, &Clock) -> Box<dyn Input>;

/// An input by the name of its kind, its usual path, and how it is made.
const INPUTS: &[(&str, &str, Make)] = &[
    ("case-switch", "/dev/input/event0", case_switch::make),
    ("clock", "", clock::make),
    ("console", "/run/utmp", console::make),
    ("gpio", "/sys/class/gpio/gpio0/value", gpio::make),
    ("usb", "/sys/bus/usb/devices", usb::make),
];

/// Inputs of a device whose settings name none: they need no wiring.
const USUAL: &[&str] = &["clock", "console", "usb"];

/// One of `[[tamper]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputConfig {
    /// Its kind.
    pub kind: String,
    /// What it is called in the log.
    pub name: String,
    /// What it reads.
    pub path: PathBuf,
    /// What `gpio` reads while the case is closed.
    pub closed: u64,
    /// The code of the key or switch that `case-switch` listens to.
    pub code: u64,
}

impl InputConfig {
    /// What is watched where the settings say nothing: what needs no wiring.
    #[must_use]
    pub fn usual_ones() -> Vec<Self> {
        USUAL.iter().filter_map(|kind| Self::usual(kind)).collect()
    }

    fn usual(kind: &str) -> Option<Self> {
        let (kind, path, _) = INPUTS.iter().find(|(name, ..)| *name == kind)?;
        let (kind, name) = ((*kind).to_owned(), (*kind).to_owned());
        Some(Self { kind, name, path: PathBuf::from(path), closed: 0, code: COVER })
    }

    /// Reads one of `[[tamper]]`.
    pub fn read(from: &mut Reader<'_>) -> Option<Self> {
        let kind = from.required("kind", |text| {
            let known: Vec<&str> = INPUTS.iter().map(|(name, ..)| *name).collect();
            if known.contains(&text) {
                return Ok(text.to_owned());
            }
            Err(format!("expected one of {}, got {text:?}", known.join(", ")))
        });
        let name = from.text("name", "", |text| {
            let plain = text.len() <= 64 && !text.contains(char::is_control);
            if plain { Ok(text.to_owned()) } else { Err("expected up to 64 plain bytes".into()) }
        });
        let path = from.optional_path("path");
        let (closed, code) =
            (from.number("closed", 0, 0..=1), from.number("code", COVER, 0..=0xffff));
        let usual = Self::usual(&kind?)?;
        let name = name.filter(|name| !name.is_empty()).unwrap_or_else(|| usual.kind.clone());
        Some(Self { name, path: path.unwrap_or(usual.path), closed, code, ..usual })
    }
}

/// `SW_MACHINE_COVER` of Linux: the case is open.
const COVER: u64 = 0x10;

/// The inputs of this device.
#[derive(Debug)]
pub struct Tamper {
    inputs: Vec<Box<dyn Input>>,
}

impl Tamper {
    /// Begins to watch.
    #[must_use]
    pub fn watch(config: &[InputConfig], clock: &Clock) -> Self {
        let make = |it: &InputConfig| {
            let (.., make) = INPUTS.iter().find(|(kind, ..)| *kind == it.kind)?;
            Some(make(it, clock))
        };
        let mut inputs: Vec<_> = config.iter().filter_map(make).collect();
        for input in &mut inputs {
            // How things stand is learned now, so that the next look sees what changes.
            drop(input.look());
        }
        Self { inputs }
    }

    /// What is new.
    pub fn look(&mut self) -> Vec<Seen> {
        self.inputs.iter_mut().flat_map(|input| bounded(input.look())).collect()
    }
}

/// The first of a flood, and how many they were.
fn bounded(mut seen: Vec<Seen>) -> Vec<Seen> {
    let count = u64::try_from(seen.len()).unwrap_or(u64::MAX);
    if let Some(first) = seen.first().filter(|_| seen.len() > SEEN_MAX) {
        let detail = Detail::none().number("count", count);
        let rest = Seen { kind: first.kind, detail };
        seen.truncate(SEEN_MAX.saturating_sub(1));
        seen.push(rest);
    }
    seen
}

#[cfg(test)]
mod tests;
