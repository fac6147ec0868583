//! Somebody has the server: its machine, its certificate, every key that lies on it and all that it
//! stores. What they can do with it, and what they cannot, against the real agent.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use lazaret_protocol::canonical;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_repo_keys_signing::online::OnlineKeys;
use lazaret_repo_keys_signing::role::OnlineRole;
use lazaret_tests::fleet::{Fleet, For, Release};
use lazaret_tests::mirror::{Answer, Lie, Mirror};
use lazaret_tests::programs::arg;
use lazaret_tests::site::{MODEL, Site};
use lazaret_tests::wait;
use serde_json::{Value, json};

const IMAGE_BYTES: usize = 64 * 1024;
const PATIENCE: Duration = Duration::from_secs(60);

/// What the thief serves.
struct Forged {
    release: Vec<u8>,
    snapshot: Vec<u8>,
    timestamp: Vec<u8>,
    image: Vec<u8>,
}

#[test]
fn every_key_of_the_server_makes_no_device_run_what_the_holders_did_not_sign() -> anyhow::Result<()>
{
    // If this failed, whoever takes the server has the fleet.
    let mut fleet = Fleet::found(IMAGE_BYTES)?;
    fleet.add("d-1")?;
    fleet.install_first()?;
    let device = fleet.devices.first_mut().context("no device")?;
    device.kill()?;
    let mirror = Mirror::before(&fleet.site, device)?;
    fleet.publish(Release(2))?;
    let forged = forge(&fleet)?;
    let told = |part: &str, answer| Lie { part: part.into(), answer };
    mirror.lie(vec![
        told("/timestamp.json", Answer::Bytes(forged.timestamp)),
        told(".snapshot.json", Answer::Bytes(forged.snapshot)),
        told(".rel-", Answer::Bytes(forged.release)),
        told(".image", Answer::Bytes(forged.image)),
        told(".delta", Answer::Missing),
    ]);
    fleet.devices.first_mut().context("no device")?.start()?;
    let rollout = fleet.roll_out(Release(2), For::All)?;
    let device = fleet.devices.first().context("no device")?;
    wait::until("the forged release to be refused", PATIENCE, || {
        let lines = device.forensic_lines()?;
        let named = |line: &String| {
            line.contains("tuf-role-unverified")
                && line.contains("needs valid signatures of 2 distinct keys, has 0")
        };
        Ok(lines.iter().any(named).then_some(()))
    })
    .with_context(|| device.forensic_lines().unwrap_or_default().join("\n"))?;
    // The thief's own snapshot and timestamp were good: it is the release that nobody signed.
    for part in ["/timestamp.json", ".snapshot.json", ".rel-"] {
        ensure!(mirror.told(part) > 0, "no lie was told on {part}");
    }
    ensure!(mirror.told(".image") == 0, "it fetched an image that nobody signed");
    fleet.run(Release(1))?;

    mirror.lie(Vec::new());
    fleet.publish(Release(3))?;
    fleet.ended(&rollout, "finished")?;
    fleet.run(Release(2))
}

/// The release 2.0 of an image of the thief's, under the signatures of every key that the server
/// has, and the snapshot and timestamp that list it, signed as the server signs them.
fn forge(fleet: &Fleet) -> anyhow::Result<Forged> {
    let site = &fleet.site;
    let folder = site.folder.join("stolen");
    site.lazaret(&["release", "fetch-metadata", "--model", MODEL, "--out", &arg(&folder)])?;
    let keys = OnlineKeys::load(&site.keys().join("online"))?;
    let read = |name: &str| -> anyhow::Result<Value> {
        let bytes = std::fs::read(folder.join(name)).with_context(|| format!("no {name}"))?;
        Ok(serde_json::from_slice(&bytes)?)
    };
    let image: Vec<u8> = std::fs::read(fleet.image(Release(2))?)?.iter().map(|b| !b).collect();

    let mut release = signed_release(site)?;
    let targets = release.pointer_mut("/signed/targets").and_then(Value::as_object_mut);
    for (_, target) in targets.context("no targets")?.iter_mut() {
        *target.pointer_mut("/hashes/sha256").context("no hash")? =
            Sha256Digest::of(&image).to_string().into();
    }
    let payload = canonical::to_bytes(release.get("signed").context("no signed part")?)?;
    let roles = [OnlineRole::Snapshot, OnlineRole::Timestamp, OnlineRole::Deltas];
    let signatures = release.pointer_mut("/signatures").and_then(Value::as_array_mut);
    for (signature, role) in signatures.context("no signatures")?.iter_mut().zip(roles) {
        *signature.get_mut("sig").context("no signature")? =
            hex::encode(keys.sign(role, &payload)).into();
    }
    let release = serde_json::to_vec(&release)?;

    let mut timestamp = read("timestamp.json")?;
    let listed = timestamp.pointer("/signed/meta/snapshot.json/version").and_then(Value::as_u64);
    let mut snapshot = read(&format!("{}.snapshot.json", listed.context("no snapshot")?))?;
    relist(&mut snapshot, &format!("rel-{MODEL}.json"), &release)?;
    let snapshot = sign(&keys, OnlineRole::Snapshot, snapshot)?;
    relist(&mut timestamp, "snapshot.json", &snapshot)?;
    let timestamp = sign(&keys, OnlineRole::Timestamp, timestamp)?;
    Ok(Forged { release, snapshot, timestamp, image })
}

fn signed_release(site: &Site) -> anyhow::Result<Value> {
    let path = site.keys().join("metadata").join(format!("2.rel-{MODEL}.json"));
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}

/// Lists these bytes under `name`, as far as length and hash are listed at all.
fn relist(document: &mut Value, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let meta = document.pointer_mut("/signed/meta").and_then(Value::as_object_mut);
    let entry = meta.context("no list")?.get_mut(name).context("not listed")?;
    let entry = entry.as_object_mut().context("no entry")?;
    if entry.contains_key("length") {
        entry.insert("length".into(), json!(bytes.len()));
    }
    if entry.contains_key("hashes") {
        entry.insert("hashes".into(), json!({ "sha256": Sha256Digest::of(bytes).to_string() }));
    }
    Ok(())
}

fn sign(keys: &OnlineKeys, role: OnlineRole, mut document: Value) -> anyhow::Result<Vec<u8>> {
    let payload = canonical::to_bytes(document.get("signed").context("no signed part")?)?;
    let signature = hex::encode(keys.sign(role, &payload));
    *document.pointer_mut("/signatures/0/sig").context("no signature")? = signature.into();
    Ok(serde_json::to_vec(&document)?)
}
