//! The measure `services`: units of systemd that the order names are stopped and masked, so that
//! neither a restart nor another unit starts them again. What was masked before is left so when the
//! measure is taken back.

use std::path::{Path, PathBuf};

use lazaret_protocol::containment::UnitName;

use super::{Measure, MeasureFailure, Wanted};
use crate::cli::chain;
use crate::durable::{self, Access};
use crate::program;

/// How long one call of systemctl may take, in milliseconds: a unit has 90 s to stop.
const SYSTEMCTL_MS: u64 = 120_000;

/// Largest file of what was masked here, in bytes.
const MASKED_BYTES_MAX: u64 = 64 * 1024;

/// See the module.
#[derive(Debug)]
pub(super) struct Services {
    pub(super) systemctl: String,
}

impl Default for Services {
    fn default() -> Self {
        Self { systemctl: "systemctl".into() }
    }
}

impl Measure for Services {
    fn apply(&self, wanted: Wanted<'_>) -> Result<(), MeasureFailure> {
        let mut masked = masked(wanted.folder)?;
        for unit in &wanted.terms.stop {
            let state = self.state(unit)?;
            if !state.is_masked && state.is_known && !masked.contains(unit) {
                masked.push(unit.clone());
            }
        }
        // Remembered first: what was masked and not remembered would stay so for ever.
        let bytes =
            serde_json::to_vec(&masked).map_err(|err| MeasureFailure::because(err.to_string()))?;
        wanted
            .durable
            .write(&path(wanted.folder), &bytes, Access::Owner, "containment-units")
            .map_err(|err| MeasureFailure::because(chain(&err)))?;
        for unit in &wanted.terms.stop {
            if self.state(unit)?.is_known {
                self.call(&["mask", "--now", "--", unit.as_str()])?;
            }
        }
        Ok(())
    }

    fn verify(&self, wanted: Wanted<'_>) -> Result<(), MeasureFailure> {
        for unit in &wanted.terms.stop {
            let state = self.state(unit)?;
            if state.is_known && (!state.is_masked || state.is_active) {
                let why = format!("expected {unit} to be stopped and masked, it is {}", state.said);
                return Err(MeasureFailure::because(why));
            }
        }
        Ok(())
    }

    fn undo(&self, folder: &Path) -> Result<(), MeasureFailure> {
        for unit in masked(folder)? {
            self.call(&["unmask", "--", unit.as_str()])?;
            self.call(&["start", "--no-block", "--", unit.as_str()])?;
        }
        match std::fs::remove_file(path(folder)) {
            Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
                Err(MeasureFailure::because(err.to_string()))
            }
            _ => Ok(()),
        }
    }
}

/// What systemd says of a unit.
struct State {
    is_known: bool,
    is_masked: bool,
    is_active: bool,
    said: String,
}

impl Services {
    fn call(&self, arguments: &[&str]) -> Result<String, MeasureFailure> {
        let command: Vec<String> = std::iter::once(self.systemctl.as_str())
            .chain(arguments.iter().copied())
            .map(str::to_owned)
            .collect();
        program::run(&command, &[], SYSTEMCTL_MS).map_err(|failure| {
            let said = failure.output.lines().next().unwrap_or_default().trim();
            let what = arguments.first().copied().unwrap_or_default();
            MeasureFailure::because(format!("systemctl {what}: {} {said}", failure.why))
        })
    }

    fn state(&self, unit: &UnitName) -> Result<State, MeasureFailure> {
        let said = self.call(&["show", "--property=LoadState,ActiveState", "--", unit.as_str()])?;
        let of = |name: &str| {
            said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap_or("")
        };
        let (load, active) = (of("LoadState"), of("ActiveState"));
        Ok(State {
            is_known: load != "not-found",
            is_masked: load == "masked",
            is_active: matches!(active, "active" | "activating" | "reloading" | "deactivating"),
            said: format!("{load}, {active}"),
        })
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join("units.json")
}

/// The units that were masked here.
fn masked(folder: &Path) -> Result<Vec<UnitName>, MeasureFailure> {
    let bytes = durable::read(&path(folder), MASKED_BYTES_MAX)
        .map_err(|err| MeasureFailure::because(chain(&err)))?;
    let Some(bytes) = bytes else { return Ok(Vec::new()) };
    serde_json::from_slice(&bytes)
        .map_err(|err| MeasureFailure::because(format!("units.json cannot be read: {err}")))
}
