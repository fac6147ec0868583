//! `cargo xtask bench tuf`: what a device's TUF client costs, beside tough and python-tuf on the
//! same files: requests and bytes of metadata for a poll without news, a new release and a cold
//! start, and processor time and memory of the client. Each client is a program of its own with
//! state on disk, as on a device; files come from a folder, so that neither HTTP nor TLS is in any
//! figure.

// The harness's own file, without the harness's dependencies.
#[allow(unreachable_pub, reason = "it is public in the harness")]
#[path = "../../src/python_tuf.rs"]
mod python_tuf;
mod repository;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use crate::Options;
use crate::agent;
use crate::program::{self, Cost};
use crate::report::Row;

/// A poll without news is the newest root that there is not, and the timestamp.
const QUIET_REQUESTS_MAX: f64 = 2.0;
/// The timestamp of a repository that says versions only (measured with python-tuf's,
/// facts/tuf.md).
const QUIET_BYTES_MAX: f64 = 369.0;

/// The client as a script, put beside the repository.
const PYTHON_CLIENT: &str = include_str!("../python/tuf_client.py");

/// What one run of a client asked for.
#[derive(Debug, Clone, Copy, Deserialize)]
struct Asked {
    requests: u32,
    bytes: u32,
    /// From the first check to the last, without starting and without reading from disk.
    milliseconds: f64,
}

/// What one run of a client took.
#[derive(Debug, Clone, Copy)]
struct Run {
    asked: Asked,
    cost: Cost,
}

/// Ours first.
const CLIENTS: [&str; 3] = ["ours", "tough", "python-tuf"];

pub(crate) fn run(options: &Options) -> anyhow::Result<Vec<Row>> {
    let python = python_tuf::python()?;
    let counts: &[usize] = if options.quick { &[1] } else { &[1, 20, 100] };
    let mut rows = Vec::new();
    for models in counts.iter().copied() {
        let case = format!("{models} models");
        if options.only.as_ref().is_some_and(|only| !case.contains(only.as_str())) {
            continue;
        }
        eprintln!("{case}");
        rows.extend(measure(&case, models, &python)?);
    }
    rows.extend(nothing_moved(options)?);
    Ok(rows)
}

/// Most polls need no client at all: an enrolled agent at a real server, with a repository that
/// counts who asks for its files.
fn nothing_moved(options: &Options) -> anyhow::Result<Option<Row>> {
    let case = "agent at a server";
    if options.only.as_ref().is_some_and(|only| !case.contains(only.as_str())) {
        return Ok(None);
    }
    eprintln!("{case}");
    let seconds = if options.quick { 5 } else { 30 };
    let rest = agent::at_rest(options, (1000, seconds))?;
    Ok(Some(agent::repository(rest, case)))
}

/// The three moments in the life of a device, with each client.
fn measure(case: &str, models: usize, python: &Path) -> anyhow::Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path();
    std::fs::create_dir_all(path.join("metadata"))?;
    put(&path.join("client.py"), PYTHON_CLIENT.as_bytes())?;
    let publish = |release: u64| -> anyhow::Result<()> {
        for (name, bytes) in repository::files(models, release) {
            put(&path.join("metadata").join(name), &bytes)?;
        }
        Ok(())
    };
    publish(1)?;
    put(&path.join("root.json"), &std::fs::read(path.join("metadata").join("1.root.json"))?)?;
    let all = |release| -> anyhow::Result<Vec<Run>> {
        CLIENTS.iter().map(|client| run_client(client, python, path, release)).collect()
    };
    let cold = all(1)?;
    let quiet = all(1)?;
    publish(2)?;
    let news = all(2)?;
    let mut rows = asked_rows(case, "no change", &quiet);
    rows = rows.into_iter().zip([QUIET_REQUESTS_MAX, QUIET_BYTES_MAX]).map(goal).collect();
    rows.extend(asked_rows(case, "new release", &news));
    rows.extend(asked_rows(case, "cold start", &cold));
    rows.push(row(case, "cold start, checking", "ms", &cold, |run| run.asked.milliseconds));
    let cpu = |run: &Run| run.cost.cpu_seconds * 1000.0;
    rows.push(row(case, "cold start, whole program, processor to 10 ms", "ms", &cold, cpu));
    rows.push(row(case, "cold start, peak memory", "bytes", &cold, |run| run.cost.peak_bytes));
    Ok(rows)
}

fn goal((row, most): (Row, f64)) -> Row {
    row.at_most(most)
}

fn asked_rows(case: &str, what: &str, runs: &[Run]) -> Vec<Row> {
    let requests = row(case, &format!("{what}, requests"), "", runs, |r| r.asked.requests.into());
    let bytes = row(case, &format!("{what}, bodies"), "bytes", runs, |r| r.asked.bytes.into());
    vec![requests, bytes]
}

fn row(case: &str, metric: &str, unit: &str, runs: &[Run], of: impl Fn(&Run) -> f64) -> Row {
    let ours = runs.first().map_or(f64::NAN, &of);
    let row = Row::new(case, metric, unit, ours);
    CLIENTS.iter().zip(runs).skip(1).fold(row, |row, (name, run)| row.peer(name, Some(of(run))))
}

/// One run, which finds the image of a release and the delta to it, in a state that is kept.
fn run_client(client: &str, python: &Path, folder: &Path, release: u64) -> anyhow::Result<Run> {
    let mut command = match client {
        "python-tuf" => {
            let mut command = Command::new(python);
            command.arg(folder.join("client.py"));
            command
        }
        rust => Command::new(beside(&format!("lazaret-bench-tuf-{rust}"))?),
    };
    let state = folder.join(client);
    std::fs::create_dir_all(&state)?;
    let said = state.join("asked");
    command.arg(folder).arg(&state).arg(&said).args(repository::wanted(release));
    let cost = program::measured(&command).with_context(|| format!("{client} fails"))?;
    let asked: Asked = serde_json::from_slice(&std::fs::read(&said)?)?;
    ensure!(asked.requests > 0, "{client} asked for nothing");
    Ok(Run { asked, cost })
}

pub(crate) fn beside(name: &str) -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe()?;
    Ok(this.parent().context("this program is in no folder")?.join(name))
}

#[allow(clippy::disallowed_methods, reason = "a scratch folder of a benchmark")]
fn put(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    Ok(std::fs::write(path, bytes)?)
}
