//! `cargo xtask bench contain`: how long it takes from `lazaret device quarantine` until each of
//! 1,000 connected agents has proved that it is contained: real programs on one machine. Beside it
//! what a fleet gives that polls every five minutes, as hawkBit's devices do where nobody set it
//! otherwise (`hawkbit.controller.pollingTime`, 00:05:00): computed, for devices that are evenly
//! spread over the interval and answer at once.

use std::process::Command;

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use crate::Options;
use crate::report::Row;

/// The agents of a whole run.
const DEVICES: usize = 1000;

/// Those of a quick one.
const DEVICES_QUICK: usize = 20;

/// What has to be reached for 99 of 100 devices, in seconds.
const P99_SECONDS_MAX: f64 = 2.0;

/// The usual interval of hawkBit's devices, in seconds.
const POLLING_SECONDS: f64 = 300.0;

/// What `contained-fleet` says.
#[derive(Debug, Deserialize)]
struct Fleet {
    devices: usize,
    rounds: Vec<Round>,
}

#[derive(Debug, Deserialize)]
struct Round {
    level: String,
    answered_ms: f64,
    proved_ms: Vec<f64>,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<Vec<Row>> {
    let count = if options.quick { DEVICES_QUICK } else { DEVICES };
    let fleet = measure(options, count)?;
    let mut rows = Vec::new();
    for round in &fleet.rounds {
        ensure!(round.proved_ms.len() == fleet.devices, "a device is missing");
        let case = format!("{} connected agents, {}", fleet.devices, round.level);
        let answered = round.answered_ms / 1000.0;
        rows.push(Row::new(&case, "the command is back", "s", answered));
        for (metric, permille, goal) in
            [("median", 500, None), ("p99", 990, Some(P99_SECONDS_MAX)), ("last", 1000, None)]
        {
            let ours = quantile(&round.proved_ms, permille)? / 1000.0;
            let polling = POLLING_SECONDS * f64::from(u32::try_from(permille)?) / 1000.0;
            let what = format!("proved, {metric}");
            let row = Row::new(&case, &what, "s", ours)
                .peer("polling every 5 min (computed)", Some(polling));
            rows.push(match goal {
                Some(goal) if !options.quick => row.at_most(goal),
                _ => row,
            });
        }
    }
    Ok(rows)
}

fn measure(options: &Options, devices: usize) -> anyhow::Result<Fleet> {
    let folder = options.programs.clone().map_or_else(|| crate::tuf::beside(""), Ok)?;
    let program = folder.join("contained-fleet");
    let mut command = Command::new(&program);
    command.args(["--devices", &devices.to_string()]);
    command.stderr(std::process::Stdio::inherit());
    let output = command.output().with_context(|| program.display().to_string())?;
    ensure!(output.status.success(), "contained-fleet: {}", output.status);
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The value that so many of a thousand do not exceed.
fn quantile(sorted: &[f64], permille: usize) -> anyhow::Result<f64> {
    let at = (sorted.len() * permille).div_ceil(1000).max(1) - 1;
    sorted.get(at).copied().context("nothing was measured")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_the_value_that_so_many_do_not_exceed() {
        let sorted: Vec<f64> = (1..=200).map(f64::from).collect();
        let of = |permille| quantile(&sorted, permille).unwrap();
        assert_eq!((of(500), of(990), of(1000)), (100.0, 198.0, 200.0));
        assert!(quantile(&[], 500).is_err());
    }
}
