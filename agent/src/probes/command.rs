//! The probe `command`: a program that ends with exit code 0. It runs with a clean environment, in
//! which `LAZARET_IMAGE` is the path of the image and `LAZARET_SLOT` its slot, and is ended with
//! all that it started when its time is up.

use std::ffi::OsStr;

use super::{Probe, ProbeFailure, Surroundings};
use crate::config::Reader;
use crate::program::{self, ProgramFailure};

#[derive(Debug)]
struct CommandProbe {
    command: Vec<String>,
}

pub(super) fn make(from: &mut Reader<'_>) -> Option<Box<dyn Probe>> {
    let command = from.texts("command");
    if command.is_empty() {
        from.wrong("command", "expected a program and its arguments, got none");
        return None;
    }
    Some(Box::new(CommandProbe { command }))
}

impl Probe for CommandProbe {
    fn look(&self, around: &Surroundings<'_>, timeout_ms: u64) -> Result<(), ProbeFailure> {
        let variables = [
            ("LAZARET_IMAGE", around.image.as_os_str()),
            ("LAZARET_SLOT", OsStr::new(around.slot)),
        ];
        program::run(&self.command, &variables, timeout_ms)?;
        Ok(())
    }
}

impl From<ProgramFailure> for ProbeFailure {
    fn from(ProgramFailure { why, output }: ProgramFailure) -> Self {
        Self { why, output }
    }
}
