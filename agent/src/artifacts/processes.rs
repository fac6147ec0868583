//! Every process with its parent, owner, state, program and arguments, secrets among these taken
//! out. Environments are left out: they hold secrets of others.

use std::fs;
use std::path::Path;

use super::{ARTIFACT_BYTES_MAX, Failure, Scene, cut, redacted};

/// Longest command line that is kept, in bytes.
const COMMAND_BYTES_MAX: usize = 4096;

pub(super) fn processes(scene: &Scene<'_>) -> Result<Vec<u8>, Failure> {
    let entries = fs::read_dir("/proc").map_err(|err| format!("/proc cannot be read: {err}"))?;
    let mut pids: Vec<u32> =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    let mut out = b"pid\tparent\tuid\tstate\tname\tprogram\tcommand\n".to_vec();
    for pid in pids {
        // A process that ends while it is looked at is no failure.
        if let Some(line) = line(pid, &scene.profile.redact) {
            out.extend_from_slice(line.as_bytes());
        }
        if out.len() > ARTIFACT_BYTES_MAX {
            break;
        }
    }
    Ok(cut(out))
}

fn line(pid: u32, redact: &[String]) -> Option<String> {
    let folder = Path::new("/proc").join(pid.to_string());
    let status = fs::read_to_string(folder.join("status")).ok()?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        plain(line.unwrap_or_default().split_whitespace().next().unwrap_or_default())
    };
    let program = fs::read_link(folder.join("exe"))
        .map_or_else(|_| "-".to_owned(), |path| path.to_string_lossy().into_owned());
    let mut command = fs::read(folder.join("cmdline")).unwrap_or_default();
    command.truncate(COMMAND_BYTES_MAX);
    let command = String::from_utf8_lossy(&command).replace('\0', " ");
    Some(format!(
        "{pid}\t{}\t{}\t{}\t{}\t{}\t{}\n",
        field("PPid"),
        field("Uid"),
        field("State"),
        field("Name"),
        plain(&program),
        redacted(&plain(&command), redact)
    ))
}

/// A process chooses its own name and arguments: they must not forge a line.
fn plain(text: &str) -> String {
    text.trim().chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
