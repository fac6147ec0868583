//! The attacks of the TUF specification against the real agent, each through a mirror of its own:
//! the device goes on with what it has, its log names the attack, and once the mirror is honest the
//! update goes through.
//!
//! Two are not here: an image for other hardware, and a schedule that lies ahead, are refused by
//! `agent/core` whatever a server says, and tested there; that the server does not even offer the
//! latter is in `update.rs`.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use lazaret_protocol::canonical;
use lazaret_protocol_delta_encode::EncodeOptions;
use lazaret_repo_keys_signing::online::OnlineKeys;
use lazaret_repo_keys_signing::role::OnlineRole;
use lazaret_tests::fleet::{self, Fleet, For, Release};
use lazaret_tests::mirror::{Answer, ENDLESS_BYTES, Lie, Mirror};
use lazaret_tests::programs::arg;
use lazaret_tests::site::{MODEL, Site};
use lazaret_tests::wait;
use serde_json::Value;

const IMAGE_BYTES: usize = 300 * 1024;

/// Longest that a device may take to notice an attack: seconds on a quiet machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The end of the delta's path, which the metadata of deltas does not share.
const DELTA: &str = "from-1.0.delta";

/// What an attack does to the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    /// It waits, and is carried out when the mirror is honest again.
    Waits,
    /// It fails under this code, and another one is carried out.
    Fails(&'static str),
    /// It is carried out all the same.
    Done,
}

/// One attack, told to one device.
struct Attack {
    device: &'static str,
    lies: Vec<Lie>,
    /// What a line of the forensic log has to say, all of it.
    logged: &'static [&'static str],
    ends: Ends,
}

#[test]
fn every_attack_is_refused_under_its_own_name_and_ends_with_the_attacker() -> anyhow::Result<()> {
    // If this failed, somebody who took the server or the way to it could hold devices on old
    // software, feed them what was never signed, fill their disks, or stop their updates for ever.
    let mut fleet = Fleet::found(IMAGE_BYTES)?;
    let before = metadata(&fleet.site, "before")?;
    for id in IDS {
        fleet.add(id)?;
    }
    fleet.install_first()?;
    // No device may see the honest metadata of 2.0 before the lies begin.
    let mirrors = stand_between(&mut fleet)?;
    fleet.publish(Release(2))?;
    let attacks = attacks(&fleet, &before)?;
    for (attack, mirror) in attacks.iter().zip(&mirrors) {
        mirror.lie(attack.lies.clone());
    }
    for device in &mut fleet.devices {
        device.start()?;
    }
    let rollout = fleet.roll_out(Release(2), For::All)?;
    for (attack, mirror) in attacks.iter().zip(&mirrors) {
        is_refused(&fleet, &rollout, attack, mirror)?;
    }

    mirrors.iter().for_each(|mirror| mirror.lie(Vec::new()));
    // A lapsed timestamp of a good signature stays as a guard against rollback: only a newer one is
    // better. An honest server signs one before long; here the next publication does.
    fleet.publish(Release(3))?;
    let view = fleet.ended(&rollout, "finished")?;
    let again: Vec<String> = attacks
        .iter()
        .filter(|attack| matches!(attack.ends, Ends::Fails(_)))
        .map(|attack| attack.device.to_owned())
        .collect();
    let failed = u64::try_from(again.len())?;
    ensure!(fleet::count(&view, "failed") == failed, "expected {failed} to fail: {view}");
    let second = fleet.roll_out(Release(2), For::These(&again))?;
    let view = fleet.ended(&second, "finished")?;
    ensure!(fleet::count(&view, "done") == failed, "expected all to be done: {view}");
    fleet.run(Release(2))?;
    for device in &mut fleet.devices {
        device.kill()?;
        device.verified_log()?;
    }
    Ok(())
}

/// One device for each attack, in the order of [`attacks`].
const IDS: [&str; 12] = [
    "rollback",
    "freeze",
    "mix-and-match",
    "endless-timestamp",
    "endless-release",
    "missing-snapshot",
    "snapshot-as-timestamp",
    "below-threshold",
    "wrong-hash",
    "endless-image",
    "tampered-delta",
    "foreign-delta",
];

