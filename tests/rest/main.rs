//! An enrolled device that has nothing to do, watched: what its agent costs while it polls a real
//! server and nothing is new. `agent-at-rest` says so as one JSON object; `cargo xtask bench agent`
//! and `bench tuf` show it beside the peers. Nothing is judged here.
#![allow(clippy::print_stdout, reason = "what it says is its only product")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Parser;
use lazaret_tests::mirror::Mirror;
use lazaret_tests::programs::Programs;
use lazaret_tests::site::release::Wanted;
use lazaret_tests::site::{Device, Site};
use lazaret_tests::wait;
use serde_json::json;

/// Longest wait for the first update, on a machine with other work to do.
const PATIENCE: Duration = Duration::from_secs(180);

/// Measures an agent at rest.
#[derive(Debug, Parser)]
struct Arguments {
    /// The agent to measure; the one beside this program where none is given.
    #[arg(long, value_name = "FILE")]
    agent: Option<PathBuf>,
    /// How often it polls, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 60_000)]
    interval_ms: u64,
    /// For how long it is watched, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 185)]
    seconds: u64,
}

/// What the kernel has counted for one process until now.
#[derive(Debug, Clone, Copy)]
struct Account {
    /// Processor time of the threads that live, in nanoseconds.
    cpu_ns: u64,
    /// Bytes that were written to a disk, or will be.
    written: u64,
    /// The sequence of the last poll.
    polls: u64,
    /// Requests for files of the repository.
    repository: usize,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let mut programs = Programs::beside_this_one()?;
    if let Some(agent) = &arguments.agent {
        programs = programs.with_agent(agent.canonicalize()?);
    }
    // Not in a memory file system, where nothing is ever written to a disk.
    let near = std::env::current_exe()?;
    let folder = tempfile::tempdir_in(near.parent().context("this program is in no folder")?)?;
    let (mut site, mut device) = updated(programs, &folder.path().join("site"))?;
    device.kill()?;
    let mirror = Mirror::public(&site, &device)?;
    device.set("hold_ms = 0")?;
    site.kill_server()?;
    let settings = site.folder.join("server.toml");
    let polls = format!("interval_ms = {}", arguments.interval_ms);
    let text = fs::read_to_string(&settings)?.replace("interval_ms = 500", &polls);
    #[allow(clippy::disallowed_methods, reason = "a scratch folder")]
    fs::write(&settings, text)?;
    site.start_server()?;
    let before = device.polls()?;
    device.start()?;
    // The first poll pays for TLS and for what changed while the agent was away.
    wait::until("the first poll", PATIENCE, || Ok((device.polls()? > before).then_some(())))?;
    wait::moment(Duration::from_secs(3));
    let began = Instant::now();
    let first = account(&device, &mirror)?;
    wait::moment(Duration::from_secs(arguments.seconds));
    let last = account(&device, &mirror)?;
    let seconds = began.elapsed().as_secs_f64();
    let memory = memory(device.pid().context("the agent has ended")?)?;
    let said = json!({
        "seconds": seconds,
        "polls": last.polls - first.polls,
        "cpu_seconds": Duration::from_nanos(last.cpu_ns - first.cpu_ns).as_secs_f64(),
        "written_bytes": last.written - first.written,
        "repository_requests": last.repository - first.repository,
        "rss_bytes": memory.0, "pss_bytes": memory.1,
    });
    println!("{said}");
    Ok(())
}

/// A site with one device, which has installed its first release.
fn updated(programs: Programs, folder: &Path) -> anyhow::Result<(Site, Device)> {
    let mut site = Site::found(programs, folder)?;
    site.init()?;
    site.start_server()?;
    let image = site.folder.join("image");
    #[allow(clippy::disallowed_methods, reason = "a scratch folder")]
    fs::write(&image, vec![7; 256 * 1024])?;
    let mut device = site.provision("d-1")?;
    device.start()?;
    wait::until("the device to poll", PATIENCE, || {
        Ok((device.polls().unwrap_or(0) > 0).then_some(()))
    })?;
    let schedule = None;
    site.release(Wanted { version: "1.0", counter: 1, floor: 0, image: &image, schedule })?;
    site.roll_out("1.0", "1000", 100)?;
    wait::until("the update", PATIENCE, || {
        Ok((device.running_image().exists() && device.is_settled()?).then_some(()))
    })?;
    Ok((site, device))
}

fn account(device: &Device, mirror: &Mirror) -> anyhow::Result<Account> {
    let process = PathBuf::from(format!("/proc/{}", device.pid().context("the agent has ended")?));
    let mut cpu_ns = 0;
    for task in fs::read_dir(process.join("task"))? {
        let scheduled = fs::read_to_string(task?.path().join("schedstat"))?;
        cpu_ns += scheduled.split(' ').next().unwrap_or_default().parse::<u64>()?;
    }
    let io = fs::read_to_string(process.join("io"))?;
    let written = field(&io, "write_bytes:")?;
    Ok(Account { cpu_ns, written, polls: device.polls()?, repository: mirror.asked() })
}

/// Resident memory, and the part of it that counts as this process's own, in bytes.
fn memory(process: u32) -> anyhow::Result<(u64, u64)> {
    let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
    Ok((field(&rollup, "Rss:")? * 1024, field(&rollup, "Pss:")? * 1024))
}

fn field(text: &str, name: &str) -> anyhow::Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.with_context(|| format!("no {name} in {text}"))?.split_whitespace().next();
    Ok(number.unwrap_or_default().parse()?)
}
