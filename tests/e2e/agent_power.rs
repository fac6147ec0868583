//! The power goes at every durable step of the agent, one device for each: it comes up, ends on one
//! verified image that runs, and reports once and rightly.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use lazaret_tests::fleet::{self, Fleet, For, PATIENCE, Release};
use lazaret_tests::programs::{self, Programs, arg};
use lazaret_tests::site::Device;
use lazaret_tests::wait;
use serde_json::Value;

const IMAGE_BYTES: usize = 200 * 1024;

const SIGABRT: i32 = 6;

/// Steps that an update which is kept passes on any device, on both sides.
const KEPT: [&str; 20] = [
    "journal-idle",
    "journal-copy",
    "journal-accepted",
    "journal-staging",
    "journal-staged",
    "journal-armed",
    "journal-trial",
    "boot-count",
    "boot-arm",
    "boot-keep",
    "boot-link",
    "tuf-write",
    "forensic-append",
    "forensic-cut",
    "forensic-epoch",
    "forensic-erase",
    "forensic-promote",
    "forensic-seal",
    "forensic-witnessed",
    "stage-read-back",
];

/// Steps that only a device passes that goes back.
const ROLLED_BACK: [&str; 3] = ["journal-rolling-back", "boot-revert", "journal-armed"];

/// Steps of a device that enrols and takes its first image.
const ENROLLED: [&str; 5] =
    ["provision-journal", "identity-key", "identity-certificate", "anchors", "stage-sync"];

/// Steps on the way of a bundle to the server.
const COLLECTED: [&str; 2] = ["bundle-write", "bundle-delete"];

/// Stored metadata is deleted where a role is gone or keys were rotated, which no release does;
/// journals and logs are moved aside where they are damaged; no log is long enough to be pruned;
/// nobody asks for anything by hand, which `offline.rs` does; and no image of these devices is
/// unpacked.
const NOT_REACHED: [&str; 11] = [
    "containment-order",
    "containment-rules",
    "containment-units",
    "tuf-delete",
    "journal-aside",
    "forensic-aside",
    "forensic-base",
    "forensic-prune",
    "by-hand",
    "tree-clear",
    "tree-swap",
];

#[test]
fn the_agent_killed_at_every_step_ends_with_one_verified_slot_and_the_right_report()
-> anyhow::Result<()> {
    // If this failed, there would be a moment at which a power cut bricks a device, or makes the
    // fleet's operators believe what is not so.
    let mut fleet = Fleet::found(IMAGE_BYTES)?;
    let names = failpoints(&fleet.site.programs)?;
    for name in &names {
        fleet.add(name)?;
    }
    let mut seen = BTreeSet::new();

    fleet.publish(Release(1))?;
    forget_provisioning(&fleet)?;
    start_all_with_their_points(&mut fleet)?;
    let mut reached = revive_until(&mut fleet, |fleet| {
        let page = fleet.site.lazaret(&["device", "list"])?;
        let views: Vec<&Value> =
            page.get("items").and_then(Value::as_array).into_iter().flatten().collect();
        let polled = |id: &str| {
            let view = views.iter().find(|view| fleet::is(view, "id", id));
            view.and_then(|view| view.get("polls")?.as_u64()) > Some(0)
        };
        Ok(ids(fleet).filter(|id| !polled(id)).collect())
    })?;
    reached.extend(roll_out_and_judge(&mut fleet, Release(1), Release(1))?);
    passed("first image", &reached, &ENROLLED)?;
    seen.extend(reached);

    fleet.publish(Release(2))?;
    kill_all(&mut fleet)?;
    tear_a_record(&fleet)?;
    start_all_with_their_points(&mut fleet)?;
    let reached = roll_out_and_judge(&mut fleet, Release(2), Release(2))?;
    passed("delta that is kept", &reached, &KEPT)?;
    seen.extend(reached);

    fleet.publish(Release(3))?;
    kill_all(&mut fleet)?;
    start_all_with_their_points(&mut fleet)?;
    let reached = roll_out_and_judge(&mut fleet, Release(3), Release(2))?;
    passed("image that is broken", &reached, &ROLLED_BACK)?;
    seen.extend(reached);

    seen.extend(collect_evidence(&mut fleet)?);
    let missed: BTreeSet<_> = names.iter().filter(|name| !seen.contains(*name)).cloned().collect();
    let expected: BTreeSet<_> = NOT_REACHED.iter().flat_map(|step| sides(step)).collect();
    ensure!(missed == expected, "expected to crash everywhere else, missed {missed:?}");
    Ok(())
}