/// The lies, from what the repository said `before` the first release and says after the second.
fn attacks(fleet: &Fleet, before: &Path) -> anyhow::Result<Vec<Attack>> {
    let now = metadata(&fleet.site, "now")?;
    let read = |folder: &Path, name: &str| -> anyhow::Result<Vec<u8>> {
        std::fs::read(folder.join(name)).with_context(|| format!("no {name}"))
    };
    let old_timestamp = read(before, "timestamp.json")?;
    let snapshot = format!("{}.snapshot.json", listed(&old_timestamp)?);
    let old_snapshot = read(before, &snapshot)?;
    let timestamp = read(&now, "timestamp.json")?;
    let release = fleet.site.keys().join("metadata").join(format!("2.rel-{MODEL}.json"));
    let weak = without_one_signature(&std::fs::read(release)?)?;
    let image = std::fs::read(fleet.image(Release(2))?)?;
    let changed: Vec<u8> =
        image.iter().enumerate().map(|(at, byte)| byte ^ u8::from(at == 1000)).collect();

    let told = |part: &str, answer: Answer| Lie { part: part.to_owned(), answer };
    let no_delta = || told(DELTA, Answer::Missing);
    let at_timestamp = |answer| vec![told("/timestamp.json", answer)];
    let at_snapshot = |answer| vec![told(".snapshot.json", answer)];
    let at_image = |answer| vec![told(".image", answer), no_delta()];
    let refused = |device, lies, logged| Attack { device, lies, logged, ends: Ends::Waits };
    let fails = |device, lies| Attack {
        device,
        lies,
        logged: &["verification-refused", "tuf-mix-and-match"],
        ends: Ends::Fails("image-mismatch"),
    };
    let doubted = |device, answer| Attack {
        device,
        lies: vec![told(DELTA, answer)],
        logged: &["delta-doubted"],
        ends: Ends::Done,
    };
    Ok(vec![
        // A stale mirror at first, an alarm once it persists.
        refused(
            "rollback",
            at_timestamp(Answer::Bytes(old_timestamp)),
            &["\"alarm\"", "stale-mirror", "went back to version"],
        ),
        refused(
            "freeze",
            at_timestamp(Answer::Bytes(lapsed(&fleet.site, &timestamp)?)),
            &["tuf-expired"],
        ),
        refused(
            "mix-and-match",
            at_snapshot(Answer::Bytes(old_snapshot.clone())),
            &["tuf-mix-and-match"],
        ),
        refused("endless-timestamp", at_timestamp(Answer::Endless), &["tuf-too-large"]),
        refused(
            "endless-release",
            vec![told(".rel-", Answer::Endless)],
            &["tuf-role-unverified", "expected at most"],
        ),
        refused("missing-snapshot", at_snapshot(Answer::Missing), &["tuf-missing"]),
        refused(
            "snapshot-as-timestamp",
            at_timestamp(Answer::Bytes(old_snapshot)),
            &["tuf-threshold-not-met"],
        ),
        refused(
            "below-threshold",
            vec![told(".rel-", Answer::Bytes(weak))],
            &["tuf-role-unverified", "needs valid signatures of 2 distinct keys, has 1"],
        ),
        fails("wrong-hash", at_image(Answer::Bytes(changed))),
        Attack {
            logged: &["verification-refused", "download-too-long"],
            ..fails("endless-image", at_image(Answer::Endless))
        },
        doubted("tampered-delta", Answer::OneByteChanged),
        doubted("foreign-delta", Answer::Bytes(foreign_delta(&image)?)),
    ])
}

/// Puts a mirror before every device. The agents do not run after that.
fn stand_between(fleet: &mut Fleet) -> anyhow::Result<Vec<Mirror>> {
    let mut mirrors = Vec::new();
    for device in &mut fleet.devices {
        device.kill()?;
        mirrors.push(Mirror::before(&fleet.site, device)?);
    }
    Ok(mirrors)
}

