//! Artifacts: what a bundle of evidence holds beside the log. Each is a file and a line in
//! [`ARTIFACTS`], fixed and named, volatile ones first; none but the journal's runs a program.
//! Which of them are collected and what that may cost is a `profile`; how they become a bundle is
//! `bundle`.

use std::cell::OnceCell;
use std::io::Read as _;
use std::path::Path;

use lazaret_agent_core::journal::Journal;
use lazaret_protocol::order::Wanted;
use lazaret_protocol::time::Timestamp;
use lazaret_protocol_evidence::manifest::{ArtifactName, ArtifactStatus};

use crate::config::Config;
use crate::slots::Bootloader;

mod agent;
pub mod budget;
mod files;
mod kernel;
mod memory;
mod network;
mod open_files;
mod persistence;
mod processes;
pub mod profile;
mod system;
mod system_journal;
mod users;

use budget::Budget;
pub use files::Survey;
use profile::Profile;

/// Largest artifact, in bytes. What is longer is cut, and says so at its end.
pub const ARTIFACT_BYTES_MAX: usize = 2 * 1024 * 1024;

/// What stands at the end of an artifact that was cut.
const CUT_NOTE: &[u8] = b"\n[cut here: the artifact is larger than its limit]\n";

/// What artifacts may look at.
#[derive(Debug)]
pub struct Scene<'a> {
    /// The journal as it is in memory.
    pub journal: &'a Journal,
    /// The slots.
    pub slots: &'a dyn Bootloader,
    /// The configuration.
    pub config: &'a Config,
    /// What is collected.
    pub profile: &'a Profile,
    /// What the order asked for.
    pub wanted: &'a Wanted,
    /// When.
    pub now: Timestamp,
    /// What it has cost so far.
    pub budget: Budget,
    /// What the walk through the files has found, once there was one.
    pub survey: OnceCell<Survey>,
}

/// Why an artifact could not be collected, in words.
pub type Failure = String;

/// Collects one artifact.
pub type Collect = fn(&Scene<'_>) -> Result<Vec<u8>, Failure>;

/// What came of one artifact.
#[derive(Debug)]
pub struct Collected {
    /// Its name.
    pub name: ArtifactName,
    /// How it went.
    pub status: ArtifactStatus,
    /// Its content; of one that failed, the reason.
    pub bytes: Vec<u8>,
    /// Why it failed or is not whole.
    pub reason: Option<String>,
}

/// Every artifact by its name, in the order of collection: what is gone first comes first.
pub const ARTIFACTS: &[(&str, Collect)] = &[
    ("processes.txt", processes::processes),
    ("open-files.txt", open_files::open_files),
    ("memory.txt", memory::summary),
    ("sockets.txt", network::sockets),
    ("interfaces.txt", network::interfaces),
    ("counters.txt", network::counters),
    ("modules.txt", kernel::modules),
    ("mounts.txt", system::mounts),
    ("kernel-log.txt", kernel::log),
    ("journal.txt", system_journal::journal),
    ("system.txt", system::system),
    ("crashes.txt", kernel::crashes),
    ("users.txt", users::users),
    ("persistence.txt", persistence::points),
    ("files.txt", files::differences),
    ("changed-files.tar", files::content),
    ("update.json", agent::journal),
    ("slots.json", agent::slots),
    ("config.txt", agent::config),
];

/// Collects what the profile names, in the order of the table. One that fails, is not whole, or
/// finds the budget used up, says so and stops none of the others.
#[must_use]
pub fn collect(scene: &Scene<'_>) -> Vec<Collected> {
    let wanted =
        ARTIFACTS.iter().filter(|(name, _)| scene.profile.artifacts.iter().any(|it| it == name));
    // The names are literals; the contract test holds them to the form.
    let named = wanted.filter_map(|(name, collect)| Some((name.parse().ok()?, collect)));
    named.map(|(name, collect)| one(scene, name, *collect)).collect()
}

fn one(scene: &Scene<'_>, name: ArtifactName, collect: Collect) -> Collected {
    let taken = match scene.budget.spent() {
        Some(why) => Err(why),
        None => collect(scene),
    };
    let (mut status, mut bytes, mut reason) = match taken {
        Ok(bytes) if bytes.ends_with(CUT_NOTE) => {
            scene.budget.lacks(format!("cut after {ARTIFACT_BYTES_MAX} bytes, its limit"));
            (ArtifactStatus::Collected, bytes, None)
        }
        Ok(bytes) => (ArtifactStatus::Collected, bytes, None),
        Err(why) => (ArtifactStatus::Failed, why.clone().into_bytes(), Some(why)),
    };
    let most = usize::try_from(scene.budget.bytes_max()).unwrap_or(usize::MAX);
    if status == ArtifactStatus::Collected && bytes.len() > most {
        scene.budget.lacks(scene.budget.why_cut());
        bytes.truncate(most.saturating_sub(CUT_NOTE.len()));
        bytes.extend_from_slice(CUT_NOTE);
    }
    let lacks = scene.budget.take_lacks();
    if status == ArtifactStatus::Collected && lacks.is_some() {
        (status, reason) = (ArtifactStatus::Partial, lacks);
    }
    scene.budget.took(bytes.len());
    Collected { name, status, bytes, reason }
}

/// The files that differ or are watched, as a body file for `mactime`.
#[must_use]
pub fn body_file(scene: &Scene<'_>) -> Vec<u8> {
    files::body(scene)
}

/// A text of one line.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

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
    if bytes.len() > ARTIFACT_BYTES_MAX {
        bytes.truncate(ARTIFACT_BYTES_MAX.saturating_sub(CUT_NOTE.len()));
        bytes.extend_from_slice(CUT_NOTE);
    }
    bytes
}

/// Words behind which a secret stands, in arguments and settings.
const SECRET_WORDS: &[&str] =
    &["password", "passwd", "passphrase", "secret", "token", "api_key", "apikey", "private_key"];

/// A line without the secrets in it: what follows one of [`SECRET_WORDS`] or of the profile's own
/// and `=`, `:` or a blank, up to the next blank. How much was taken out is said.
pub(crate) fn redacted(line: &str, further: &[String]) -> String {
    let mut out = String::new();
    let mut hide_next = false;
    for (at, word) in line.split(' ').enumerate() {
        if at > 0 {
            out.push(' ');
        }
        let small = word.to_ascii_lowercase();
        let names = SECRET_WORDS.iter().any(|secret| small.contains(secret))
            || further.iter().any(|secret| small.contains(secret));
        match word.find(['=', ':']) {
            _ if hide_next && !word.is_empty() => {
                out.push_str(&format!("[redacted: {} bytes]", word.len()));
                hide_next = false;
                continue;
            }
            Some(sign) if names => {
                let (name, value) = word.split_at(sign.saturating_add(1));
                out.push_str(name);
                hide_next = value.is_empty();
                if !value.is_empty() {
                    out.push_str(&format!("[redacted: {} bytes]", value.len()));
                }
                continue;
            }
            // An option whose value is the next word.
            None if names && word.starts_with('-') => hide_next = true,
            _ => {}
        }
        out.push_str(word);
    }
    out
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
