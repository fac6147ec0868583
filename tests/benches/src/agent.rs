//! `cargo xtask bench agent`: what the agent costs a device that has nothing to do, beside the
//! update clients that Debian has: the size of the program, resident memory, processor time and
//! bytes written while it polls. Ours is enrolled and polls a real server; the others run as their
//! manuals say, with nobody who answers them, which is the cheaper state. A peer that is not
//! installed is said to be absent.

mod peers;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use crate::Options;
use crate::report::Row;

/// Goals for a static program on glibc (docs/GSMA.md, footprint).
const STATIC_BYTES_MAX: f64 = 2_500_000.0;
const RESIDENT_BYTES_MAX: f64 = 4_000_000.0;
const CORE_SHARE_MAX: f64 = 1.0;

/// No agent of this tree ever linked tough, so there is none to build for comparison. These are the
/// figures of a skeleton that did (tough 0.24, tokio, hyper, rustls on aws-lc; static on glibc,
/// opt-level z, fat LTO), recorded on 2026-11-22 on the machine that this began on.
const ON_TOUGH: &str = "skeleton on tough (recorded)";
const ON_TOUGH_BYTES: f64 = 4_795_728.0;
const ON_TOUGH_RESIDENT: f64 = 5_030_000.0;

/// What `agent-at-rest` says.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct AtRest {
    seconds: f64,
    polls: f64,
    cpu_seconds: f64,
    written_bytes: f64,
    pub(crate) repository_requests: f64,
    rss_bytes: f64,
    pss_bytes: f64,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<Vec<Row>> {
    let agent = options.agent.clone().context("expected --agent: `cargo xtask bench` gives it")?;
    let debian = peers::measure();
    let mut rows = vec![size(&agent, &debian)?, client_size()?];
    // A poll a minute as devices do it, or one a second where it only counts that it works.
    let (every_ms, seconds) = if options.quick { (1000, 6) } else { (60_000, 185) };
    eprintln!("the agent at rest, {seconds} s");
    let rest = at_rest(options, (every_ms, seconds))?;
    rows.extend(idle(rest, every_ms, &debian));
    Ok(rows)
}

fn size(agent: &Path, debian: &[peers::Peer]) -> anyhow::Result<Row> {
    let bytes = file_bytes(agent)?;
    let mut row = Row::new("static on glibc", "program", "bytes", bytes)
        .peer(ON_TOUGH, Some(ON_TOUGH_BYTES))
        .at_most(STATIC_BYTES_MAX);
    for peer in debian {
        row = row
            .peer(&format!("{} alone", peer.name), peer.program_bytes)
            .peer(&format!("{} and libraries", peer.name), peer.linked_bytes);
    }
    Ok(row)
}

/// The two clients of `bench tuf`, which do the same and are built alike.
fn client_size() -> anyhow::Result<Row> {
    let program = |name: &str| crate::tuf::beside(name).and_then(|path| file_bytes(&path));
    let ours = program("lazaret-bench-tuf-ours")?;
    let tough = program("lazaret-bench-tuf-tough").ok();
    Ok(Row::new("TUF client alone, as the other benchmarks are built", "program", "bytes", ours)
        .peer("tough", tough))
}

fn idle(rest: AtRest, every_ms: u64, debian: &[peers::Peer]) -> Vec<Row> {
    let case = format!("at rest, a poll every {} s", every_ms / 1000);
    let peer = |row: Row, of: fn(&peers::Peer) -> Option<f64>| {
        debian.iter().fold(row, |row, peer| row.peer(peer.name, of(peer)))
    };
    let resident = Row::new(&case, "resident memory", "bytes", rest.rss_bytes)
        .peer(ON_TOUGH, Some(ON_TOUGH_RESIDENT))
        .at_most(RESIDENT_BYTES_MAX);
    let own = Row::new(&case, "resident memory that is its own (PSS)", "bytes", rest.pss_bytes);
    let share = rest.cpu_seconds / rest.seconds * 100.0;
    let core = Row::new(&case, "processor", "% of a core", share).at_most(CORE_SHARE_MAX);
    let polls = Row::new(&case, "polls that were watched", "", rest.polls);
    let each = rest.written_bytes / rest.polls.max(1.0);
    // The aim is none but the bounded log.
    let written = Row::new(&case, "written to disk, each poll", "bytes", each).at_most(0.0);
    let asked = repository(rest, &case);
    vec![peer(resident, |p| p.resident), peer(own, |p| p.own), core, polls, written, asked]
}

/// A poll's reply says that nothing moved: nothing further is asked for.
pub(crate) fn repository(rest: AtRest, case: &str) -> Row {
    let what = "further requests when the poll says that nothing moved";
    Row::new(case, what, "", rest.repository_requests).at_most(0.0)
}

/// Watches an enrolled agent that polls so often for so many seconds.
pub(crate) fn at_rest(options: &Options, (ms, seconds): (u64, u64)) -> anyhow::Result<AtRest> {
    let folder = options.programs.clone().map_or_else(|| crate::tuf::beside(""), Ok)?;
    let program = folder.join("agent-at-rest");
    let mut command = Command::new(&program);
    command.args(["--interval-ms", &ms.to_string(), "--seconds", &seconds.to_string()]);
    if let Some(agent) = &options.agent {
        command.arg("--agent").arg(agent);
    }
    let output = command.output().with_context(|| program.display().to_string())?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "agent-at-rest: {}: {}", output.status, said.trim());
    let rest: AtRest = serde_json::from_slice(&output.stdout)?;
    ensure!(rest.polls > 0.0, "the agent did not poll within {seconds} s");
    Ok(rest)
}

fn file_bytes(path: &Path) -> anyhow::Result<f64> {
    let length = std::fs::metadata(path).with_context(|| path.display().to_string())?.len();
    Ok(f64::from(u32::try_from(length)?))
}

/// Where a program of the system lies.
fn which(name: &str) -> Option<PathBuf> {
    let folders = ["/usr/bin", "/usr/sbin", "/usr/local/bin"];
    folders.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.is_file())
}
