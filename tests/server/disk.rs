//! A disk that is small enough to be filled: a tmpfs, which only root may mount.

#![allow(clippy::expect_used, reason = "all of this is a test")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted disk, which goes when this does.
#[derive(Debug)]
pub(crate) struct Small(PathBuf);

impl Small {
    /// Mounts one of so many MiB at a folder that is made for it.
    pub(crate) fn mounted(at: &Path, mebibytes: u32) -> Self {
        std::fs::create_dir(at).expect("no folder yet");
        let size = format!("size={mebibytes}m,mode=700");
        mount(&["-t", "tmpfs", "-o", &size, "lazaret-test"], at);
        Self(at.to_owned())
    }

    /// Gives it so many MiB in all.
    pub(crate) fn grow(&self, mebibytes: u32) {
        mount(&["-o", &format!("remount,size={mebibytes}m")], &self.0);
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Lazily, because the server may still run when a test has failed.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn mount(options: &[&str], at: &Path) {
    let done = Command::new("mount").args(options).arg(at).output().expect("no mount");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "this test mounts a small disk, which needs root: {said}");
}
