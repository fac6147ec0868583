//! The probe `file`: a file that the new image makes when it is well.

use std::path::PathBuf;

use super::{Probe, ProbeFailure, Surroundings};
use crate::config::Reader;

#[derive(Debug)]
struct FileProbe {
    path: PathBuf,
}

pub(super) fn make(from: &mut Reader<'_>) -> Option<Box<dyn Probe>> {
    let path = from.path("path")?;
    Some(Box::new(FileProbe { path }))
}

impl Probe for FileProbe {
    fn look(&self, _: &Surroundings<'_>, _: u64) -> Result<(), ProbeFailure> {
        match self.path.try_exists() {
            Ok(true) => Ok(()),
            Ok(false) => {
                Err(ProbeFailure::because(format!("expected {} to exist", self.path.display())))
            }
            Err(err) => {
                let why = format!("{} cannot be looked at: {err}", self.path.display());
                Err(ProbeFailure::because(why))
            }
        }
    }
}
