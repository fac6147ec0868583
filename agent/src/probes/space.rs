//! The probe `space`: room that has to be left on a file system.

use std::path::PathBuf;

use super::{Probe, ProbeFailure, Surroundings};
use crate::config::Reader;

#[derive(Debug)]
struct SpaceProbe {
    path: PathBuf,
    free_bytes: u64,
}

pub(super) fn make(from: &mut Reader<'_>) -> Option<Box<dyn Probe>> {
    let free_bytes = from.number("free_bytes", 1 << 20, 1..=u64::MAX);
    let path = from.path("path")?;
    Some(Box::new(SpaceProbe { path, free_bytes }))
}

impl Probe for SpaceProbe {
    fn look(&self, _: &Surroundings<'_>, _: u64) -> Result<(), ProbeFailure> {
        let free = free_bytes(&self.path).map_err(|err| {
            ProbeFailure::because(format!("{} cannot be looked at: {err}", self.path.display()))
        })?;
        if free >= self.free_bytes {
            return Ok(());
        }
        let (path, want) = (self.path.display(), self.free_bytes);
        Err(ProbeFailure::because(format!("expected {want} bytes free on {path}, got {free}")))
    }
}

/// Bytes that whoever is not root may still write on the file system of `path`.
pub(crate) fn free_bytes(path: &std::path::Path) -> std::io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
