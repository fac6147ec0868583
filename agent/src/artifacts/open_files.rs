//! What every process has open: its files, among them deleted ones, its sockets by inode (which
//! `sockets.txt` names), and the program it runs.

use std::fs;
use std::path::Path;

use super::{ARTIFACT_BYTES_MAX, Failure, Scene, cut};

/// Files of one process that are listed.
const FILES_MAX: usize = 1024;

pub(super) fn open_files(_: &Scene<'_>) -> Result<Vec<u8>, Failure> {
    let entries = fs::read_dir("/proc").map_err(|err| format!("/proc cannot be read: {err}"))?;
    let mut pids: Vec<u32> =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    let mut out = b"pid\tfd\topen\n".to_vec();
    for pid in pids {
        if out.len() > ARTIFACT_BYTES_MAX {
            break;
        }
        of_process(pid, &mut out);
    }
    Ok(cut(out))
}

fn of_process(pid: u32, out: &mut Vec<u8>) {
    let folder = Path::new("/proc").join(pid.to_string());
    // A process that ends while it is looked at is no failure.
    let Ok(entries) = fs::read_dir(folder.join("fd")) else { return };
    let mut fds: Vec<u32> =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    fds.sort_unstable();
    for fd in fds.into_iter().take(FILES_MAX) {
        let Ok(to) = fs::read_link(folder.join("fd").join(fd.to_string())) else { continue };
        let to: String =
            to.to_string_lossy().chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        out.extend_from_slice(format!("{pid}\t{fd}\t{to}\n").as_bytes());
    }
}
