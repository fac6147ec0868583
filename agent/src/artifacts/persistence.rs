//! Where something can make itself come back: units, timers, cron, start scripts, profiles,
//! preloaded libraries, keys that may log in. Of each file owner, mode, size, time and digest; the
//! content only of the small ones that are read line by line at a start or a login, without the
//! secrets in it. Access times change where the file system keeps them.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use lazaret_protocol::digest::Sha256Digest;

use super::{ARTIFACT_BYTES_MAX, Failure, Scene, bounded, cut, plain, redacted};

/// Folders and files where something persists.
const PLACES: &[&str] = &[
    "/etc/ld.so.preload",
    "/etc/rc.local",
    "/etc/inittab",
    "/etc/profile",
    "/etc/profile.d",
    "/etc/environment",
    "/etc/crontab",
    "/etc/cron.d",
    "/etc/cron.hourly",
    "/etc/cron.daily",
    "/var/spool/cron",
    "/etc/init.d",
    "/etc/systemd/system",
    "/etc/udev/rules.d",
    "/etc/modules-load.d",
    "/root/.ssh/authorized_keys",
    "/root/.profile",
    "/root/.bashrc",
];

/// Files of one place, and how deep it is looked into.
const FILES_MAX: usize = 500;
const DEPTH_MAX: u32 = 4;

/// A file that is shown whole is no larger, in bytes.
const SHOWN_BYTES_MAX: u64 = 8 * 1024;

pub(super) fn points(scene: &Scene<'_>) -> Result<Vec<u8>, Failure> {
    let mut out = String::from("mode\tuid\tsize\tmodified\tsha256\tpath\n");
    let mut shown = String::new();
    let mut places: Vec<PathBuf> = PLACES.iter().map(PathBuf::from).collect();
    places.extend(homes());
    for place in places {
        let mut files = Vec::new();
        gather(&place, DEPTH_MAX, &mut files);
        if files.len() >= FILES_MAX {
            out.push_str(&format!("[{}: only the first {FILES_MAX} files]\n", place.display()));
        }
        for path in files {
            line(&path, &scene.profile.redact, &mut out, &mut shown);
        }
    }
    out.push_str(&shown);
    Ok(cut(out.into_bytes()))
}

/// The keys that may log in as somebody.
fn homes() -> Vec<PathBuf> {
    let homes = fs::read_dir("/home").into_iter().flatten().filter_map(Result::ok);
    homes.take(FILES_MAX).map(|home| home.path().join(".ssh/authorized_keys")).collect()
}

fn gather(path: &Path, depth: u32, files: &mut Vec<PathBuf>) {
    let Ok(meta) = path.symlink_metadata() else { return };
    if files.len() >= FILES_MAX {
        return;
    }
    if !meta.is_dir() {
        files.push(path.to_owned());
        return;
    }
    let Some(depth) = depth.checked_sub(1) else { return };
    let entries = fs::read_dir(path).into_iter().flatten().filter_map(Result::ok);
    let mut below: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    below.sort();
    below.iter().for_each(|path| gather(path, depth, files));
}

fn line(path: &Path, redact: &[String], out: &mut String, shown: &mut String) {
    let Ok(meta) = path.symlink_metadata() else { return };
    let name = plain(&path.to_string_lossy());
    let digest = if meta.is_symlink() {
        let to = fs::read_link(path).map(|to| to.to_string_lossy().into_owned());
        format!("-> {}", plain(&to.unwrap_or_default()))
    } else if !meta.is_file() {
        "-".to_owned()
    } else if meta.len() > u64::try_from(ARTIFACT_BYTES_MAX).unwrap_or(u64::MAX) {
        "too large to be read".to_owned()
    } else {
        match bounded(path) {
            Ok(bytes) => {
                if meta.len() <= SHOWN_BYTES_MAX && meta.len() > 0 {
                    shown.push_str(&format!("== {name}\n"));
                    for line in String::from_utf8_lossy(&bytes).lines() {
                        shown.push_str(&redacted(line, redact));
                        shown.push('\n');
                    }
                }
                Sha256Digest::of(&bytes).to_string()
            }
            Err(_) => "cannot be read".to_owned(),
        }
    };
    let (mode, uid, size, modified) = (meta.mode(), meta.uid(), meta.size(), meta.mtime());
    out.push_str(&format!("{mode:o}\t{uid}\t{size}\t{modified}\t{digest}\t{name}\n"));
}
