//! Scenario repositories, one test a group: what they are stands in `python/scenarios.py`. The same
//! scenarios are put to python-tuf's client, so that none of them rests on our reading alone.

use std::path::{Path, PathBuf};
use std::process::Command;

use lazaret_tests::python_tuf;
use serde_json::Value;

/// Scenarios where python-tuf's client does otherwise, and why ours is right.
const PYTHON_DIFFERS: &[(&str, &str)] = &[
    ("root_expired", "5.3.10: an expired root ends the refresh before the timestamp is asked for"),
    ("unusual_target_names[a%20b]", "names go into URLs unencoded: another file is asked for"),
    ("unusual_target_names[?x#y]", "names go into URLs unencoded: a query is asked for"),
    ("unusual_target_names[..]", "the name is taken for a folder"),
    ("unusual_target_names[../../etc/x]", "names go into URLs unencoded: another folder is asked"),
    ("unusual_target_names[%2e%2e/x]", "names go into URLs unencoded: another folder is asked"),
    ("unusual_target_names[a long one]", "the name is too long for a file"),
    ("keys_of_unknown_kinds_do_not_count", "one malformed key refuses the whole root"),
    ("duplicate_keys_root", "5.3.4 counts keys; key ids are counted, so one key passes for three"),
    ("a_thousand_roots", "256 roots are taken in one refresh"),
    (
        "cached_role_is_verified_against_current_delegator",
        "a role is verified under its first delegator of the run only (python-tuf issue 2977)",
    ),
];

/// A group has at least so many scenarios: a file that cannot be read has none, and none fails.
const GROUPS: &[(&str, usize)] = &[
    ("basic", 38),
    ("expiration", 13),
    ("download", 25),
    ("keys", 11),
    ("rollback", 14),
    ("rotations", 40),
    ("delegations", 41),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tuf").join("python")
}

/// Name and fault of each scenario that was played.
fn played(group: &str, client: &[PathBuf]) -> anyhow::Result<Vec<(String, Option<String>)>> {
    let mut command = Command::new(python_tuf::python()?);
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command.arg(folder().join("scenarios.py")).arg(group).args(client);
    let output = command.output()?;
    let said = String::from_utf8(output.stdout)?;
    let errors = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "the scenarios cannot be played: {errors}");
    let read = |line: &str| {
        let line: Value = serde_json::from_str(line)?;
        let text = |field: &str| line[field].as_str().map(str::to_owned);
        Ok((text("name").unwrap_or_default(), text("fault")))
    };
    said.lines().map(read).collect()
}

fn all_pass(group: &str) -> anyhow::Result<()> {
    let ours = PathBuf::from(env!("CARGO_BIN_EXE_lazaret-tuf-client"));
    let played = played(group, &[ours])?;
    let least = GROUPS.iter().find(|(name, _)| *name == group).map_or(1, |(_, least)| *least);
    assert!(played.len() >= least, "only {} scenarios of {group} were played", played.len());
    let failed: Vec<String> = played
        .iter()
        .filter_map(|(name, fault)| Some(format!("{name}: {}", fault.as_ref()?)))
        .collect();
    assert_eq!(failed, Vec::<String>::new());
    Ok(())
}

#[test]
fn python_tuf_passes_the_same_scenarios_but_for_known_differences() -> anyhow::Result<()> {
    let played = played("all", &[PathBuf::from("python-tuf")])?;
    let failed = played.iter().filter(|(_, fault)| fault.is_some());
    let failed: Vec<&str> = failed.map(|(name, _)| name.as_str()).collect();
    let known: Vec<&str> = PYTHON_DIFFERS.iter().map(|(name, _)| *name).collect();
    assert_eq!(failed, known);
    Ok(())
}

#[test]
fn basic_scenarios_pass() -> anyhow::Result<()> {
    all_pass("basic")
}

#[test]
fn scenarios_of_expired_metadata_pass() -> anyhow::Result<()> {
    all_pass("expiration")
}

#[test]
fn scenarios_of_downloads_pass() -> anyhow::Result<()> {
    all_pass("download")
}

#[test]
fn scenarios_of_keys_and_thresholds_pass() -> anyhow::Result<()> {
    all_pass("keys")
}

#[test]
fn scenarios_of_rollback_and_recovery_pass() -> anyhow::Result<()> {
    all_pass("rollback")
}

#[test]
fn scenarios_of_key_rotation_pass() -> anyhow::Result<()> {
    all_pass("rotations")
}

#[test]
fn scenarios_of_delegation_graphs_pass() -> anyhow::Result<()> {
    all_pass("delegations")
}
