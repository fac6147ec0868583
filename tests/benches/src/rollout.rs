//! `rollout`: devices harmed before the halt, time to 99 % patched, and false halts, of the shipped
//! `normal` policy against hawkBit's rules with its documented defaults, over the same simulated
//! fleets and seeds; what one poll's decision costs as the fleet grows; and how long a simulation
//! of a million devices takes.

#![allow(clippy::disallowed_methods, reason = "all of this is a test")]

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use lazaret_protocol::time::{HOUR_MS, MINUTE_MS};
use lazaret_server_domain::rollout::policy::{Policy, SHIPPED};
use lazaret_server_domain_sim::{
    Fault, HAWKBIT_GROUPS, Hawkbit, Report, Scenario, run as simulate, run_hawkbit,
};

use crate::Options;
use crate::report::Row;

/// Our peer: hawkBit's rules, 50 % success, 50 % errors, in groups of equal size.
const PEER: &str = "hawkbit";

const FLEETS: [(&str, fn(Scenario) -> Scenario); 3] = [
    ("calm", |scenario| scenario),
    ("flaky links", Scenario::flaky),
    ("day and night", |scenario| scenario.flaky().day_and_night()),
];

const FAULTS: [(&str, Fault); 5] = [
    ("bad everywhere", Fault::Everywhere),
    ("bad on a quarter (revision 1)", Fault::Revision { revision: 1 }),
    ("bad on an eighth (revision 3)", Fault::Revision { revision: 3 }),
    ("slow poison after 1 h", Fault::Slow { after_ms: HOUR_MS }),
    ("silence after 1 h", Fault::SlowSilent { after_ms: HOUR_MS }),
];

/// What hides best: an image that fails here and there. It has no goal; what it harms is printed.
const RARE: [(&str, Fault); 2] = [
    ("fails on 1 device in 20, anywhere", Fault::Some { permille: 50 }),
    ("fails on 1 device in 10, anywhere", Fault::Some { permille: 100 }),
];

/// What a poll's decision may cost at a million devices, as a share of that at a thousand.
const GROWTH_MAX: f64 = 1.01;
/// Polls decided under valgrind.
const POLLS: u32 = 500;

pub(crate) fn run(options: &Options) -> anyhow::Result<Vec<Row>> {
    let policy = normal()?;
    let mut rows = Vec::new();
    let wanted = |name: &str| options.only.as_ref().is_none_or(|only| name.contains(only.as_str()));
    if wanted("sim") {
        eprintln!("harm and time, hawkBit with {HAWKBIT_GROUPS} groups");
        let (sizes, seeds): (&[u32], u64) =
            if options.quick { (&[1000], 4) } else { (&[1000, 2000, 10_000], 16) };
        for size in sizes {
            rows.extend(against_hawkbit(&policy, *size, seeds)?);
        }
    }
    if wanted("false") {
        eprintln!("false halts of good rollouts");
        rows.extend(false_halts(&policy, if options.quick { 20 } else { 300 })?);
    }
    if wanted("million") {
        rows.push(million(&policy, if options.quick { 100_000 } else { 1_000_000 })?);
    }
    if wanted("poll") {
        let sizes: &[u32] =
            if options.quick { &[1000, 100_000] } else { &[1000, 100_000, 1_000_000] };
        rows.extend(poll_cost(&policy, sizes)?);
    }
    Ok(rows)
}

fn normal() -> anyhow::Result<Policy> {
    let (_, text) = SHIPPED.iter().find(|(name, _)| *name == "normal").context("no policy")?;
    Ok(toml::from_str(text)?)
}

fn against_hawkbit(policy: &Policy, size: u32, seeds: u64) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (fleet, make) in FLEETS {
        for (name, fault) in FAULTS {
            let runs = pairs(policy, seeds, |seed| make(Scenario::calm(size, seed)).with(fault))?;
            let mean = |of: fn(&(Report, Report)) -> u64| mean(runs.iter().map(of));
            let case = format!("{name}, {fleet}, {size} devices, {seeds} seeds");
            rows.push(
                Row::new(&case, "devices harmed, mean", "devices", mean(|(ours, _)| ours.harmed))
                    .peer(PEER, Some(mean(|(_, theirs)| theirs.harmed)))
                    .at_most_of(0.1, PEER),
            );
        }
        for (name, fault) in RARE {
            let runs = pairs(policy, seeds, |seed| make(Scenario::calm(size, seed)).with(fault))?;
            let case = format!("{name}, {fleet}, {size} devices, {seeds} seeds");
            let ours = mean(runs.iter().map(|(ours, _)| ours.harmed));
            let theirs = mean(runs.iter().map(|(_, theirs)| theirs.harmed));
            let row = Row::new(&case, "devices harmed, mean", "devices", ours);
            rows.push(row.peer(PEER, Some(theirs)));
        }
        let runs = pairs(policy, seeds, |seed| make(Scenario::calm(size, seed)))?;
        let minutes = |of: fn(&(Report, Report)) -> Option<u64>| {
            let reached: Option<Vec<u64>> = runs.iter().map(of).collect();
            reached.map(|all| mean(all.into_iter()) / minutes(MINUTE_MS))
        };
        let ours = minutes(|(ours, _)| ours.ninety_nine_ms);
        let theirs = minutes(|(_, theirs)| theirs.ninety_nine_ms);
        let case = format!("good image, {fleet}, {size} devices, {seeds} seeds");
        let ours = ours.unwrap_or(f64::INFINITY);
        rows.push(
            Row::new(&case, "time to 99 % patched, mean", "min", ours)
                .peer(PEER, theirs)
                .at_most_of(1.0, PEER),
        );
    }
    Ok(rows)
}