/// Waits until the device names the attack, and insists on what became of its image and order.
fn is_refused(
    fleet: &Fleet,
    rollout: &str,
    attack: &Attack,
    mirror: &Mirror,
) -> anyhow::Result<()> {
    let device = fleet.devices.iter().find(|d| d.id == attack.device).context("no such device")?;
    let what = format!("{} to be in the log as {:?}", attack.device, attack.logged);
    wait::until(&what, PATIENCE, || {
        let lines = device.forensic_lines()?;
        let names = |line: &String| attack.logged.iter().all(|part| line.contains(part));
        Ok(lines.iter().any(names).then_some(()))
    })
    .with_context(|| {
        let told: Vec<_> = attack.lies.iter().map(|l| (&l.part, mirror.told(&l.part))).collect();
        let log = device.forensic_lines().unwrap_or_default();
        format!("lies told: {told:?}\n{}", log.join("\n"))
    })?;
    for lie in &attack.lies {
        ensure!(mirror.told(&lie.part) > 0, "{}: no lie was told on {}", device.id, lie.part);
        let most = mirror.most_bytes(&lie.part);
        ensure!(most < ENDLESS_BYTES / 4, "{}: it took {most} bytes of {}", device.id, lie.part);
    }
    let end = || -> anyhow::Result<_> {
        Ok(fleet.order_ends(rollout)?.into_iter().find(|end| end.device == device.id))
    };
    match attack.ends {
        Ends::Waits => {
            ensure!(end()?.is_none(), "{}: the order has ended", device.id);
            ensure!(device.runs(fleet.image(Release(1))?)?, "{}: it runs another", device.id);
        }
        Ends::Fails(code) => {
            let end = wait::until("the order to fail", PATIENCE, end)?;
            ensure!(end.code == code, "{}: expected {code}, got {end:?}", device.id);
            ensure!(device.runs(fleet.image(Release(1))?)?, "{}: it runs another", device.id);
        }
        Ends::Done => {
            let end = wait::until("the order to be done", PATIENCE, end)?;
            ensure!(end.outcome == "done", "{}: expected done, got {end:?}", device.id);
            ensure!(device.runs(fleet.image(Release(2))?)?, "{}: it runs another", device.id);
        }
    }
    Ok(())
}

/// The repository's metadata as it stands, in a folder of its own.
fn metadata(site: &Site, name: &str) -> anyhow::Result<std::path::PathBuf> {
    let folder = site.folder.join(name);
    let out = arg(&folder);
    site.lazaret(&["release", "fetch-metadata", "--model", MODEL, "--out", &out])?;
    Ok(folder)
}

/// The version of the snapshot that a timestamp lists.
fn listed(timestamp: &[u8]) -> anyhow::Result<u64> {
    let timestamp: Value = serde_json::from_slice(timestamp)?;
    let version = timestamp.pointer("/signed/meta/snapshot.json/version").and_then(Value::as_u64);
    version.context("the timestamp lists no snapshot")
}

/// The timestamp as if the server had signed it long ago: its time is over, its signature is good.
fn lapsed(site: &Site, timestamp: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut document: Value = serde_json::from_slice(timestamp)?;
    let signed = document.get_mut("signed").context("no signed part")?;
    *signed.get_mut("expires").context("no expires")? = "2026-01-01T00:00:00Z".into();
    let payload = canonical::to_bytes(signed)?;
    let keys = OnlineKeys::load(&site.keys().join("online"))?;
    let signature = hex::encode(keys.sign(OnlineRole::Timestamp, &payload));
    *document.pointer_mut("/signatures/0/sig").context("no signature")? = signature.into();
    Ok(serde_json::to_vec(&document)?)
}

fn without_one_signature(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut document: Value = serde_json::from_slice(bytes)?;
    let signatures = document.get_mut("signatures").and_then(Value::as_array_mut);
    let signatures = signatures.context("no signatures")?;
    ensure!(signatures.len() == 2, "expected two signatures, got {}", signatures.len());
    signatures.pop();
    Ok(serde_json::to_vec(&document)?)
}

/// A delta that is whole and leads to the very image, but from a base that no device runs.
fn foreign_delta(image: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut base = image.to_vec();
    base.truncate(image.len() - 4096);
    let (options, mut delta) = (EncodeOptions::default(), Vec::new());
    lazaret_protocol_delta_encode::encode(&base, &image, &options, |_, _| {}, &mut delta)?;
    Ok(delta)
}
