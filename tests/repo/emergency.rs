//! Who may let an image in before its schedule: the holders of the emergency role and nobody else.
//! The real key tool, server and agent, with real keys; what a rollout makes of it is tested with
//! the rollouts.

#![allow(clippy::disallowed_methods, reason = "all of this is a test")]

use std::process::Command;

use anyhow::{Context as _, ensure};
use lazaret_repo_keys_signing::metadata::{Signature, assemble};
use lazaret_repo_keys_signing::sources::{self, Secret};
use lazaret_repo_keys_signing::{OfflineRole, Passphrase};
use lazaret_tests::fleet::{Fleet, PATIENCE, Release};
use lazaret_tests::mirror::{Answer, Lie, Mirror};
use lazaret_tests::programs::{self, arg};
use lazaret_tests::site::{MODEL, Site};
use lazaret_tests::wait;
use serde_json::Value;

/// Somebody with a good key that nobody delegated anything to.
const STRANGER: &str = "mallory";

fn key(site: &Site, holder: &str) -> String {
    arg(&site.keys().join(format!("holders/{holder}.key")))
}

/// What the key tool says that it refuses.
fn refused(site: &Site, args: &[&str]) -> anyhow::Result<String> {
    let output = programs::output(&mut site.keys_command(args))?;
    ensure!(!output.status.success(), "expected {args:?} to be refused");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr))
}

/// Has holders sign that everybody may have 2.0 at once; the stranger's tool refuses to.
fn ceremony(site: &Site) -> anyhow::Result<std::path::PathBuf> {
    let at = |name: &str| arg(&site.folder.join(name));
    let release = arg(&site.keys().join(format!("metadata/2.rel-{MODEL}.json")));
    let targets = arg(&site.keys().join("metadata/1.targets.json"));
    let (payload, image) = (at("emergency.payload"), format!("{MODEL}/2.0"));
    let mut make = vec!["payload", "emergency", "--image", &image, "--release", &release];
    make.extend(["--reason", "CVE-2026-1 is exploited", "--out", &payload]);
    site.lazaret_keys(&make)?;
    let stranger = key(site, STRANGER);
    site.lazaret_keys(&["key", "create", "--holder", STRANGER, "--out", &stranger])?;
    let sign = |holder: &str| {
        let mut sign = vec!["sign".to_owned(), "--payload".to_owned(), payload.clone()];
        sign.extend(["--key".to_owned(), key(site, holder), "--targets".to_owned()]);
        sign.extend([targets.clone(), "--release".to_owned(), release.clone()]);
        sign.extend(["--out".to_owned(), at(&format!("emergency.{holder}.sig"))]);
        sign
    };
    for holder in ["bob", "carol"] {
        let sign = sign(holder);
        site.lazaret_keys(&sign.iter().map(String::as_str).collect::<Vec<_>>())?;
    }
    let stranger = sign(STRANGER);
    let why = refused(site, &stranger.iter().map(String::as_str).collect::<Vec<_>>())?;
    ensure!(why.contains("emergency"), "{why}");
    let (bob, carol) = (at("emergency.bob.sig"), at("emergency.carol.sig"));
    let out = at("emergency");
    let put = ["assemble", "--payload", &payload, "--targets", &targets, "--out-dir", &out];
    refused(site, &[&put[..], &["--sig", &bob]].concat())?;
    site.lazaret_keys(&[&put[..], &["--sig", &bob, "--sig", &carol]].concat())?;
    Ok(site.folder.join("emergency/1.emergency.json"))
}

/// The same schedule, each signature made with the stranger's key under a holder's name.
fn by_a_stranger(site: &Site, good: &[u8]) -> anyhow::Result<Vec<u8>> {
    let passphrase = std::fs::read_to_string(site.folder.join("passphrase"))?;
    let passphrase = Passphrase::new(passphrase.trim().to_owned())?;
    let signer = sources::open(&key(site, STRANGER), Secret::Passphrase(passphrase))?;
    let good: Value = serde_json::from_slice(good)?;
    let signed = good.get("signed").context("no signed")?;
    let payload = lazaret_protocol::canonical::value_to_bytes(signed)?;
    let listed = good.get("signatures").and_then(Value::as_array).context("no signatures")?;
    let mut signatures = Vec::new();
    for signature in listed {
        let keyid = signature.get("keyid").and_then(Value::as_str).context("no keyid")?;
        let sig = signer.sign(&OfflineRole::Emergency, &payload)?;
        signatures.push(Signature { keyid: keyid.to_owned(), sig });
    }
    ensure!(signatures.len() == 2, "expected two signatures");
    Ok(assemble(&payload, &signatures))
}

