//! What the kernel says: its log, its modules, and what a crash before this start left. Reading the
//! log takes nothing out of it.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

use super::{ARTIFACT_BYTES_MAX, Failure, Scene, bounded, cut, plain, together};

/// Where the kernel's log is read, record by record.
const KMSG: &str = "/dev/kmsg";

/// Where the kernel keeps what it said before a crash.
const PSTORE: &str = "/sys/fs/pstore";

/// Where dumps of programs are kept.
const DUMPS: &[&str] = &["/var/lib/systemd/coredump", "/var/crash", "/var/core"];

/// Dumps of one folder that are listed.
const DUMPS_MAX: usize = 1000;

/// Longest record of the kernel's log, in bytes (its own limit is 8 KiB).
const RECORD_BYTES_MAX: usize = 16 * 1024;

pub(super) fn log(_: &Scene<'_>) -> Result<Vec<u8>, Failure> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(KMSG)
        .map_err(|err| format!("{KMSG} cannot be read: {err}"))?;
    let mut out = Vec::new();
    let mut record = vec![0; RECORD_BYTES_MAX];
    while out.len() <= ARTIFACT_BYTES_MAX {
        match file.read(&mut record) {
            Ok(0) => break,
            Ok(count) => out.extend_from_slice(record.get(..count).unwrap_or_default()),
            Err(err) if err.kind() == ErrorKind::WouldBlock => break,
            // The kernel wrote over a record before it was read: the next read goes on behind it.
            Err(err) if matches!(err.kind(), ErrorKind::BrokenPipe | ErrorKind::Interrupted) => {}
            Err(err) => return Err(format!("{KMSG} cannot be read: {err}")),
        }
    }
    Ok(cut(out))
}

pub(super) fn modules(_: &Scene<'_>) -> Result<Vec<u8>, Failure> {
    together(&["/proc/modules", "/proc/sys/kernel/tainted", "/proc/cmdline"])
}

/// What crashes left: what the kernel said before this start, with its content, and the dumps of
/// programs, by name and size alone, because a dump is the memory of somebody.
pub(super) fn crashes(scene: &Scene<'_>) -> Result<Vec<u8>, Failure> {
    let mut out = Vec::new();
    let kept = fs::read_dir(PSTORE).map_err(|err| format!("{PSTORE} cannot be read: {err}"));
    match kept {
        Ok(entries) => {
            let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
            paths.sort();
            out = format!("{} records of earlier starts\n", paths.len()).into_bytes();
            paths.iter().filter(|path| is_file(path)).for_each(|path| whole(path, &mut out));
        }
        Err(why) => {
            out.extend_from_slice(format!("[{why}]\n").as_bytes());
            scene.budget.lacks(why);
        }
    }
    whole(Path::new("/proc/sys/kernel/core_pattern"), &mut out);
    out.extend_from_slice(b"== dumps of programs\nsize\tuid\tmodified\tpath\n");
    for folder in DUMPS {
        let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
        let mut paths: Vec<_> = entries.map(|entry| entry.path()).take(DUMPS_MAX).collect();
        paths.sort();
        for path in paths {
            let Ok(meta) = path.symlink_metadata() else { continue };
            let name = plain(&path.to_string_lossy());
            let line = format!("{}\t{}\t{}\t{name}\n", meta.size(), meta.uid(), meta.mtime());
            out.extend_from_slice(line.as_bytes());
        }
    }
    Ok(cut(out))
}

fn whole(path: &Path, out: &mut Vec<u8>) {
    if out.len() > ARTIFACT_BYTES_MAX {
        return;
    }
    out.extend_from_slice(format!("== {}\n", path.display()).as_bytes());
    match bounded(path) {
        Ok(bytes) => out.extend_from_slice(&bytes),
        Err(why) => out.extend_from_slice(format!("[{why}]\n").as_bytes()),
    }
}

fn is_file(path: &Path) -> bool {
    File::open(path).and_then(|file| file.metadata()).is_ok_and(|meta| meta.is_file())
}
