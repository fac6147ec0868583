//! Containment with real programs, a real kernel and a network of the device's own: what is closed,
//! what stays open, and that only people let a device out. Needs root, ip, nft and python3.

#![allow(clippy::disallowed_methods, clippy::indexing_slicing, reason = "all of this is a test")]

mod net;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use lazaret_tests::programs::{self, Programs, arg};
use lazaret_tests::site::release::Wanted;
use lazaret_tests::site::{Device, Site};
use lazaret_tests::wait;
use serde_json::Value;

use net::Net;

const PATIENCE: Duration = Duration::from_secs(90);

/// A site whose server is reached from `net`, with ana and bo as its approvers.
fn site(folder: &Path, net: &Net) -> anyhow::Result<Site> {
    for name in ["ana", "bo"] {
        let file = arg(&folder.join(name));
        programs::output(
            Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &file]),
        )?;
    }
    let approver = |name: &str| format!("{name}={}", arg(&folder.join(format!("{name}.pub"))));
    let (ana, bo) = (approver("ana"), approver("bo"));
    let extra = ["--approver", ana.as_str(), "--approver", bo.as_str()];
    let mut site = Site::found_with(Programs::beside_this_one()?, &folder.join("site"), &extra)?;
    site.operator("bo", "operator,incident-commander")?;
    let settings = site.folder.join("server.toml");
    let text = std::fs::read_to_string(&settings)?;
    let port = site.device_port;
    let text = text.replace(&format!("127.0.0.1:{port}"), &format!("[::]:{port}"));
    let open = format!(
        "[containment]\nopen = [\"{}:{port}\", \"[{}]:{port}\"]\ndevices_per_hour = 2\n\
         permille_per_hour = 0\n",
        net.server4(),
        net.server6()
    );
    std::fs::write(&settings, text + &open)?;
    site.init()?;
    site.start_server()?;
    Ok(site)
}

fn seen(
    site: &Site,
    device: &Device,
    what: &str,
    look: impl Fn(&Value) -> bool,
) -> anyhow::Result<Value> {
    let found = wait::until(what, PATIENCE, || {
        // Before it has enrolled there is nothing to show.
        let view = site.lazaret(&["device", "show", &device.id]).ok();
        Ok(view.filter(|view| look(view)))
    });
    found.with_context(|| device.log_tail().unwrap_or_default())
}

fn contained(view: &Value) -> bool {
    view["quarantine_confirmed"] == true
        && view["quarantine_level"] == "isolate"
        && view["containment"]["measures"].is_array()
}

fn measures(device: &Device, net: &Net, args: &[&str]) -> anyhow::Result<(bool, Value)> {
    let output = programs::output(device.command_in(&net.name, "measures").args(args))?;
    let said: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    Ok((output.status.success(), said))
}

#[test]
fn an_isolated_device_reaches_its_server_alone_until_people_let_it_out() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let net = Net::new(1)?;
    let mut site = site(folder.path(), &net)?;
    let image = site.folder.join("one.img");
    std::fs::write(&image, vec![1; 100_000])?;
    site.release(Wanted { version: "1.0", counter: 1, floor: 0, image: &image, schedule: None })?;
    let mut device = site.provision("d-1")?;
    device.start_in(&net.name)?;
    seen(&site, &device, "the device to poll", |view| view["polls"].as_u64() > Some(0))?;
    site.roll_out("1.0", "1000", 50)?;
    seen(&site, &device, "1.0 to run", |view| view["running"]["version"] == "1.0")?;
    // Else nothing below would show anything.
    ensure!(net.leaks()? > 100, "a free device must be heard");

    let reason = ["--reason", "it calls strangers"];
    let isolate = ["device", "quarantine", "d-1", "--level", "isolate"];
    let preview = site.lazaret(&[&isolate[..], &reason, &["--dry-run"]].concat())?;
    ensure!(preview["counts"]["would-be-contained"] == 1, "{preview}");
    ensure!(net.leaks()? > 100, "a preview closes nothing");
    site.lazaret(&[&isolate[..], &reason].concat())?;
    let view = seen(&site, &device, "the device to be contained", contained)?;
    ensure!(view["containment"]["measures"][0]["name"] == "nftables", "{view}");
    ensure!(net.leaks()? == 0, "an isolated device is heard");
    let port = site.device_port;
    ensure!(net.reaches(&net.server4(), port), "the server over IPv4");
    ensure!(net.reaches(&net.server6(), port), "the server over IPv6");

    // Down is no level.
    let lower = ["device", "quarantine", "d-1", "--level", "hold", "--reason", "x"];
    let refused = programs::output(&mut site.cli("ana", &lower))?;
    ensure!(String::from_utf8_lossy(&refused.stderr).contains("release"), "{refused:?}");

    after_a_restart_with_the_server_down(&mut site, &mut device, &net)?;
    cured_where_it_is(&site, &device, &net)?;
    let out = let_out(folder.path(), &site, &device)?;
    ensure!(net.leaks()? > 100, "a device that was let out is heard again");
    receipt_stands_alone(&site, &out)
}

