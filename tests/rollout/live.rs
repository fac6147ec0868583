//! Rollouts on connected devices, with real programs: an offer arrives in about a second though
//! devices poll once a minute, a release is taken back from the kept slot without a
//! download, and whoever resumes names what went wrong.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "all of this program is a test"
)]

use std::process::Command;
use std::time::{Duration, Instant};

use lazaret_tests::fleet::{self, Fleet, For, PATIENCE, Release};
use lazaret_tests::mirror::{Answer, Lie, Mirror};
use lazaret_tests::programs::{self, arg};
use lazaret_tests::site::{MODEL, Site};
use lazaret_tests::wait;
use serde_json::{Value, json};

/// What people call about a second, on a machine with other work to do.
const SOON: Duration = Duration::from_secs(8);

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn refused(site: &Site, operator: &str, args: &[&str]) -> String {
    let output = programs::output(&mut site.cli(operator, args)).unwrap();
    assert!(!output.status.success(), "{args:?} was not refused");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Devices that run 1.0, and 2.0 published; nobody polls more often than once a minute from here.
fn once_a_minute(ids: &[&str]) -> Fleet {
    let mut fleet = Fleet::found(64 * 1024).unwrap();
    for id in ids {
        fleet.add(id).unwrap();
    }
    fleet.install_first().unwrap();
    fleet.publish(Release(2)).unwrap();
    for device in &mut fleet.devices {
        device.kill().unwrap();
        device.set("hold_ms = 50000").unwrap();
    }
    fleet.site.kill_server().unwrap();
    let settings = fleet.site.folder.join("server.toml");
    let text = std::fs::read_to_string(&settings).unwrap();
    std::fs::write(&settings, text.replace("interval_ms = 500", "interval_ms = 60000")).unwrap();
    fleet.site.start_server().unwrap();
    fleet
}

/// Starts the agents and waits until each has a poll that waits on the server.
fn connected(fleet: &mut Fleet) {
    let waiting = |device: &lazaret_tests::site::Device| {
        let log = std::fs::read_to_string(device.folder.join("agent.log")).unwrap_or_default();
        log.matches("waits on the server").count()
    };
    let before: Vec<usize> = fleet.devices.iter().map(waiting).collect();
    for device in &mut fleet.devices {
        device.start().unwrap();
    }
    for (device, before) in fleet.devices.iter().zip(before) {
        wait::until("the device to be connected", PATIENCE, || {
            Ok((waiting(device) > before).then_some(()))
        })
        .unwrap();
    }
}

fn ordered(fleet: &Fleet, rollout: &str) -> usize {
    let events = fleet.site.events().unwrap();
    let facts = events.iter().filter_map(|event| event.get("event"));
    facts.filter(|f| fleet::is(f, "event", "ordered") && fleet::is(f, "rollout", rollout)).count()
}

#[test]
fn an_offer_reaches_connected_devices_in_about_a_second() {
    // If this failed, whatever is urgent would come a minute late, with the next poll.
    let mut fleet = once_a_minute(&["d-1", "d-2"]);
    connected(&mut fleet);
    let rollout = fleet.roll_out(Release(2), For::All).unwrap();
    let begun = Instant::now();
    wait::until("both devices to have the offer", PATIENCE, || {
        Ok((ordered(&fleet, &rollout) == 2).then_some(()))
    })
    .unwrap();
    let offered = begun.elapsed();
    println!("offered after {offered:?}");
    assert!(offered < SOON, "offered after {offered:?}");
}

#[test]
fn a_halt_reaches_a_device_that_is_busy_with_a_slow_download_in_seconds() {
    // If this failed, a bad image that is on its way would get to devices after it was halted.
    let mut fleet = once_a_minute(&["d-1"]);
    let mirror = Mirror::before(&fleet.site, &fleet.devices[0]).unwrap();
    // 64 KiB at 20 bytes a second take an hour.
    mirror.lie(vec![Lie { part: "/targets/".into(), answer: Answer::Trickling }]);
    connected(&mut fleet);
    let rollout = fleet.roll_out(Release(2), For::All).unwrap();
    wait::until("the download to have begun", PATIENCE, || {
        Ok((mirror.told("/targets/") > 0).then_some(()))
    })
    .unwrap();
    let halted = ["rollout", "halt", &rollout, "--reason", "test"];
    fleet.site.lazaret(&halted).unwrap();
    let begun = Instant::now();
    wait::until("the halt to be acknowledged", PATIENCE, || {
        let view = fleet.site.rollout(&rollout)?;
        let counts = (&view["halts_acknowledged"], &view["halts_unacknowledged"]);
        Ok((counts == (&json!(1), &json!(0))).then_some(()))
    })
    .unwrap();
    let acknowledged = begun.elapsed();
    println!("acknowledged after {acknowledged:?}");
    // The head of a delta, about 180 bytes, is read in one: 9 s at this pace.
    assert!(acknowledged < 2 * SOON, "acknowledged after {acknowledged:?}");
    fleet.run(Release(1)).unwrap();
}

fn ssh_key(fleet: &Fleet, name: &str) -> String {
    let path = fleet.folder().join(name);
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(&path);
    assert!(keygen.status().unwrap().success());
    let public = format!("{}.pub", arg(&path));
    let mut add = fleet.site.cli(name, &["approver", "add", "--ssh-key", &public]);
    programs::json(&mut add).unwrap();
    arg(&path)
}

const POLICY: &str = "name = \"all\"\napprovals = 1\n[[group]]\nname = \"all\"\nrest = true\n\
                      success_percent = 50\nerror_percent = 90\n";

/// Approves a plan as ben and begins it; gives its name.
fn begun(fleet: &Fleet, plan: &[&str], key: &str) -> String {
    let planned = fleet.site.lazaret(plan).unwrap();
    let id = text(&planned, "/rollout/id").to_owned();
    let mut approve = fleet.site.cli("ben", &["rollout", "approve", &id, "--ssh-key", key]);
    programs::json(&mut approve).unwrap();
    fleet.site.lazaret(&["rollout", "apply", &id]).unwrap();
    id
}

#[test]
fn a_rollout_is_taken_back_to_the_kept_slot_without_a_download() {
    // If this failed, the way back from a bad release would be as long as the way there, or closed.
    let mut fleet = Fleet::found(64 * 1024).unwrap();
    for id in ["d-1", "d-2"] {
        fleet.add(id).unwrap();
    }
    fleet.install_first().unwrap();
    fleet.publish(Release(2)).unwrap();
    fleet.site.operator("ben", "operator").unwrap();
    let key = ssh_key(&fleet, "ben");
    let policy = fleet.folder().join("policy.toml");
    std::fs::write(&policy, POLICY).unwrap();
    let policy = arg(&policy);
    let mut plan = vec!["rollout", "plan", "--model", MODEL, "--version", "2.0"];
    plan.extend(["--policy", &policy, "--reason", "test"]);
    let there = begun(&fleet, &plan, &key);
    fleet.ended(&there, "finished").unwrap();
    fleet.run(Release(2)).unwrap();

    let revert = ["rollout", "revert", &there, "--policy", &policy, "--reason", "test"];
    let dry = wait::until("both devices to have said what they keep", PATIENCE, || {
        let dry = fleet.site.lazaret(&[revert.as_slice(), &["--dry-run"]].concat())?;
        Ok((dry.pointer("/preview/from_other_slot") == Some(&json!(2))).then_some(dry))
    });
    assert_eq!(dry.unwrap().pointer("/preview/bytes_full"), Some(&json!(0)));
    let back = begun(&fleet, &revert, &key);
    let view = fleet.ended(&back, "finished").unwrap();
    assert_eq!(fleet::count(&view, "done"), 2, "{view}");
    fleet.run(Release(1)).unwrap();
    let ends = fleet.order_ends(&back).unwrap();
    assert!(ends.iter().all(|end| end.outcome == "done" && end.bytes_fetched == 0), "{ends:?}");
    assert_eq!(ends.len(), 2, "{ends:?}");
}

#[test]
fn whoever_resumes_a_halted_rollout_names_every_failure() {
    // If this failed, somebody in a hurry would let a bad release go on without looking at it.
    let mut fleet = Fleet::found(64 * 1024).unwrap();
    fleet.add("d-1").unwrap();
    fleet.install_first().unwrap();
    fleet.publish(Release(2)).unwrap();
    fleet.publish(Release(3)).unwrap();
    let rollout = fleet.roll_out(Release(3), For::All).unwrap();
    let view = fleet.ended(&rollout, "halted").unwrap();
    assert_eq!(fleet::count(&view, "failed"), 1, "{view}");
    let resume = ["rollout", "resume", &rollout, "--reason", "test"];
    let site = &fleet.site;
    let unnamed = refused(site, "ana", &resume);
    assert!(unnamed.contains("probe-failed=1"), "{unnamed}");
    let other = refused(site, "ana", &[resume.as_slice(), &["--accept", "silent=9"]].concat());
    assert!(other.contains("probe-failed=1"), "{other}");
    let named = [resume.as_slice(), &["--accept", "probe-failed=1"]].concat();
    let resumed = site.lazaret(&named).unwrap();
    assert_eq!(text(&resumed, "/state"), "running", "{resumed}");
    let events = site.events().unwrap();
    let resumed = events.iter().filter_map(|event| event.get("event"));
    let resumed: Vec<&Value> =
        resumed.filter(|fact| fleet::is(fact, "event", "rollout-resumed")).collect();
    assert_eq!(resumed.len(), 1);
    assert_eq!(resumed[0].pointer("/accepted/0/code"), Some(&json!("probe-failed")));
}

#[test]
fn an_emergency_lets_a_release_in_before_its_schedule_and_says_so_loudly() {
    // If this failed, a hole that is being used would stay open until the schedule of the release
    // comes round, or anybody could outrun it.
    let mut fleet = Fleet::found(64 * 1024).unwrap();
    fleet.add("d-1").unwrap();
    fleet.install_first().unwrap();
    fleet.publish_from(Release(2), Some("1000@2099-01-01T00:00:00Z")).unwrap();
    let site = &fleet.site;
    let mut plan = vec!["rollout", "plan", "--model", MODEL, "--version", "2.0"];
    plan.extend(["--policy", "emergency", "--reason", "test"]);
    let without = refused(site, "ana", &plan);
    assert!(without.contains("signed by the emergency role"), "{without}");
    publish_emergency(&fleet);
    site.operator("ben", "operator").unwrap();
    site.operator("cat", "incident-commander").unwrap();
    let (ben, cat) = (ssh_key(&fleet, "ben"), ssh_key(&fleet, "cat"));
    let planned = site.lazaret(&plan).unwrap();
    assert_eq!(planned["approvals_needed"], json!(2), "{planned}");
    let id = text(&planned, "/rollout/id").to_owned();
    for (name, key) in [("ben", &ben), ("cat", &cat)] {
        let mut approve = site.cli(name, &["rollout", "approve", &id, "--ssh-key", key]);
        programs::json(&mut approve).unwrap();
    }
    site.lazaret(&["rollout", "apply", &id]).unwrap();
    let view = fleet.ended(&id, "finished").unwrap();
    assert_eq!(fleet::count(&view, "done"), 1, "{view}");
    assert_eq!(text(&view, "/emergency/reason"), "CVE-2026-1", "{view}");
    fleet.run(Release(2)).unwrap();
    let mut words = site.programs.command("lazaret");
    words.arg("--config").arg(site.folder.join("cli-ana.toml")).args(["rollout", "status", &id]);
    let shown = String::from_utf8(programs::output(&mut words).unwrap().stdout).unwrap();
    assert!(shown.contains("EMERGENCY") && shown.contains("CVE-2026-1"), "{shown}");
}

/// Two of the incident team sign that everybody may have 2.0 at once.
fn publish_emergency(fleet: &Fleet) {
    let site = &fleet.site;
    let at = |name: &str| arg(&site.folder.join(name));
    let metadata = site.keys().join("metadata");
    let payload = at("emergency.payload");
    let release = arg(&metadata.join(format!("2.rel-{MODEL}.json")));
    let image = format!("{MODEL}/2.0");
    let mut make = vec!["payload", "emergency", "--image", &image, "--release", &release];
    make.extend(["--reason", "CVE-2026-1", "--valid-hours", "24", "--out", &payload]);
    site.lazaret_keys(&make).unwrap();
    let targets = arg(&metadata.join("1.targets.json"));
    let mut signatures = Vec::new();
    for holder in ["alice", "bob"] {
        let key = arg(&site.keys().join("holders").join(format!("{holder}.key")));
        let out = at(&format!("emergency.{holder}.sig"));
        let mut sign = vec!["sign", "--payload", &payload, "--key", &key, "--targets", &targets];
        sign.extend(["--release", &release, "--out", &out]);
        site.lazaret_keys(&sign).unwrap();
        signatures.push(out);
    }
    let mut assemble = vec!["assemble", "--payload", &payload, "--targets", &targets];
    assemble.extend(signatures.iter().flat_map(|file| ["--sig", file.as_str()]));
    let out = at("emergency");
    assemble.extend(["--out-dir", &out]);
    site.lazaret_keys(&assemble).unwrap();
    let signed = at("emergency/1.emergency.json");
    site.lazaret(&["repo", "publish", "--metadata", &signed]).unwrap();
}

#[test]
fn a_device_far_behind_runs_the_release_in_between_that_the_signers_asked_for() {
    // If this failed, devices that slept through a release would be bricked by the next one, or
    // wait for it for ever and nobody would know why.
    let mut fleet = Fleet::found(64 * 1024).unwrap();
    fleet.add("d-1").unwrap();
    fleet.install_first().unwrap();
    fleet.publish(Release(2)).unwrap();
    fleet.publish_needing(Release(3), Release(2)).unwrap();
    let site = &fleet.site;
    site.operator("ben", "operator").unwrap();
    let key = ssh_key(&fleet, "ben");
    let policy = fleet.folder().join("policy.toml");
    std::fs::write(&policy, POLICY).unwrap();
    let policy = arg(&policy);

    // A rollout without a plan has no steps: the device is held, and `why` names the floor.
    let straight = fleet.roll_out(Release(3), For::All).unwrap();
    let view = fleet.ended(&straight, "halted").unwrap();
    assert_eq!(fleet::count(&view, "refused"), 1, "{view}");
    assert_eq!(view.pointer("/groups/0/reasons/0/code"), Some(&json!("needs-step")), "{view}");

    let mut plan = vec!["rollout", "plan", "--model", MODEL, "--version", "3.0"];
    plan.extend(["--policy", &policy, "--reason", "test"]);
    let dry = site.lazaret(&[plan.as_slice(), &["--dry-run"]].concat()).unwrap();
    let steps = json!([{ "version": "2.0", "devices": 1 }]);
    assert_eq!(dry.pointer("/preview/steps"), Some(&steps), "{dry}");
    let rollout = begun(&fleet, &plan, &key);
    // Release 3 of the harness fails its probe: what matters is that 2.0 was kept before it.
    let view = wait::until("the rollout to be over", PATIENCE, || {
        let view = fleet.site.rollout(&rollout)?;
        Ok((text(&view, "/state") != "running").then_some(view))
    });
    assert_eq!(fleet::count(&view.unwrap(), "failed"), 1);
    fleet.run(Release(2)).unwrap();
}
