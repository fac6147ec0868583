//! Logins, at the console or from afar, as `utmp` lists them; where there is no such file, as
//! systemd-logind keeps its sessions beside it (`systemd/sessions`).

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use lazaret_protocol_evidence::log::Detail;

use super::{Input, InputConfig, Seen};
use crate::clock::Clock;

/// One record of `utmp(5)` on Linux, in bytes, where `ut_tv` has 32 bits.
const RECORD_BYTES: usize = 384;

/// `USER_PROCESS`.
const USER: u16 = 7;

/// Largest file that is read, in bytes.
const UTMP_BYTES_MAX: u64 = 1024 * 1024;

/// Sessions that are looked at.
const SESSIONS_MAX: usize = 1024;

#[derive(Debug)]
struct Console {
    path: PathBuf,
    known: Option<BTreeMap<String, Detail>>,
}

pub(super) fn make(config: &InputConfig, _: &Clock) -> Box<dyn Input> {
    Box::new(Console { path: config.path.clone(), known: None })
}

impl Input for Console {
    fn look(&mut self) -> Vec<Seen> {
        let found = if self.path.exists() { utmp(&self.path) } else { sessions(&self.path) };
        let Some(before) = self.known.replace(found.clone()) else { return Vec::new() };
        let said =
            |kind| move |(_, detail): (&String, &Detail)| Seen { kind, detail: detail.clone() };
        let gone = before.iter().filter(|(key, _)| !found.contains_key(*key));
        let new = found.iter().filter(|(key, _)| !before.contains_key(*key));
        gone.map(said("console-logout")).chain(new.map(said("console-login"))).collect()
    }
}

fn utmp(path: &Path) -> BTreeMap<String, Detail> {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(UTMP_BYTES_MAX).read_to_end(&mut bytes));
    if read.is_err() {
        return BTreeMap::new();
    }
    bytes.chunks_exact(RECORD_BYTES).filter_map(record).collect()
}

/// A login and what tells it from others: line, process and second.
fn record(bytes: &[u8]) -> Option<(String, Detail)> {
    let number = |at: usize| {
        let four = bytes.get(at..at.saturating_add(4))?;
        Some(u32::from_ne_bytes(four.try_into().ok()?))
    };
    let text = |at: usize, length: usize| {
        let field = bytes.get(at..at.saturating_add(length))?;
        let end = field.iter().position(|byte| *byte == 0).unwrap_or(length);
        Some(String::from_utf8_lossy(field.get(..end)?).into_owned())
    };
    let kind = u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?);
    if kind != USER {
        return None;
    }
    let (line, user, host) = (text(8, 32)?, text(44, 32)?, text(76, 256)?);
    let key = format!("{line} {} {}", number(4)?, number(340)?);
    Some((key, login(&user, &line, &host)))
}

fn login(user: &str, line: &str, host: &str) -> Detail {
    let detail = Detail::none().text("user", user).text("line", line);
    if host.is_empty() { detail } else { detail.text("from", host) }
}

/// The sessions of systemd-logind: a file each, lines of `KEY=value`.
fn sessions(utmp: &Path) -> BTreeMap<String, Detail> {
    let folder = utmp.with_file_name("systemd").join("sessions");
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let session = |entry: std::fs::DirEntry| {
        let text = std::fs::read_to_string(entry.path()).ok()?;
        let value = |key: &str| {
            let found = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            found.unwrap_or_default().to_owned()
        };
        let user = value("USER");
        if user.is_empty() || value("CLASS") == "manager" {
            return None;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        Some((name, login(&user, &value("TTY"), &value("REMOTE_HOST"))))
    };
    entries.take(SESSIONS_MAX).filter_map(session).collect()
}