/// Has evidence of every device collected whose points are on that way.
fn collect_evidence(fleet: &mut Fleet) -> anyhow::Result<BTreeSet<String>> {
    let mut seen = BTreeSet::new();
    for name in COLLECTED.iter().flat_map(|step| sides(step)) {
        let device = fleet.devices.iter_mut().find(|device| device.id == name);
        let device = device.with_context(|| format!("no device {name}"))?;
        device.kill()?;
        device.start_with(&["--danger-crash-at", &name])?;
        let out = arg(&fleet.site.folder.join(format!("{name}.tar.zst.age")));
        let pull = ["evidence", "pull", &name, "--reason", "harness", "--out", &out];
        let mut pulled =
            fleet.site.cli("ana", &pull).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let (mut crashed, mut ended) = (BTreeSet::new(), None);
        wait::until("the bundle to be pulled", PATIENCE, || {
            crashed.extend(revive(fleet)?);
            ended = pulled.try_wait()?;
            Ok(ended.map(drop))
        })?;
        ensure!(ended.is_some_and(|status| status.success()), "{name}: no bundle was pulled");
        seen.extend(crashed);
        let ca = arg(&fleet.site.keys().join("ca").join("device-ca.pem"));
        let secret = arg(&fleet.site.keys().join("responders").join("responder-1.age"));
        let verify = ["evidence", "verify", &out, "--device-ca", &ca, "--identity", &secret];
        fleet.site.lazaret(&verify)?;
    }
    settle(fleet)?;
    Ok(seen)
}

fn sides(step: &str) -> [String; 2] {
    [format!("before-{step}"), format!("after-{step}")]
}

/// Rolls `release` out while devices crash and come up again, and insists that every one of them
/// ends on `runs`, and says so once. Gives the points that were reached.
fn roll_out_and_judge(
    fleet: &mut Fleet,
    release: Release,
    runs: Release,
) -> anyhow::Result<BTreeSet<String>> {
    let kept = release == runs;
    let rollout = fleet.roll_out(release, For::All)?;
    let (state, count) = if kept { ("finished", "done") } else { ("halted", "failed") };
    let reached =
        revive_until(fleet, |fleet| match fleet::over(&fleet.site.rollout(&rollout)?, state)? {
            Some(_) => Ok(Vec::new()),
            None => Ok(vec![rollout.clone()]),
        })?;
    let view = fleet.site.rollout(&rollout)?;
    let all = u64::try_from(fleet.devices.len())?;
    ensure!(fleet::count(&view, count) == all, "expected {all} {count}: {view}");
    let reached: BTreeSet<String> = reached.into_iter().chain(settle(fleet)?).collect();
    fleet.run(runs)?;

    let ends = fleet.order_ends(&rollout)?;
    for device in &mut fleet.devices {
        let own: Vec<_> = ends.iter().filter(|end| end.device == device.id).collect();
        let [end] = own.as_slice() else {
            anyhow::bail!("expected one report of {}, got {own:?}", device.id);
        };
        let wanted = if kept { ("done", "") } else { ("failed", "probe-failed") };
        ensure!(
            (end.outcome.as_str(), end.code.as_str()) == wanted,
            "expected {wanted:?} of {}, got {end:?}\n{}",
            device.id,
            device.log_tail()?
        );
        let version = device.status()?.pointer("/running/version").cloned();
        ensure!(
            version.as_ref().and_then(Value::as_str) == Some(&runs.version()),
            "{} says that it runs {version:?}",
            device.id
        );
    }
    kill_all(fleet)?;
    for device in &fleet.devices {
        device.verified_log()?;
    }
    for device in &mut fleet.devices {
        device.start()?;
    }
    Ok(reached)
}