/// Plans a rollout with the emergency's urgency, has ben approve it, and begins it.
fn pressed(fleet: &Fleet) -> anyhow::Result<String> {
    let site = &fleet.site;
    let policy = arg(&site.folder.join("policy.toml"));
    let mut plan = vec!["rollout", "plan", "--model", MODEL, "--version", "2.0"];
    plan.extend(["--policy", &policy, "--reason", "CVE-2026-1"]);
    let planned = site.lazaret(&plan)?;
    let id = planned.pointer("/rollout/id").and_then(Value::as_str).context("no rollout")?;
    let key = arg(&site.folder.join("ben"));
    let mut approve = site.cli("ben", &["rollout", "approve", id, "--ssh-key", &key]);
    programs::json(&mut approve)?;
    site.lazaret(&["rollout", "apply", id])?;
    Ok(id.to_owned())
}

/// Makes ben an approver, and a policy that overtakes everything.
fn prepare(site: &Site) -> anyhow::Result<()> {
    site.operator("ben", "operator")?;
    let key = site.folder.join("ben");
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "ben", "-f"]).arg(&key);
    ensure!(keygen.status()?.success(), "no key");
    let public = format!("{}.pub", arg(&key));
    programs::json(&mut site.cli("ben", &["approver", "add", "--ssh-key", &public]))?;
    let policy = "name = \"now\"\nurgency = \"emergency\"\napprovals = 1\n[[group]]\n\
                  name = \"all\"\nrest = true\nsuccess_percent = 50\nerror_percent = 90\n";
    Ok(std::fs::write(site.folder.join("policy.toml"), policy)?)
}

#[test]
fn a_faster_schedule_counts_when_its_holders_signed_it_and_not_when_others_did()
-> anyhow::Result<()> {
    // If this failed, whoever runs the server could send an image to the whole fleet at once; or
    // the incident team could not, when a hole is being used.
    let mut fleet = Fleet::found(64 * 1024)?;
    fleet.add("d-1")?;
    fleet.install_first()?;
    fleet.publish_from(Release(2), Some("1000@2099-01-01T00:00:00Z"))?;
    prepare(&fleet.site)?;
    let good = ceremony(&fleet.site)?;
    let forged = by_a_stranger(&fleet.site, &std::fs::read(&good)?)?;

    // The server holds no offline key and takes no file that its holders did not sign.
    let path = fleet.site.folder.join("forged").join("1.emergency.json");
    std::fs::create_dir_all(path.parent().context("no folder")?)?;
    std::io::Write::write_all(&mut std::fs::File::create(&path)?, &forged)?;
    let publish = ["repo", "publish", "--metadata", &arg(&path)];
    let output = programs::output(&mut fleet.site.cli("ana", &publish))?;
    ensure!(!output.status.success(), "a stranger's schedule was published");
    fleet.site.lazaret(&["repo", "publish", "--metadata", &arg(&good)])?;

    // Whoever took the server over hands it out all the same: the device goes by the holders.
    let device = fleet.devices.first_mut().context("no device")?;
    device.kill()?;
    let mirror = Mirror::before(&fleet.site, device)?;
    mirror.lie(vec![Lie { part: "1.emergency.json".into(), answer: Answer::Bytes(forged) }]);
    device.start()?;
    let rollout = pressed(&fleet)?;
    wait::until("the schedule to be refused", PATIENCE, || {
        let device = fleet.devices.first().context("no device")?;
        let lines = device.forensic_lines()?;
        let named = |line: &String| line.contains("verification-refused");
        Ok((mirror.told("1.emergency.json") > 0 && lines.iter().any(named)).then_some(()))
    })
    .with_context(|| fleet.logs())?;
    fleet.run(Release(1))?;

    fleet.ended(&rollout, "halted")?;
    mirror.lie(Vec::new());
    pressed(&fleet)?;
    wait::until("the update that the holders let in", PATIENCE, || {
        let device = fleet.devices.first().context("no device")?;
        Ok(device.runs(fleet.image(Release(2))?)?.then_some(()))
    })
    .with_context(|| fleet.logs())
}
