//! The system's journal of a range of time, as `journalctl` shows it, the newest where it is too
//! long, with the secrets that stand behind known words taken out; where there is no journal, the
//! end of the text logs of syslog. `journalctl` is the one program that artifacts run: nothing else
//! reads the journal's format, and it has no part in what is trusted. It changes nothing.

use std::path::Path;
use std::process::{Command, Stdio};

use std::os::unix::fs::FileExt as _;

use super::{Failure, Scene, redacted};

/// Where `journalctl` is.
const PROGRAMS: &[&str] = &["/usr/bin/journalctl", "/bin/journalctl"];

/// Text logs of machines without a journal.
const TEXT_LOGS: &[&str] = &["/var/log/syslog", "/var/log/messages", "/var/log/auth.log"];

pub(super) fn journal(scene: &Scene<'_>) -> Result<Vec<u8>, Failure> {
    let program = PROGRAMS.iter().map(Path::new).find(|path| path.is_file());
    let from_journal = program.map(|program| range(scene, program));
    match from_journal {
        Some(Ok(bytes)) => Ok(bytes),
        Some(Err(why)) => text_logs(scene).map_err(|no_logs| format!("{why}; {no_logs}")),
        None => text_logs(scene).map_err(|no_logs| format!("there is no journalctl; {no_logs}")),
    }
}

/// The lines of the range, the oldest first.
fn range(scene: &Scene<'_>, program: &Path) -> Result<Vec<u8>, Failure> {
    let until = scene.wanted.until.unwrap_or(scene.now);
    let back_ms = scene.profile.journal_seconds.saturating_mul(1000);
    let since = scene.wanted.since.unwrap_or_else(|| {
        lazaret_protocol::time::Timestamp::from_ms(until.as_ms().saturating_sub(back_ms))
    });
    let seconds = |ms: u64| format!("@{}", ms / 1000);
    // A second more at the end: the parts of a second of `until` belong to the range.
    let (from, to) = (seconds(since.as_ms()), seconds(until.as_ms().saturating_add(999)));
    let mut child = Command::new(program)
        .args(["--no-pager", "--quiet", "--utc", "--output=short-iso-precise", "--reverse"])
        .args(["--since", &from, "--until", &to])
        .env_clear()
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|err| format!("{} cannot be run: {err}", program.display()))?;
    let Some(mut pipe) = child.stdout.take() else { return Err("no pipe".to_owned()) };
    let head = format!("== journal from {since} to {until}, newest first\n");
    let lines = read_lines(scene, &mut pipe);
    drop(pipe);
    // It ends by itself, or with the pipe where not all was read.
    let ended = child.wait().map_err(|err| format!("journalctl cannot be waited for: {err}"))?;
    let (lines, read) = lines?;
    if read == Read::Whole && !ended.success() {
        return Err(format!("journalctl ended with {ended}"));
    }
    if lines.is_empty() {
        return Err(format!("the journal has nothing from {since} to {until}"));
    }
    Ok([head.into_bytes(), lines].concat())
}

/// Whether a program was heard to its end.
#[derive(PartialEq, Eq)]
enum Read {
    Whole,
    Part,
}

fn read_lines(
    scene: &Scene<'_>,
    from: &mut impl std::io::Read,
) -> Result<(Vec<u8>, Read), Failure> {
    let most = scene.budget.bytes_max();
    let mut bytes = Vec::new();
    let mut piece = vec![0; 64 * 1024];
    let mut read = Read::Whole;
    loop {
        let count = from.read(&mut piece).map_err(|err| format!("journalctl: {err}"))?;
        let Some(new @ [_, ..]) = piece.get(..count) else { break };
        bytes.extend_from_slice(new);
        let why = match scene.budget.spent() {
            Some(why) => why,
            None if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > most => scene.budget.why_cut(),
            None => continue,
        };
        scene.budget.lacks(format!("the oldest lines are missing: {why}"));
        read = Read::Part;
        break;
    }
    bytes.truncate(usize::try_from(most).unwrap_or(usize::MAX).saturating_sub(256));
    Ok((clean(scene, &bytes), read))
}

fn clean(scene: &Scene<'_>, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for line in String::from_utf8_lossy(bytes).lines() {
        out.extend_from_slice(redacted(line, &scene.profile.redact).as_bytes());
        out.push(b'\n');
    }
    out
}

/// The end of each text log.
fn text_logs(scene: &Scene<'_>) -> Result<Vec<u8>, Failure> {
    let share = scene.budget.bytes_max() / 4;
    let mut out = Vec::new();
    for path in TEXT_LOGS {
        let Ok(file) = std::fs::File::open(path) else { continue };
        let length = file.metadata().map_or(0, |meta| meta.len());
        let most = length.min(share);
        let mut bytes = vec![0; usize::try_from(most).unwrap_or(0)];
        let read = file.read_at(&mut bytes, length.saturating_sub(most)).unwrap_or(0);
        bytes.truncate(read);
        out.extend_from_slice(
            format!("== the last {read} of {length} bytes of {path}\n").as_bytes(),
        );
        out.extend_from_slice(&clean(scene, &bytes));
    }
    if out.is_empty() {
        return Err(format!("none of {} can be read", TEXT_LOGS.join(", ")));
    }
    Ok(out)
}