/// A device whose factory made no journal makes it at its first start.
fn forget_provisioning(fleet: &Fleet) -> anyhow::Result<()> {
    for device in fleet.devices.iter().filter(|d| d.id.ends_with("-provision-journal")) {
        std::fs::remove_dir_all(device.folder.join("state"))?;
    }
    Ok(())
}

/// The power went in the middle of a record: half a line stands at the end of the log.
fn tear_a_record(fleet: &Fleet) -> anyhow::Result<()> {
    for device in fleet.devices.iter().filter(|d| d.id.ends_with("-forensic-cut")) {
        let path = device.folder.join("state/log/security/tile/entries/000");
        let mut log = std::fs::File::options().append(true).open(path)?;
        log.write_all(&[0, 99, 0x89, 1])?;
    }
    Ok(())
}

fn start_all_with_their_points(fleet: &mut Fleet) -> anyhow::Result<()> {
    for device in &mut fleet.devices {
        let point = device.id.clone();
        device.start_with(&["--danger-crash-at", &point])?;
    }
    Ok(())
}

fn kill_all(fleet: &mut Fleet) -> anyhow::Result<()> {
    fleet.devices.iter_mut().try_for_each(Device::kill)
}

fn ids(fleet: &Fleet) -> impl Iterator<Item = String> {
    fleet.devices.iter().map(|device| device.id.clone())
}

/// Starts agents that crashed at their point again, without it, until `left` finds nothing left to
/// wait for; gives the points.
fn revive_until(
    fleet: &mut Fleet,
    left: impl Fn(&Fleet) -> anyhow::Result<Vec<String>>,
) -> anyhow::Result<BTreeSet<String>> {
    let (mut reached, mut last) = (BTreeSet::new(), Vec::new());
    let found = wait::until("every device to come through", PATIENCE, || {
        reached.extend(revive(fleet)?);
        last = left(fleet)?;
        Ok(last.is_empty().then_some(()))
    });
    found.with_context(|| format!("still waiting for {last:?}\n{}", logs_of(fleet, &last)))?;
    Ok(reached)
}

fn logs_of(fleet: &Fleet, ids: &[String]) -> String {
    let named = fleet.devices.iter().filter(|device| ids.contains(&device.id)).take(3);
    let tails = named.map(|device| device.log_tail().unwrap_or_default());
    let all = tails.collect::<Vec<_>>().join("\n");
    if all.is_empty() { fleet.logs() } else { all }
}

fn revive(fleet: &mut Fleet) -> anyhow::Result<Vec<String>> {
    let mut reached = Vec::new();
    for device in &mut fleet.devices {
        let Some(status) = device.ended()? else { continue };
        ensure!(
            status.signal() == Some(SIGABRT),
            "{} ended with {status} and not at its point:\n{}",
            device.id,
            device.log_tail()?
        );
        reached.push(device.id.clone());
        device.start()?;
    }
    Ok(reached)
}

/// Waits until no device has anything under way or to report; gives the points that were reached
/// meanwhile.
fn settle(fleet: &mut Fleet) -> anyhow::Result<BTreeSet<String>> {
    revive_until(fleet, |fleet| {
        let mut left = Vec::new();
        for device in &fleet.devices {
            if !device.is_settled()? {
                left.push(device.id.clone());
            }
        }
        Ok(left)
    })
}

/// Insists that both sides of these steps were reached, so that the test is one.
fn passed(what: &str, reached: &BTreeSet<String>, steps: &[&str]) -> anyhow::Result<()> {
    let sides = steps.iter().flat_map(|step| sides(step));
    let missed: Vec<String> = sides.filter(|point| !reached.contains(point)).collect();
    ensure!(missed.is_empty(), "{what}: nobody crashed at {missed:?}, but at {reached:?}");
    Ok(())
}

fn failpoints(programs: &Programs) -> anyhow::Result<Vec<String>> {
    let said = programs::output(programs.command("lazaret-agent").arg("failpoints"))?;
    let names: Vec<String> = String::from_utf8(said.stdout)?.lines().map(str::to_owned).collect();
    ensure!(names.len() >= 40, "expected the agent's failpoints, got {names:?}");
    Ok(names)
}
