//! A release on a stick: exported from the server, and installed by devices that have no network,
//! under all the rules that an order is.

#![allow(clippy::disallowed_methods, clippy::indexing_slicing, reason = "all of this is a test")]

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use lazaret_tests::fleet::{Fleet, PATIENCE, Release};
use lazaret_tests::programs::arg;
use lazaret_tests::site::{Device, MODEL};
use lazaret_tests::wait;
use serde_json::Value;

const IMAGE_BYTES: usize = 300 * 1024;

/// Runs `apply` and gives its exit code and what it said.
fn apply(device: &Device, bundle: &Path, more: &[&str]) -> anyhow::Result<(i32, Value)> {
    let mut command = device.command("apply");
    let output = command.arg("--json").args(more).arg(bundle).output()?;
    let code = output.status.code().context("apply was killed")?;
    let said = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    ensure!(
        code == 2 || said != Value::Null,
        "apply said no JSON: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok((code, said))
}

fn code_of(said: &Value) -> &str {
    let code = said.get("code").or_else(|| said.pointer("/end/code"));
    code.and_then(Value::as_str).unwrap_or_default()
}

fn export(fleet: &Fleet, release: Release, deltas: &[&str]) -> anyhow::Result<PathBuf> {
    let version = release.version();
    let out = fleet.folder().join(format!("{version}.lazaret"));
    let path = arg(&out);
    let mut args = vec!["release", "export", "--model", MODEL, "--version", &version];
    args.extend(["--out", &path]);
    if !deltas.is_empty() {
        args.push("--from");
        args.extend(deltas);
    }
    let exported = fleet.site.lazaret(&args)?;
    let length = exported.get("length").and_then(Value::as_u64);
    ensure!(length == Some(std::fs::metadata(&out)?.len()), "it says another length: {exported}");
    // It is a plain tar, and everybody can look into it.
    let listed = std::process::Command::new("tar").arg("-tf").arg(&out).output()?;
    let listed = String::from_utf8(listed.stdout)?;
    for part in ["lazaret-offline.json", "metadata/1.root.json", "metadata/timestamp.json"] {
        ensure!(listed.lines().any(|line| line == part), "no {part} in {listed}");
    }
    Ok(out)
}

#[test]
fn a_release_on_a_stick_is_installed_without_a_network_under_every_rule() -> anyhow::Result<()> {
    // If this failed, a site without a network could not be patched, or a stick could carry past
    // the rules what no server could.
    let mut fleet = Fleet::found(IMAGE_BYTES)?;
    for id in ["alone", "served"] {
        fleet.add(id)?;
    }
    fleet.install_first()?;
    let first = export(&fleet, Release(1), &[])?;
    // From here on they see nothing but what is carried to them.
    fleet.devices.iter_mut().try_for_each(Device::kill)?;
    fleet.publish(Release(2))?;
    let second = export(&fleet, Release(2), &["1.0"])?;
    fleet.publish_from(Release(3), Some("1000@2027-06-01T00:00:00Z"))?;
    let third = export(&fleet, Release(3), &[])?;
    fleet.site.kill_server()?;

    hostile_bundles_are_refused(&fleet, &second)?;
    let alone = fleet.devices.first().context("a device")?;
    let before = tree(&alone.folder.join("state"))?;
    let (code, said) = apply(alone, &second, &["--dry-run"])?;
    ensure!(code == 0 && said.get("verdict") == Some(&"install".into()), "dry run: {said}");
    ensure!(said.get("delta") == Some(&true.into()), "no delta: {said}");
    ensure!(tree(&alone.folder.join("state"))? == before, "a dry run has changed the state");

    // Nobody runs here: this program does the agent's work, trial and probes included.
    let (code, said) = apply(alone, &second, &[])?;
    ensure!(code == 0, "apply ended with {code}: {said}");
    ensure!(alone.runs(fleet.image(Release(2))?)?, "it does not run the release");
    // Here the agent runs, and nobody answers it.
    let served = fleet.devices.last_mut().context("a device")?;
    served.start()?;
    let served = fleet.devices.last().context("a device")?;
    let (code, said) = apply(served, &second, &[])?;
    ensure!(code == 0, "apply ended with {code}: {said}\n{}", served.log_tail()?);
    fleet.run(Release(2))?;

    let alone = fleet.devices.first().context("a device")?;
    let (code, said) = apply(alone, &second, &[])?;
    ensure!(code == 1 && code_of(&said) == "already-runs", "the same again: {said}");
    let (code, said) = apply(alone, &first, &["--overrule", "schedule", "--reason", "x"])?;
    ensure!(code == 1 && code_of(&said) == "tuf-rollback", "an older bundle: {said}");
    the_schedule_may_be_overruled_with_a_reason(&fleet, &third)?;

    fleet.site.start_server()?;
    for device in &mut fleet.devices {
        device.kill()?;
        device.start()?;
    }
    for id in ["alone", "served"] {
        wait::until("the server to be told", PATIENCE, || {
            let view = fleet.site.lazaret(&["device", "show", id])?;
            let running = view.pointer("/running/version").and_then(Value::as_str);
            Ok((running == Some("2.0")).then_some(()))
        })?;
    }
    for device in &mut fleet.devices {
        device.kill()?;
        let kinds = device.verified_log()?;
        ensure!(kinds.iter().any(|kind| kind == "applied-by-hand"), "{}: {kinds:?}", device.id);
    }
    Ok(())
}

fn hostile_bundles_are_refused(fleet: &Fleet, good: &Path) -> anyhow::Result<()> {
    let device = fleet.devices.first().context("a device")?;
    let bytes = std::fs::read(good)?;
    let last = |part: &[u8]| bytes.windows(part.len()).rposition(|window| window == part);
    let hostile = |change: &dyn Fn(&mut Vec<u8>)| -> anyhow::Result<PathBuf> {
        let mut bytes = bytes.clone();
        change(&mut bytes);
        let path = fleet.folder().join("hostile.lazaret");
        std::fs::write(&path, bytes)?;
        Ok(path)
    };
    // The signature of timestamp, a whole that is cut off, and what no bundle is.
    let signature = last(b"\"sig\":\"").context("a signature")? + 8;
    let changed =
        hostile(&|bytes| bytes[signature] = if bytes[signature] == b'0' { b'1' } else { b'0' })?;
    let (code, said) = apply(device, &changed, &[])?;
    ensure!(code == 1 && code_of(&said).starts_with("tuf-"), "a changed signature: {said}");
    let cut = hostile(&|bytes| bytes.truncate(bytes.len() / 2))?;
    let (code, said) = apply(device, &cut, &[])?;
    ensure!(code == 1 && code_of(&said) == "bundle-refused", "cut off: {said}");
    let (code, said) = apply(device, Path::new("/dev/null"), &[])?;
    ensure!(code == 1 && code_of(&said) == "bundle-refused", "no file: {said}");
    ensure!(device.runs(fleet.image(Release(1))?)?, "it runs another release");
    Ok(())
}

fn the_schedule_may_be_overruled_with_a_reason(fleet: &Fleet, third: &Path) -> anyhow::Result<()> {
    let device = fleet.devices.first().context("a device")?;
    let (code, said) = apply(device, third, &[])?;
    ensure!(code == 1 && code_of(&said) == "schedule-not-reached", "too early: {said}");
    ensure!(said.get("overrule") == Some(&"schedule".into()), "it does not say how: {said}");
    let (code, _) = apply(device, third, &["--overrule", "schedule"])?;
    ensure!(code == 2, "it asks for no reason");
    // The image is broken, and is left again: the probes have the last word.
    let (code, said) = apply(device, third, &["--overrule", "schedule", "--reason", "visit 7"])?;
    ensure!(code == 1 && code_of(&said) == "probe-failed", "a broken image: {said}");
    ensure!(device.runs(fleet.image(Release(2))?)?, "it did not go back");
    let (_, said) = apply(device, third, &["--overrule", "schedule", "--reason", "visit 7"])?;
    ensure!(code_of(&said) == "failed-before", "once more: {said}");
    Ok(())
}

/// Every file below a folder with its content, the lock left aside.
fn tree(folder: &Path) -> anyhow::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(tree(&path)?);
        } else if path.file_name() != Some("lock".as_ref()) {
            found.push((path.clone(), std::fs::read(&path)?));
        }
    }
    found.sort();
    Ok(found)
}
