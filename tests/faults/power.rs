//! Power loss as a model: what is left of a folder when the process that wrote to it under the shim
//! `powerloss.c` is gone.

use std::collections::HashSet;
use std::fs;
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::dice::Dice;

/// The unit in which unsynced content survives or not. Disks promise no more than a sector.
const PAGE: usize = 4096;

/// What becomes of content that was written and not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsynced {
    /// All of it is lost.
    Lost,
    /// Every page of it is lost or kept by chance, as a disk's cache may have got to any of them.
    Scattered,
}

/// The shim, compiled once.
pub(crate) fn shim() -> &'static Path {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    SHIM.get_or_init(|| {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/faults/powerloss.c");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let shim = folder.join("powerloss.so");
        // Other tests compile it at the same time, and none may load it half-written.
        let own = folder.join(format!("powerloss-{}.so", std::process::id()));
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o"])
            .args([own.as_os_str(), source.as_ref(), "-ldl".as_ref()])
            .status()
            .expect("this test needs a C compiler by the name of cc");
        assert!(compiled.success(), "the shim does not compile");
        fs::rename(own, &shim).unwrap();
        shim
    })
}

/// Makes everything in `dir` durable: the state that a life under the shim begins with.
pub(crate) fn settle(dir: &Path, shadow: &Path) {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        names.extend([entry.file_name().into_string().unwrap(), "\n".to_owned()]);
        if entry.file_type().unwrap().is_dir() {
            settle(&entry.path(), shadow);
        } else {
            let kept = shadow.join(entry.metadata().unwrap().ino().to_string());
            fs::copy(entry.path(), kept).unwrap();
        }
    }
    put(&names_of(dir, shadow), names.concat().as_bytes());
}

/// Takes from `dir` what was not durable.
pub(crate) fn lose(dir: &Path, shadow: &Path, unsynced: Unsynced, dice: &mut Dice) {
    let names = fs::read_to_string(names_of(dir, shadow)).unwrap_or_default();
    let names: HashSet<&str> = names.lines().collect();
    let mut entries: Vec<_> = fs::read_dir(dir).unwrap().map(Result::unwrap).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (path, is_dir) = (entry.path(), entry.file_type().unwrap().is_dir());
        let durable = names.contains(entry.file_name().to_str().unwrap());
        match (durable, is_dir) {
            (true, true) => lose(&path, shadow, unsynced, dice),
            (false, true) => fs::remove_dir_all(path).unwrap(),
            (false, false) => fs::remove_file(path).unwrap(),
            (true, false) => {
                let kept = shadow.join(entry.metadata().unwrap().ino().to_string());
                let synced = fs::read(kept).unwrap_or_default();
                let left = match unsynced {
                    Unsynced::Lost => synced,
                    Unsynced::Scattered => scatter(&synced, &fs::read(&path).unwrap(), dice),
                };
                put(&path, &left);
            }
        }
    }
}

/// A mixture of the pages of `synced` and those of `written`. The length is one of both.
fn scatter(synced: &[u8], written: &[u8], dice: &mut Dice) -> Vec<u8> {
    let length = if dice.coin() { synced.len() } else { written.len() };
    let mut left = vec![0; length];
    for (index, page) in left.chunks_mut(PAGE).enumerate() {
        let range = index * PAGE..index * PAGE + page.len();
        let (old, new) = (cut(synced, &range), cut(written, &range));
        let chosen = if old != new && dice.coin() { new } else { old };
        page[..chosen.len()].copy_from_slice(chosen);
    }
    left
}

/// As much of `range` as there is. Behind the end of a file it reads as zeros.
fn cut<'a>(bytes: &'a [u8], range: &Range<usize>) -> &'a [u8] {
    &bytes[range.start.min(bytes.len())..range.end.min(bytes.len())]
}

fn names_of(dir: &Path, shadow: &Path) -> PathBuf {
    shadow.join(format!("names-{}", fs::metadata(dir).unwrap().ino()))
}

/// In place: the shadow knows a file by its number.
fn put(path: &Path, bytes: &[u8]) {
    let mut file = fs::File::create(path).unwrap();
    std::io::Write::write_all(&mut file, bytes).unwrap();
}