/// The agent is killed, the rules are lost with the power, and the server is away: what is stored
/// closes the network before anything is asked of it.
fn after_a_restart_with_the_server_down(
    site: &mut Site,
    device: &mut Device,
    net: &Net,
) -> anyhow::Result<()> {
    device.kill()?;
    ensure!(net.leaks()? == 0, "the rules outlive the agent");
    site.kill_server()?;
    net.within("nft flush ruleset")?;
    ensure!(net.leaks()? > 100, "without rules the device is heard");
    let (holds, said) = measures(device, net, &["--json"])?;
    ensure!(!holds && said["holds"] == false, "what does not hold is said: {said}");
    let (holds, said) = measures(device, net, &["--apply-stored", "--json"])?;
    ensure!(holds && said["holds"] == true, "{said}");
    ensure!(net.leaks()? == 0, "what is stored closes the network");

    // The same where the agent itself comes up first.
    net.within("nft flush ruleset")?;
    device.start_in(&net.name)?;
    wait::until("the rules to be there", PATIENCE, || {
        Ok(net.within("nft list table inet lazaret_quarantine").ok())
    })?;
    ensure!(net.leaks()? == 0, "the agent closes the network at its start");

    // A device whose stored order is gone closes everything, and says that it is not as ordered.
    site.start_server()?;
    let polls = site.lazaret(&["device", "show", "d-1"])?["polls"].as_u64();
    seen(site, device, "a poll", |view| view["polls"].as_u64() > polls && contained(view))?;
    Ok(())
}

/// Nothing but the server is in reach, and its evidence goes out and the cure comes in.
fn cured_where_it_is(site: &Site, device: &Device, net: &Net) -> anyhow::Result<()> {
    let image = site.folder.join("two.img");
    std::fs::write(&image, vec![2; 100_000])?;
    site.release(Wanted { version: "2.0", counter: 2, floor: 0, image: &image, schedule: None })?;
    let open = ["incident", "open", "--title", "worm", "--severity", "high", "--declare"];
    let who = ["--devices", "d-1", "--reason", "it calls strangers"];
    let opened = site.lazaret(&[&open[..], &who].concat())?;
    let incident = opened.pointer("/incident/id").and_then(Value::as_str).context("no incident")?;
    let policy = site.folder.join("now.toml");
    std::fs::write(
        &policy,
        "name = \"now\"\napprovals = 0\n[[group]]\nname = \"all\"\nrest = true\n",
    )?;
    let policy = arg(&policy);
    let plan = ["rollout", "plan", "--model", "gw2", "--version", "2.0", "--policy", &policy];
    let cure = ["--incident", incident, "--reason", "closes the way in"];
    let planned = site.lazaret(&[&plan[..], &cure].concat())?;
    let rollout = planned.pointer("/rollout/id").and_then(Value::as_str).context("no rollout")?;
    site.lazaret(&["rollout", "apply", rollout])?;
    let cured = |view: &Value| view["running"]["version"] == "2.0" && contained(view);
    seen(site, device, "the cure to run", cured)?;
    let status = site.lazaret(&["incident", "status", incident])?;
    ensure!(status["standing"]["collected"] == 1, "its evidence is here: {status}");
    ensure!(net.leaks()? == 0, "what is cured is still isolated");
    Ok(())
}

