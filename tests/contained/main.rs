//! A fleet of real agents that are connected to a real server, and how long it takes from `lazaret
//! device quarantine` until each has proved that it is contained. `contained-fleet` says so as one
//! JSON object; `cargo xtask bench contain` shows it. Nothing is judged here.
#![allow(
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "what it says is its only product"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use clap::Parser;
use lazaret_tests::peer::claim;
use lazaret_tests::programs::Programs;
use lazaret_tests::site::{Device, Site};
use lazaret_tests::wait;
use serde_json::{Value, json};

/// Longest wait for each step: a thousand agents enrol on two cores.
const PATIENCE: Duration = Duration::from_secs(600);

/// Agents that enrol at once.
const AT_ONCE: usize = 50;

/// How often a polling fleet would call, for the settings of the server. Only agents that are not
/// connected go by it.
const SETTINGS: &str = "[containment]\ndevices_per_hour = 100000\n";

/// Measures the containment of a connected fleet.
#[derive(Debug, Parser)]
struct Arguments {
    /// The agent to run; the one beside this program where none is given.
    #[arg(long, value_name = "FILE")]
    agent: Option<PathBuf>,
    /// How many agents.
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    devices: usize,
    /// Where the devices' own files lie. A thousand devices have a thousand disks; here they would
    /// all wait for the one that the server syncs to.
    #[arg(long, value_name = "FOLDER", default_value = "/dev/shm")]
    devices_in: PathBuf,
    /// How long they rest before each round, in milliseconds: whoever was told something last is
    /// connected again by then.
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    rest_ms: u64,
    /// How often they are contained, one level above the one before.
    #[arg(long, value_name = "COUNT", default_value_t = 2)]
    rounds: usize,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let mut programs = Programs::beside_this_one()?;
    if let Some(agent) = &arguments.agent {
        programs = programs.with_agent(agent.canonicalize()?);
    }
    // Not in a memory file system, where no sync costs anything.
    let near = std::env::current_exe()?;
    let folder = tempfile::tempdir_in(near.parent().context("this program is in no folder")?)?;
    let site = site(programs, &folder.path().join("site"))?;
    let disks = tempfile::tempdir_in(&arguments.devices_in)?;
    std::os::unix::fs::symlink(disks.path(), site.folder.join("devices"))?;
    let _fleet = connected(&site, arguments.devices)?;
    let mut rounds = Vec::new();
    // Levels at which the device closes nothing by itself: a thousand agents share one network.
    for level in ["hold", "restrict"].into_iter().take(arguments.rounds.max(1)) {
        wait::moment(Duration::from_millis(arguments.rest_ms));
        rounds.push(contain(&site, level, arguments.devices)?);
    }
    println!("{}", json!({ "devices": arguments.devices, "rounds": rounds }));
    Ok(())
}

/// A site whose agents stay connected, and poll otherwise every five minutes.
fn site(programs: Programs, folder: &Path) -> anyhow::Result<Site> {
    let mut site = Site::found(programs, folder)?;
    let path = site.folder.join("server.toml");
    let text = std::fs::read_to_string(&path)?;
    let port = format!("address = \"127.0.0.1:{}\"\n", site.device_port);
    let places = format!("{port}connections_max = 8000\nper_address_max = 8000\n");
    let text = text.replace(&port, &places);
    let text = text.replace("interval_ms = 500", "interval_ms = 300000");
    let text = text.replace("lazaret_server=debug,info", "warn");
    #[allow(clippy::disallowed_methods, reason = "a scratch folder")]
    std::fs::write(&path, text + SETTINGS)?;
    site.init()?;
    site.start_server()?;
    Ok(site)
}

