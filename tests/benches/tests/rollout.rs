//! The benchmark of rollouts works: its smallest cases run, and what it holds against its goals is
//! what it prints. Figures worth quoting come from `cargo xtask bench rollout`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "all of this program is a test")]

use std::process::Command;

use serde_json::Value;

fn rows(only: &str) -> Vec<Value> {
    let mut bench = Command::new(env!("CARGO_BIN_EXE_lazaret-bench"));
    bench.args(["rollout", "--quick", "--json", "--only", only]);
    let output = bench.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // 2: a goal is missed, which so few runs may say by chance.
    assert!(matches!(output.status.code(), Some(0 | 2)), "{said}");
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(all["name"], "rollout", "{said}");
    all["rows"].as_array().unwrap().clone()
}

#[test]
fn a_bad_image_harms_a_tenth_of_what_hawkbits_rules_let_it_harm() {
    // If this failed, the halt would come too late, or the comparison would measure nothing.
    let rows = rows("sim");
    let bad = rows.iter().find(|row| {
        let case = row["case"].as_str().unwrap();
        case.starts_with("bad everywhere, calm, 1000")
    });
    let bad = bad.unwrap();
    let (ours, theirs) = (bad["ours"].as_f64().unwrap(), bad["peers"]["hawkbit"].as_f64().unwrap());
    assert!(ours >= 1.0 && ours <= theirs / 10.0, "{bad}");
    assert!(rows.iter().any(|row| row["unit"] == "min"), "no time is measured");
}

#[test]
fn deciding_one_poll_costs_as_much_in_a_large_fleet_as_in_a_small_one() {
    // If this failed, polls would slow down as the fleet grows, or nobody would see that they do.
    let rows = rows("poll");
    let counts: Vec<f64> = rows.iter().map(|row| row["ours"].as_f64().unwrap()).collect();
    assert_eq!(counts.len(), 2, "{rows:?}");
    assert!(counts[0] > 1000.0, "{rows:?}");
    assert!(counts[1] <= counts[0] * 1.01, "{rows:?}");
}
