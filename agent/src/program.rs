//! Running a program of the system with a time limit: a clean environment, a process group of its
//! own, so that nothing of it outlives its time, and the end of what it prints. Probes and hooks
//! use it; what its end means is theirs.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// Longest output that is kept, in bytes; the end of it.
pub const OUTPUT_BYTES_MAX: usize = 4096;

/// Where programs are looked for.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Between two looks at whether the program has ended, in milliseconds.
const TICK_MS: u64 = 20;

/// A program that did not do its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramFailure {
    /// What was expected and what came.
    pub why: String,
    /// The last of what it printed.
    pub output: String,
}

/// Runs `command`, a program and its arguments, with these variables and `PATH` alone, and waits
/// for it to end with exit code 0. Gives the last of what it printed.
///
/// # Errors
/// It cannot be run, ends otherwise, or takes longer than `timeout_ms`; it is killed then, with all
/// that it started.
pub fn run(
    command: &[String],
    variables: &[(&str, &OsStr)],
    timeout_ms: u64,
) -> Result<String, ProgramFailure> {
    let silent = |why: String| ProgramFailure { why, output: String::new() };
    let (program, arguments) =
        command.split_first().ok_or_else(|| silent("expected a program, got none".into()))?;
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .envs(variables.iter().copied())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|err| silent(format!("{program} cannot be run: {err}")))?;
    let output = gather(&mut child);
    let status = wait(&mut child, timeout_ms);
    // Whatever it has started goes with it.
    kill_group(&child);
    let output = last_bytes(&output);
    let why = match status {
        Ok(Some(status)) if status.success() => return Ok(output),
        Ok(Some(status)) => format!("expected exit code 0, got {}", said(status)),
        Ok(None) => format!("expected an end within {timeout_ms} ms, and it still ran"),
        Err(err) => format!("it cannot be waited for: {err}"),
    };
    Err(ProgramFailure { why, output })
}

/// Waits for the end; none where the time is up. The program is then killed and reaped.
fn wait(child: &mut Child, timeout_ms: u64) -> io::Result<Option<ExitStatus>> {
    let mut waited_ms = 0;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if waited_ms >= timeout_ms {
            kill_group(child);
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(TICK_MS));
        waited_ms = waited_ms.saturating_add(TICK_MS);
    }
}

fn kill_group(child: &Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        // It fails where nobody of the group is left, which is what is wanted.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
}

/// Reads what the program prints while it runs, so that a full pipe never stops it.
fn gather(child: &mut Child) -> Receiver<Vec<u8>> {
    let (to, from) = channel();
    let pipes: [Option<Box<dyn Read + Send>>; 2] = [
        child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
        child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
    ];
    for mut pipe in pipes.into_iter().flatten() {
        let to = to.clone();
        thread::spawn(move || {
            let mut last = Vec::new();
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = pipe.read(&mut piece) {
                last.extend_from_slice(piece.get(..count).unwrap_or_default());
                let excess = last.len().saturating_sub(OUTPUT_BYTES_MAX);
                last.drain(..excess);
            }
            // Nobody listens any more where the program was given up.
            let _ = to.send(last);
        });
    }
    from
}

fn last_bytes(output: &Receiver<Vec<u8>>) -> String {
    let mut all = Vec::new();
    // Both pipes end with the group. A process that left the group could hold one open: it is not
    // waited for.
    for _ in 0..2 {
        match output.recv_timeout(Duration::from_millis(500)) {
            Ok(bytes) => all.extend_from_slice(&bytes),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}

fn said(status: ExitStatus) -> String {
    status.code().map_or_else(|| status.to_string(), |code| format!("exit code {code}"))
}