/// Runs ours and theirs for every seed, on two threads.
fn pairs(
    policy: &Policy,
    seeds: u64,
    scenario: impl Fn(u64) -> Scenario + Sync,
) -> anyhow::Result<Vec<(Report, Report)>> {
    each_seed(seeds, |seed| {
        let scenario = scenario(seed);
        Ok((simulate(&scenario, policy)?, run_hawkbit(&scenario, Hawkbit::default())?))
    })
}

fn each_seed<T: Send>(
    seeds: u64,
    run: impl Fn(u64) -> anyhow::Result<T> + Sync,
) -> anyhow::Result<Vec<T>> {
    let half = |odd: u64| (0..seeds).filter(move |seed| seed % 2 == odd).map(&run).collect();
    std::thread::scope(|threads| {
        let other = threads.spawn(|| half(1));
        let mine: anyhow::Result<Vec<T>> = half(0);
        let other: anyhow::Result<Vec<T>> =
            other.join().map_err(|_| anyhow::anyhow!("a simulation panicked"))?;
        let mut all = mine?;
        all.extend(other?);
        Ok(all)
    })
}

fn false_halts(policy: &Policy, seeds: u64) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    let (mut halts, mut all) = (0.0, 0.0);
    for (fleet, make) in FLEETS {
        // Other seeds than those that the policy was looked at with.
        let halted = each_seed(seeds, |seed| {
            let scenario = make(Scenario::calm(1000, 1_000_000 + seed));
            Ok(simulate(&scenario, policy)?.halted_ms.is_some())
        })?;
        let count = f64::from(u32::try_from(halted.iter().filter(|is| **is).count())?);
        let of = f64::from(u32::try_from(seeds)?);
        let case = format!("good image, {fleet}, 1000 devices, {seeds} seeds");
        rows.push(Row::new(&case, "false halts", "%", 100.0 * count / of));
        (halts, all) = (halts + count, all + of);
    }
    let case = format!("good image, all fleets, {all} rollouts");
    rows.push(Row::new(&case, "false halts", "%", 100.0 * halts / all).at_most(0.99));
    Ok(rows)
}

fn million(policy: &Policy, size: u32) -> anyhow::Result<Row> {
    let begun = Instant::now();
    let report = simulate(&Scenario::calm(size, 1), policy)?;
    let seconds = begun.elapsed().as_secs_f64();
    ensure!(report.state == "finished", "the rollout ended as {}", report.state);
    let case = format!("simulate {size} devices, {} decisions", report.decisions);
    Ok(Row::new(&case, "wall time", "s", seconds).at_most(60.0))
}

/// Instructions of one poll's decision at growing fleets, counted by valgrind in a program of its
/// own, which gets the records that such a poll reads.
fn poll_cost(policy: &Policy, sizes: &[u32]) -> anyhow::Result<Vec<Row>> {
    let program = std::env::current_exe()?.with_file_name("lazaret-bench-decide");
    let folder = tempfile::tempdir()?;
    let mut counts: BTreeMap<u32, Option<f64>> = BTreeMap::new();
    for size in sizes {
        eprintln!("planning for {size} devices");
        let records = folder.path().join(format!("{size}.json"));
        let planned = lazaret_server_domain_sim::planned(&Scenario::calm(*size, 1), policy)?;
        std::fs::write(&records, serde_json::to_vec(&planned)?)?;
        let few = instructions(&program, &records, 0)?;
        let many = instructions(&program, &records, POLLS)?;
        let each = few.zip(many).map(|(few, many)| (many - few) / f64::from(POLLS));
        counts.insert(*size, each);
    }
    let first = sizes.first().and_then(|size| counts.get(size)).copied().flatten();
    let rows = sizes.iter().filter_map(|size| {
        let each = counts.get(size).copied().flatten()?;
        let case = format!("decide one poll, fleet of {size}");
        let row = Row::new(&case, "instructions", "instructions", each);
        Some(row.peer("fleet of 1000", first).at_most_of(GROWTH_MAX, "fleet of 1000"))
    });
    let rows: Vec<Row> = rows.collect();
    ensure!(!rows.is_empty(), "valgrind is not installed: apt-get install valgrind");
    Ok(rows)
}

/// Instructions of one run; none where valgrind is not there.
fn instructions(
    program: &std::path::Path,
    records: &std::path::Path,
    polls: u32,
) -> anyhow::Result<Option<f64>> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program);
    command.arg(records).arg(polls.to_string()).stdout(Stdio::null());
    let Ok(output) = command.output() else { return Ok(None) };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "the program under valgrind failed: {said}");
    let line = said.lines().find_map(|line| line.split_once("Collected :"));
    let count = line.and_then(|(_, count)| count.trim().parse().ok());
    count.map(Some).with_context(|| format!("valgrind said no count: {said}"))
}

fn mean(all: impl Iterator<Item = u64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for one in all {
        sum += minutes(one);
        count += 1.0;
    }
    if count > 0.0 { sum / count } else { 0.0 }
}

/// A count as a float; those here are far below 2^53.
#[allow(clippy::cast_precision_loss, reason = "counts and milliseconds are far below 2^53")]
fn minutes(n: u64) -> f64 {
    n as f64
}
