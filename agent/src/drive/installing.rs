//! What surrounds an image on its way into a slot, beside the image itself: what the device needs
//! to have, hooks, a tree that is unpacked, and what was last heard of a trial that failed.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use lazaret_agent_core::journal::{Target, Update};
use lazaret_agent_core::reason::Reason;
use lazaret_agent_core::vitals::lacking;
use lazaret_protocol_evidence::log::Detail;

use super::{Drive, Stop};
use crate::cli::chain;
use crate::program;
use crate::slots::SlotContent;
use crate::stage::tree;
use crate::vitals;

/// Until the device is measured again, in milliseconds.
const MEASURE_MS: u64 = 60_000;

/// Bytes at the end of the log of a trial that are looked at.
const LAST_BYTES: u64 = 4096;

/// Files of a folder among which the newest is looked for.
const FILES_MAX: usize = 1000;

/// Why an installation has failed: a stable code, and words.
type Failure = (&'static str, Reason);

impl Drive {
    /// Whether the device lacks what an update needs. It is said once for each lack.
    pub(super) fn waits_for_the_device(&mut self) -> Result<bool, Stop> {
        let Some((code, reason)) = lacking(&vitals::measure(), &self.config.around.needs) else {
            self.refusals.retain(|(known, _)| !LACKS.contains(&known.as_str()));
            return Ok(false);
        };
        self.updates.next_ms = self.now_ms().saturating_add(MEASURE_MS);
        // The figure changes with every look; the lack is said once until it is over.
        if self.is_news(code, "") {
            tracing::warn!(code, "the update waits: {reason}");
            let detail = Detail::none().text("code", code).text("why", reason.as_str());
            self.note("update-waits", detail)?;
        }
        Ok(true)
    }

    /// Does what is left to do once an image is in its slot and was read back.
    pub(super) fn settle_in(&self, target: &Target) -> Result<(), Failure> {
        if self.config.slots.content == SlotContent::Tree {
            let to = self.config.slots.tree(target.slot);
            let unpacked = File::open(self.slots.image(target.slot))
                .map_err(tree::TreeError::Archive)
                .and_then(|image| tree::unpack(&image, target.release.length, &to, &self.durable));
            if let Err(err) = unpacked {
                let code = match err {
                    tree::TreeError::Durable(_) => "slot-failed",
                    _ => "bad-archive",
                };
                return Err((code, Reason::new(&chain(&err))));
            }
        }
        self.hook("after", target)
    }

    /// Runs a hook, where there is one.
    pub(super) fn hook(&self, when: &str, target: &Target) -> Result<(), Failure> {
        let hooks = &self.config.around.hooks;
        let command = if when == "before" { &hooks.before } else { &hooks.after };
        if command.is_empty() {
            return Ok(());
        }
        let (slot, version) = (target.slot.as_str(), target.release.version.to_string());
        let (image, tree) = (self.slots.image(target.slot), self.config.slots.tree(target.slot));
        let variables = [
            ("LAZARET_HOOK", OsStr::new(when)),
            ("LAZARET_SLOT", OsStr::new(slot)),
            ("LAZARET_IMAGE", image.as_os_str()),
            ("LAZARET_TREE", tree.as_os_str()),
            ("LAZARET_VERSION", OsStr::new(&version)),
        ];
        tracing::info!("hook {when} for slot {slot}");
        match program::run(command, &variables, hooks.timeout_ms) {
            Ok(_) => Ok(()),
            Err(failure) => {
                let head = format!("hook {when}: {}", failure.why);
                let reason = match failure.output.trim() {
                    "" => Reason::new(&head),
                    output => Reason::with_tail(&head, output),
                };
                Err(("hook-failed", reason))
            }
        }
    }

    /// What was last heard of the image on trial, where the agent starts with a trial not settled.
    pub(super) fn last_words(&self) -> String {
        let on_trial = matches!(self.journal.update, Update::Armed { .. } | Update::Trial { .. });
        let Some(path) = self.config.around.trial_log.as_deref().filter(|_| on_trial) else {
            return String::new();
        };
        match end_of(path) {
            Ok(words) => words,
            Err(err) => {
                tracing::warn!("the log of the trial, {}, cannot be read: {err}", path.display());
                String::new()
            }
        }
    }
}

/// Codes of `lazaret_agent_core::vitals`.
const LACKS: [&str; 3] = ["low-memory", "low-battery", "too-hot"];

/// The end of a file, or of the newest file in a folder.
fn end_of(path: &Path) -> std::io::Result<String> {
    let path = if path.is_dir() { newest(path)? } else { path.to_owned() };
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LAST_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(LAST_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

fn newest(folder: &Path) -> std::io::Result<PathBuf> {
    let files = fs::read_dir(folder)?.take(FILES_MAX).filter_map(Result::ok);
    let aged = files.filter_map(|file| {
        let meta = file.metadata().ok().filter(fs::Metadata::is_file)?;
        Some((meta.modified().unwrap_or(SystemTime::UNIX_EPOCH), file.path()))
    });
    let newest = aged.max();
    newest.map(|(_, path)| path).ok_or_else(|| std::io::ErrorKind::NotFound.into())
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "files of a test")]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_newest_file_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        assert!(end_of(folder.path()).is_err());
        let long = format!("{}the last words\n", "x".repeat(10_000));
        fs::write(folder.path().join("a"), &long).unwrap();
        let words = end_of(folder.path()).unwrap();
        assert!(words.ends_with("xthe last words") && words.len() < 4096);
        fs::write(folder.path().join("b"), "a kernel's panic").unwrap();
        let later = SystemTime::now() + std::time::Duration::from_secs(60);
        File::open(folder.path().join("b")).unwrap().set_modified(later).unwrap();
        assert_eq!(end_of(folder.path()).unwrap(), "a kernel's panic");
        assert_eq!(end_of(&folder.path().join("a")).unwrap(), words);
    }
}