fn let_out(folder: &Path, site: &Site, device: &Device) -> anyhow::Result<std::path::PathBuf> {
    let asked = site.lazaret(&["device", "release-request", "d-1", "--reason", "runs 1.0"])?;
    let id = asked["id"].as_str().context("no id")?.to_owned();
    ensure!(asked["threshold"] == 2, "{asked}");
    let sign = |name: &str| {
        let key = arg(&folder.join(name));
        programs::json(&mut site.cli(name, &["device", "release-sign", &id, "--ssh-key", &key]))
    };
    let one = sign("ana")?;
    ensure!(one["ordered"] == false && one["counts"]["waiting"] == 1, "{one}");
    let again = sign("ana")?;
    ensure!(again["signed_by"].as_array().map(Vec::len) == Some(1), "one person twice: {again}");
    let stolen = arg(&folder.join("ana"));
    let as_bo = ["device", "release-sign", &id, "--ssh-key", &stolen];
    let refused = programs::output(&mut site.cli("bo", &as_bo))?;
    ensure!(!refused.status.success(), "ana's key is not bo's");
    let two = sign("bo")?;
    ensure!(two["ordered"] == true, "{two}");
    seen(site, device, "the device to be let out", |view| view["quarantine"].is_null())?;
    ensure!(device.status()?["quarantined"] == false, "the device's own journal");
    let out = folder.join("d-1.release.json");
    site.lazaret(&["device", "release-receipt", "d-1", "--out", &arg(&out)])?;
    Ok(out)
}

fn receipt_stands_alone(site: &Site, receipt: &Path) -> anyhow::Result<()> {
    let anchors = site.keys().join("anchors.json");
    let check = |receipt: &Path, anchors: &Path| {
        let args = ["device", "verify-release", &arg(receipt), "--anchors", &arg(anchors)];
        programs::output(&mut site.cli("ana", &args))
    };
    let good = check(receipt, &anchors)?;
    ensure!(good.status.success(), "{good:?}");
    let said: Value = serde_json::from_slice(&good.stdout)?;
    ensure!(said["signers"] == serde_json::json!(["ana", "bo"]), "{said}");
    let mut others: Value = serde_json::from_slice(&std::fs::read(&anchors)?)?;
    others["approvers"]["threshold"] = 1.into();
    others["approvers"]["keys"].as_array_mut().context("no keys")?.remove(0);
    let path = site.folder.join("others.json");
    std::fs::write(&path, others.to_string())?;
    // Bo alone was enough for these, so that the statement holds; for none of them it does not.
    others.as_object_mut().context("no object")?.remove("approvers");
    std::fs::write(&path, others.to_string())?;
    ensure!(!check(receipt, &path)?.status.success(), "nobody may release");
    Ok(())
}

#[test]
fn the_benchmark_of_containment_counts_every_connected_agent_once() -> anyhow::Result<()> {
    let mut fleet = Command::new(env!("CARGO_BIN_EXE_contained-fleet"));
    fleet.args(["--devices", "4", "--rounds", "1", "--rest-ms", "4000"]);
    let said = programs::json(&mut fleet)?;
    let proved = said.pointer("/rounds/0/proved_ms").and_then(Value::as_array);
    let proved = proved.with_context(|| format!("no round in {said}"))?;
    ensure!(proved.len() == 4, "{said}");
    let soon = |ms: &Value| ms.as_u64().is_some_and(|ms| ms < 30_000);
    ensure!(proved.iter().all(soon), "a connected agent was told by its next poll only: {said}");
    Ok(())
}

#[test]
fn so_many_at_once_take_a_second_person_and_every_device_is_counted_once() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let net = Net::new(2)?;
    let site = site(folder.path(), &net)?;
    for name in ["d-1", "d-2", "d-3"] {
        lazaret_tests::peer::Peer::enrol(&site, name)?;
    }
    let all = ["device", "quarantine", "--filter", "model==gw2", "--reason", "worm"];
    let preview = site.lazaret(&[&all[..], &["--dry-run"]].concat())?;
    ensure!(preview["devices"] == 3 && preview["needs_second_person"] == true, "{preview}");
    let refused = programs::output(&mut site.cli("ana", &all))?;
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(!refused.status.success() && words.contains("incident commander"), "{words}");
    let act = words.split_whitespace().find(|word| word.starts_with("q-")).context("no act")?;
    let confirm = ["device", "quarantine", "--confirm", act, "--reason", "agreed"];
    ensure!(!programs::output(&mut site.cli("ana", &confirm))?.status.success(), "ana again");
    let done = programs::json(&mut site.cli("bo", &confirm))?;
    let counts = done["counts"].as_object().context("no counts")?;
    let sum: u64 = counts.values().filter_map(Value::as_u64).sum();
    ensure!(sum == 3 && done["confirmed_by"] == "bo", "{done}");
    ensure!(done["counts"]["never-seen"] == 3, "{done}");
    let status = site.lazaret(&["device", "quarantine", "--status", act])?;
    ensure!(status["counts"] == done["counts"], "{status}");
    Ok(())
}
