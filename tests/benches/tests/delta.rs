//! The benchmark of deltas, run once on two small images: that it measures all that it is to
//! measure. No figure is judged here.

#![allow(clippy::disallowed_methods, reason = "all of this is a test")]

use std::process::Command;

use serde_json::Value;

/// An image of numbered lines; `edition` changes some of them.
fn image(edition: u32) -> Vec<u8> {
    (0..6000_u32)
        .flat_map(|line| {
            let change = if line % 97 == 0 { edition } else { 0 };
            format!("{line}: {}\n", line.wrapping_mul(40_503) ^ change).into_bytes()
        })
        .collect()
}

#[test]
fn the_benchmark_of_deltas_measures_size_time_and_memory_of_a_pair() {
    let folder = tempfile::tempdir().unwrap();
    let (base, result) = (folder.path().join("base"), folder.path().join("result"));
    std::fs::write(&base, image(1)).unwrap();
    std::fs::write(&result, image(2)).unwrap();
    let mut bench = Command::new(env!("CARGO_BIN_EXE_lazaret-bench"));
    bench.args(["delta", "--json", "--base"]).arg(&base).arg("--result").arg(&result);
    let output = bench.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    // 2 is a goal that is missed, as memory is by a program that is not optimised.
    assert!(matches!(output.status.code(), Some(0 | 2)), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = report["rows"].as_array().unwrap();
    let metrics: Vec<&str> = rows.iter().filter_map(|row| row["metric"].as_str()).collect();
    let expected = ["size", "make, processor", "make, memory", "apply, processor", "apply, memory"];
    assert_eq!(metrics, expected);
    let size = &rows[0];
    assert!(size["peers"]["crate bsdiff + zstd-19"].as_f64() > Some(0.0), "{size}");
    let image_bytes = u32::try_from(image(2).len()).unwrap();
    assert!(size["ours"].as_f64() < Some(f64::from(image_bytes) / 50.0), "{size}");
}

#[test]
fn a_pair_that_does_not_exist_is_refused_with_the_names_of_those_that_do() {
    let mut bench = Command::new(env!("CARGO_BIN_EXE_lazaret-bench"));
    let output = bench.args(["delta", "--only", "no-such-pair"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("root-squashfs"));
}