/// Agents, each with a poll that waits on the server.
fn connected(site: &Site, count: usize) -> anyhow::Result<Vec<Device>> {
    let mut fleet = Vec::with_capacity(count);
    for first in (0..count).step_by(AT_ONCE) {
        let mut batch = Vec::new();
        for number in first..count.min(first + AT_ONCE) {
            let id = format!("d-{number}");
            let secret = claim(site, &format!("sn-{id}"), &id)?;
            let folder = site.folder.join("devices").join(&id);
            std::fs::create_dir_all(&folder)?;
            #[allow(clippy::disallowed_methods, reason = "a scratch folder")]
            std::fs::write(folder.join("claim"), secret)?;
            let mut device = site.set_up(&id, &format!("sn-{id}"))?;
            device.set("hold_ms = 55000")?;
            device.start()?;
            batch.push(device);
        }
        for device in &batch {
            let waits = || {
                let log = std::fs::read_to_string(device.folder.join("agent.log"))?;
                Ok(log.contains("waits on the server").then_some(()))
            };
            wait::until("an agent to be connected", PATIENCE, waits)
                .with_context(|| device.log_tail().unwrap_or_default())?;
        }
        fleet.append(&mut batch);
        eprintln!("{} of {count} agents are connected", fleet.len());
    }
    Ok(fleet)
}

/// Contains all of them, and says when each had its order and had proved that it holds.
fn contain(site: &Site, level: &str, count: usize) -> anyhow::Result<Value> {
    let mut after = last_event(site)?;
    let before = [cpu_ms("lazaret-server")?, cpu_ms("lazaret-agent")?];
    let began_ms = now_ms()?;
    let began = Instant::now();
    let filter = ["device", "quarantine", "--filter", "model==gw2", "--level", level];
    site.lazaret(&[&filter[..], &["--reason", "bench"]].concat())?;
    let answered_ms = u64::try_from(began.elapsed().as_millis())?;
    let mut proved: BTreeMap<String, u64> = BTreeMap::new();
    wait::until("every device to prove that it is contained", PATIENCE, || {
        // Asking often would be part of what is measured.
        wait::moment(Duration::from_millis(500));
        for event in events(site, after)? {
            after = event["sequence"].as_u64().context("no sequence")?;
            if event["event"]["event"] == "quarantine-confirmed" {
                let device = event["event"]["device"].as_str().context("no device")?;
                let at = event["at"].as_u64().context("no time")?;
                proved.insert(device.to_owned(), at.saturating_sub(began_ms));
            }
        }
        Ok((proved.len() == count).then_some(()))
    })?;
    ensure!(proved.len() == count, "some device was counted twice");
    let mut proved_ms: Vec<u64> = proved.into_values().collect();
    proved_ms.sort_unstable();
    let after = [cpu_ms("lazaret-server")?, cpu_ms("lazaret-agent")?];
    let [server, agents] = std::array::from_fn(|at| after[at].saturating_sub(before[at]));
    Ok(json!({
        "level": level, "answered_ms": answered_ms, "proved_ms": proved_ms,
        "server_cpu_ms": server, "agents_cpu_ms": agents,
    }))
}

fn events(site: &Site, after: u64) -> anyhow::Result<Vec<Value>> {
    let page = site.lazaret(&["events", "--after", &after.to_string(), "--limit", "100000"])?;
    let items = page.get("items").and_then(Value::as_array);
    items.cloned().with_context(|| format!("no events in {page}"))
}

fn last_event(site: &Site) -> anyhow::Result<u64> {
    let all = events(site, 0)?;
    let last = all.last().and_then(|event| event["sequence"].as_u64());
    last.context("no event at all")
}

/// Processor time of all processes of this name, in milliseconds.
fn cpu_ms(name: &str) -> anyhow::Result<u64> {
    let mut ticks = 0;
    for process in std::fs::read_dir("/proc")? {
        // One that has ended meanwhile is none of ours.
        let Ok(stat) = std::fs::read_to_string(process?.path().join("stat")) else { continue };
        let Some((head, rest)) = stat.rsplit_once(')') else { continue };
        // The kernel keeps 15 characters of a name.
        if head.split_once('(').is_some_and(|(_, it)| name.get(..15).unwrap_or(name) == it) {
            let fields = rest.split_whitespace().skip(11).take(2);
            ticks += fields.filter_map(|field| field.parse::<u64>().ok()).sum::<u64>();
        }
    }
    // A hundred ticks a second, on every Linux.
    Ok(ticks * 10)
}

fn now_ms() -> anyhow::Result<u64> {
    #[allow(clippy::disallowed_methods, reason = "a program that measures")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(u64::try_from(now.as_millis())?)
}
