//! Artifacts: what a bundle of evidence holds beside the log. Each is a file and a line in
//! [`ARTIFACTS`], fixed and named, volatile ones first; none runs a program. How they become a
//! bundle is `bundle`.

use std::io::Read as _;
use std::path::Path;

use lazaret_agent_core::journal::Journal;

use crate::config::Config;
use crate::slots::Bootloader;

mod agent;
mod network;
mod processes;
mod system;

/// Largest artifact, in bytes. What is longer is cut, and says so at its end.
pub const ARTIFACT_BYTES_MAX: usize = 2 * 1024 * 1024;

/// What artifacts may look at.
#[derive(Debug)]
pub struct Scene<'a> {
    /// The journal as it is in memory.
    pub journal: &'a Journal,
    /// The slots.
    pub slots: &'a dyn Bootloader,
    /// The configuration.
    pub config: &'a Config,
}

/// Why an artifact could not be collected, in words.
pub type Failure = String;

/// Collects one artifact.
pub type Collect = fn(&Scene<'_>) -> Result<Vec<u8>, Failure>;

/// Every artifact by its name, in the order of collection: what is gone first comes first.
pub const ARTIFACTS: &[(&str, Collect)] = &[
    ("processes.txt", processes::processes),
    ("sockets.txt", network::sockets),
    ("interfaces.txt", network::interfaces),
    ("mounts.txt", system::mounts),
    ("system.txt", system::system),
    ("journal.json", agent::journal),
    ("slots.json", agent::slots),
    ("config.txt", agent::config),
];

/// At most [`ARTIFACT_BYTES_MAX`] bytes of a file, with a note where it is longer.
pub(crate) fn bounded(path: &Path) -> Result<Vec<u8>, Failure> {
    let limit = u64::try_from(ARTIFACT_BYTES_MAX).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut bytes))
        .map_err(|err| format!("{} cannot be read: {err}", path.display()))?;
    Ok(cut(bytes))
}

/// Cuts what is too long, and says so.
pub(crate) fn cut(mut bytes: Vec<u8>) -> Vec<u8> {
    const NOTE: &[u8] = b"\n[cut here: the artifact is larger than its limit]\n";
    if bytes.len() > ARTIFACT_BYTES_MAX {
        bytes.truncate(ARTIFACT_BYTES_MAX.saturating_sub(NOTE.len()));
        bytes.extend_from_slice(NOTE);
    }
    bytes
}

/// Several files under headings. It fails only where none of them can be read.
pub(crate) fn together(paths: &[&str]) -> Result<Vec<u8>, Failure> {
    let mut out = Vec::new();
    let mut readable = 0_usize;
    for path in paths {
        out.extend_from_slice(format!("== {path}\n").as_bytes());
        match bounded(Path::new(path)) {
            Ok(bytes) => {
                readable = readable.saturating_add(1);
                out.extend_from_slice(&bytes);
            }
            Err(why) => out.extend_from_slice(format!("[{why}]\n").as_bytes()),
        }
    }
    if readable == 0 {
        return Err(format!("none of {} can be read", paths.join(", ")));
    }
    Ok(cut(out))
}

#[cfg(test)]
mod tests;
