//! A summary of memory: what the machine has, and of every process how much it maps, how much of
//! that can be executed without a file behind it, and which mapped files are deleted or can be both
//! written and executed: where injected code lies. No content of memory is read.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use super::{Failure, Scene, plain, together};

/// Longest list of mappings that is read, in bytes.
const MAPS_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Odd mappings of one process that are named.
const NAMED_MAX: usize = 32;

pub(super) fn summary(scene: &Scene<'_>) -> Result<Vec<u8>, Failure> {
    let mut out = together(&["/proc/meminfo", "/proc/vmstat", "/proc/iomem", "/proc/swaps"])?;
    out.extend_from_slice(
        b"== processes\npid\tname\tmappings\tkib_mapped\tkib_executable\t\
          kib_executable_without_file\n",
    );
    let entries = fs::read_dir("/proc").map_err(|err| format!("/proc cannot be read: {err}"))?;
    let mut pids: Vec<u32> =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    let mut unreadable = 0_u32;
    for pid in pids {
        if let Some(why) = scene.budget.spent() {
            scene.budget.lacks(format!("processes from {pid} on are missing: {why}"));
            break;
        }
        match of_process(pid) {
            Some(lines) => out.extend_from_slice(lines.as_bytes()),
            None => unreadable = unreadable.saturating_add(1),
        }
    }
    out.extend_from_slice(format!("[{unreadable} processes ended or cannot be read]\n").as_bytes());
    Ok(out)
}

fn of_process(pid: u32) -> Option<String> {
    let folder = Path::new("/proc").join(pid.to_string());
    let name = fs::read_to_string(folder.join("comm")).ok()?;
    let mut maps = Vec::new();
    let file = fs::File::open(folder.join("maps")).ok()?;
    file.take(MAPS_BYTES_MAX).read_to_end(&mut maps).ok()?;
    let seen = read(&String::from_utf8_lossy(&maps));
    let mut lines = format!(
        "{pid}\t{}\t{}\t{}\t{}\t{}\n",
        plain(name.trim_end()),
        seen.mappings,
        seen.mapped / 1024,
        seen.executable / 1024,
        seen.without_file / 1024,
    );
    for odd in seen.odd.iter().take(NAMED_MAX) {
        lines.push_str(&format!("\todd\t{odd}\n"));
    }
    Some(lines)
}

/// What the mappings of a process come to, in bytes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    mappings: u64,
    mapped: u64,
    executable: u64,
    without_file: u64,
    odd: BTreeSet<String>,
}

/// Reads `/proc/PID/maps`: `from-to perms offset device inode path`.
fn read(maps: &str) -> Seen {
    let mut seen = Seen::default();
    for line in maps.lines() {
        let mut words = line.split_ascii_whitespace();
        let (Some(range), Some(rights)) = (words.next(), words.next()) else { continue };
        let Some((from, to)) = range.split_once('-') else { continue };
        let hex = |text: &str| u64::from_str_radix(text, 16).unwrap_or(0);
        let length = hex(to).saturating_sub(hex(from));
        let path = words.skip(3).collect::<Vec<_>>().join(" ");
        seen.mappings = seen.mappings.saturating_add(1);
        seen.mapped = seen.mapped.saturating_add(length);
        if !rights.contains('x') {
            continue;
        }
        seen.executable = seen.executable.saturating_add(length);
        let of_kernel = matches!(path.as_str(), "[vdso]" | "[vsyscall]" | "[uprobes]");
        if !path.starts_with('/') && !of_kernel {
            seen.without_file = seen.without_file.saturating_add(length);
        }
        if rights.contains('w') || path.ends_with(" (deleted)") {
            seen.odd.insert(format!("{rights} {}", plain(&path)));
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_without_a_file_and_files_that_are_gone_are_seen() {
        let seen = read(
            "1000-3000 r-xp 0 08:01 7 /usr/bin/good\n\
             3000-4000 rw-p 0 00:00 0 [heap]\n\
             4000-6000 rwxp 0 00:00 0 \n\
             6000-7000 r-xp 0 08:01 9 /tmp/x y (deleted)\n\
             7000-8000 r-xp 0 00:00 0 [vdso]\nnonsense\n",
        );
        assert_eq!((seen.mappings, seen.mapped), (5, 0x7000));
        assert_eq!((seen.executable, seen.without_file), (0x6000, 0x2000));
        let odd: Vec<&str> = seen.odd.iter().map(String::as_str).collect();
        assert_eq!(odd, ["r-xp /tmp/x y (deleted)", "rwxp "]);
    }
}
