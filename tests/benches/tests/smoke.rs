//! Whether a benchmark works and its goals stand, on the smallest case. How fast anything is, is
//! not judged here.

use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::Value;

#[test]
fn a_poll_without_news_costs_a_device_two_requests_and_no_more_than_the_timestamp()
-> anyhow::Result<()> {
    // If this failed, every device of every fleet would pay for the metadata of all models, every
    // minute; or the benchmark that says otherwise would be broken.
    let bench = Command::new(env!("CARGO_BIN_EXE_lazaret-bench"))
        .args(["tuf", "--quick", "--json", "--only", "1 models"])
        .output()?;
    let errors = String::from_utf8_lossy(&bench.stderr);
    ensure!(bench.status.success(), "{}: {errors}", bench.status);
    let said: Value = serde_json::from_slice(&bench.stdout)?;
    let rows = said.get("rows").and_then(Value::as_array).context("no rows")?;
    let row = |metric: &str| {
        let mut rows = rows.iter();
        rows.find(|row| row.get("metric").and_then(Value::as_str) == Some(metric)).context("no row")
    };
    for (metric, most) in [("no change, requests", 2.0), ("no change, bodies", 369.0)] {
        let row = row(metric)?;
        let ours = row.get("ours").and_then(Value::as_f64).context("no figure")?;
        ensure!(ours > 0.0 && ours <= most, "{row}");
        ensure!(row.get("ok") == Some(&Value::Bool(true)), "{row}");
        for peer in ["tough", "python-tuf"] {
            let figure = row.pointer(&format!("/peers/{peer}")).and_then(Value::as_f64);
            ensure!(figure.is_some_and(|figure| figure > 0.0), "{peer}: {row}");
        }
    }
    let asked = row("cold start, requests")?.get("ours").and_then(Value::as_f64);
    ensure!(asked.is_some_and(|asked| asked > 2.0), "a cold start asked for {asked:?}");
    Ok(())
}

#[test]
fn who_is_affected_is_asked_of_every_device_once() -> anyhow::Result<()> {
    let bench = Command::new(env!("CARGO_BIN_EXE_lazaret-bench"))
        .args(["sweep", "--quick", "--json"])
        .output()?;
    let errors = String::from_utf8_lossy(&bench.stderr);
    ensure!(bench.status.success(), "{}: {errors}", bench.status);
    let said: Value = serde_json::from_slice(&bench.stdout)?;
    let rows = said.get("rows").and_then(Value::as_array).context("no rows")?;
    let everybody = |row: &&Value| row.to_string().contains("everybody");
    let row = rows.iter().find(everybody).context("no row of everybody")?;
    ensure!(row.to_string().contains("20000 affected"), "{row}");
    Ok(())
}
