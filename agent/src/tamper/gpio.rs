//! A line of the GPIO controller as sysfs shows it (`value`, 0 or 1): a loop through the case, a
//! lid's contact. What opens and closes between two looks is not seen; a line that must not miss
//! anything is a key of the kernel (`case-switch`).

use std::path::PathBuf;

use lazaret_protocol_evidence::log::Detail;

use super::{Input, InputConfig, Seen};
use crate::clock::Clock;

#[derive(Debug)]
struct Gpio {
    name: String,
    path: PathBuf,
    closed: u64,
    /// None where it could not be read.
    open: Option<bool>,
    first: bool,
}

pub(super) fn make(config: &InputConfig, _: &Clock) -> Box<dyn Input> {
    let InputConfig { name, path, closed, .. } = config.clone();
    Box::new(Gpio { name, path, closed, open: None, first: true })
}

impl Input for Gpio {
    fn look(&mut self) -> Vec<Seen> {
        let text = std::fs::read_to_string(&self.path).unwrap_or_default();
        let open = text.trim().parse::<u64>().ok().map(|value| value != self.closed);
        let (before, first) = (self.open, self.first);
        (self.open, self.first) = (open, false);
        let kind = match (before, open) {
            (before, Some(true)) if before != Some(true) => "case-opened",
            (Some(true), Some(false)) => "case-closed",
            // A wire that is cut off reads as nothing.
            (Some(_), None) => "case-input-lost",
            _ => return Vec::new(),
        };
        // A case that is open when the agent starts is said as well: somebody opened it before.
        let detail = Detail::none().text("input", &self.name);
        let detail = if first { detail.text("since", "before the start") } else { detail };
        vec![Seen { kind, detail }]
    }
}
