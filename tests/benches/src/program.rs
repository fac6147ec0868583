//! Another program, run and measured: its processor seconds and its peak resident memory, as the
//! kernel counts them for that one child.

use std::process::Command;

use anyhow::{Context as _, ensure};

/// What running a program once cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// Processor time in user and kernel mode, in seconds.
    pub(crate) cpu_seconds: f64,
    /// The peak of resident memory, in bytes.
    pub(crate) peak_bytes: f64,
}

/// Runs a program to its successful end under GNU time (Debian: `time`), which reads the kernel's
/// own account of the child.
///
/// # Errors
/// It cannot be started or fails; the text has the end of what it said.
pub(crate) fn measured(command: &Command) -> anyhow::Result<Cost> {
    let account = tempfile::NamedTempFile::new()?;
    let mut timed = Command::new("/usr/bin/time");
    timed.args(["--format", "%U %S %M", "--output"]).arg(account.path());
    timed.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            timed.env(name, value);
        }
    }
    if let Some(folder) = command.get_current_dir() {
        timed.current_dir(folder);
    }
    let output = timed.output().context("GNU time cannot be run (Debian's package `time`)")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}: {}", output.status, said.trim());
    let account = std::fs::read_to_string(account.path())?;
    let figures: Vec<f64> = account.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let [user, system, kibibytes] = figures[..] else {
        anyhow::bail!("expected three figures of GNU time, found {account:?}")
    };
    Ok(Cost { cpu_seconds: user + system, peak_bytes: kibibytes * 1024.0 })
}

/// Whether a program of that name is on the path.
pub(crate) fn is_there(name: &str) -> bool {
    Command::new("sh")
        .args(["-c", "command -v \"$0\" >/dev/null", name])
        .status()
        .is_ok_and(|status| status.success())
}
