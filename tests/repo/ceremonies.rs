//! Ceremonies against a running server: after each, readers that only have the first root install
//! the same image, and the operator's own tool verifies every role.

#![allow(clippy::disallowed_methods, clippy::indexing_slicing, reason = "all of this is a test")]

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use lazaret_tests::programs::{self, Programs, arg};
use lazaret_tests::site::Site;
use lazaret_tests::site::release::Wanted;
use serde_json::Value;

use crate::readers::{both_install, python};

const IMAGE: &[u8] = b"an image that is the same to every reader";

struct Team {
    _folder: tempfile::TempDir,
    site: Site,
}

impl Team {
    /// A server with release 1.0 of gw2, and a fourth person with a key.
    fn new() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut site = Site::found(Programs::beside_this_one()?, &folder.path().join("site"))?;
        site.init()?;
        std::fs::copy(
            site.keys().join("metadata/1.root.json"),
            site.folder.join("first.root.json"),
        )?;
        site.start_server()?;
        let image = site.folder.join("image");
        std::fs::write(&image, IMAGE)?;
        let (image, schedule) = (image.as_path(), Some("1@2030-01-01T00:00:00Z"));
        site.release(Wanted { version: "1.0", counter: 1, floor: 0, image, schedule })?;
        let team = Self { _folder: folder, site };
        let key = team.key("dora");
        team.site.lazaret_keys(&["key", "create", "--holder", "dora", "--out", &arg(&key)])?;
        Ok(team)
    }

    /// Has the emergency role say that there is nothing to say: tough reads no delegated role at
    /// all as long as one of them has no file.
    fn speak(&self) -> anyhow::Result<()> {
        let (payload, out) = (self.at("silence.payload"), self.at("silence"));
        let targets = arg(&self.site.keys().join("metadata/1.targets.json"));
        self.site.lazaret_keys(&["payload", "emergency", "--out", &payload])?;
        let mut assemble = vec!["assemble", "--payload", &payload, "--targets", &targets];
        assemble.extend(["--out-dir", &out]);
        let signatures = ["alice", "bob"].map(|holder| self.at(&format!("silence.{holder}.sig")));
        for (holder, signature) in ["alice", "bob"].iter().zip(&signatures) {
            let key = arg(&self.key(holder));
            let sign = ["sign", "--payload", &payload, "--key", &key, "--targets", &targets];
            self.site.lazaret_keys(&[&sign[..], &["--out", signature]].concat())?;
            assemble.extend(["--sig", signature]);
        }
        self.site.lazaret_keys(&assemble)?;
        let signed = format!("{out}/1.emergency.json");
        self.site.lazaret(&["repo", "publish", "--metadata", &signed])?;
        Ok(())
    }

    fn key(&self, holder: &str) -> PathBuf {
        self.site.keys().join(format!("holders/{holder}.key"))
    }

    fn public(&self, holder: &str) -> String {
        arg(&self.key(holder).with_extension("pub"))
    }

    fn at(&self, name: &str) -> String {
        arg(&self.site.folder.join(name))
    }

    /// Plans a change on what is served, has `holders` sign it, each alone, and assembles it.
    fn change(&self, name: &str, wishes: &[&str], holders: &[&str]) -> anyhow::Result<String> {
        let (metadata, root) = (self.at(&format!("{name}-metadata")), self.at("first.root.json"));
        self.site.lazaret(&["repo", "fetch", "--root", &root, "--out", &metadata])?;
        let (change, signed) = (self.at(name), self.at(&format!("{name}-signed")));
        let mut plan = vec!["change", "plan", "--metadata", &metadata, "--out", &change];
        plan.extend(wishes);
        self.site.lazaret_keys(&plan)?;
        let mut folders = Vec::new();
        for holder in holders {
            let (key, out) = (arg(&self.key(holder)), self.at(&format!("{name}-{holder}")));
            self.site.lazaret_keys(&[
                "change",
                "sign",
                "--change",
                &change,
                "--key",
                &key,
                "--trusted-root",
                &root,
                "--out-dir",
                &out,
            ])?;
            folders.push(out);
        }
        let mut assemble = vec!["change", "assemble", "--change", &change, "--out-dir", &signed];
        assemble.extend(folders.iter().flat_map(|folder| ["--signatures", folder.as_str()]));
        self.site.lazaret_keys(&assemble)?;
        Ok(signed)
    }

    /// Rehearses and publishes a change, and has everybody read the result.
    fn publish(&self, name: &str, signed: &str) -> anyhow::Result<Value> {
        let rehearsed = self.site.lazaret(&["repo", "publish", "--change", signed, "--dry-run"])?;
        let published = self.site.lazaret(&["repo", "publish", "--change", signed])?;
        ensure!(rehearsed == published, "rehearsed {rehearsed}, published {published}");
        self.everybody_reads(name)?;
        Ok(published)
    }

    fn everybody_reads(&self, name: &str) -> anyhow::Result<()> {
        both_install(&self.site, name, IMAGE)?;
        // A reader that goes on from what it knows follows as well.
        python(&self.site, &self.site.folder.join("readers/old"), "gw2/1.0/image")?;
        let status = self.status()?;
        ensure!(status["state"] == "fine", "{status}");
        Ok(())
    }

    fn status(&self) -> anyhow::Result<Value> {
        let root = self.at("first.root.json");
        let holders = arg(&self.site.keys().join("holders"));
        self.site.lazaret(&["repo", "status", "--root", &root, "--holders", &holders])
    }

    fn settings(&self, from: &str, to: &str) -> anyhow::Result<()> {
        let path = self.site.folder.join("server.toml");
        let text = std::fs::read_to_string(&path)?;
        ensure!(text.contains(from), "no {from} in the server's settings");
        Ok(std::fs::write(path, text.replace(from, to))?)
    }

    /// The holders of a role by name, and how many must sign.
    fn role(&self, role: &str) -> anyhow::Result<(Vec<String>, u64)> {
        let status = self.status()?;
        let roles = status["roles"].as_array().context("no roles")?;
        let found = roles.iter().find(|entry| entry["role"] == role).context("no such role")?;
        let holder = |signer: &Value| signer["holder"].as_str().unwrap_or("?").to_owned();
        let mut names: Vec<String> =
            found["signers"].as_array().context("no signers")?.iter().map(holder).collect();
        names.sort();
        Ok((names, found["threshold"].as_u64().context("no threshold")?))
    }
}

fn refusal(team: &Team, args: &[&str]) -> anyhow::Result<String> {
    let output = programs::output(&mut team.site.cli("ana", args))?;
    ensure!(!output.status.success(), "{args:?} was not refused");
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn foreign_readers_follow_holders_and_thresholds_from_the_first_root() -> anyhow::Result<()> {
    let team = Team::new()?;
    team.speak()?;
    team.everybody_reads("founded")?;

    let swap = |role: &str| format!("{role}={}:{}", team.public("carol"), team.public("dora"));
    let swaps = ["root", "targets", "rel-gw2", "emergency"].map(swap);
    let holders = arg(&team.site.keys().join("holders"));
    let mut wishes = vec!["--holders", holders.as_str()];
    wishes.extend(swaps.iter().flat_map(|swap| ["--replace", swap.as_str()]));
    let signed = team.change("replaced", &wishes, &["alice", "bob"])?;
    team.publish("replaced", &signed)?;
    for role in ["root", "targets", "rel-gw2", "emergency"] {
        ensure!(team.role(role)? == (["alice", "bob", "dora"].map(str::to_owned).to_vec(), 2));
    }

    let wishes = ["--threshold", "root=3", "--threshold", "targets=3"];
    let signed = team.change("raised", &wishes, &["alice", "bob", "dora"])?;
    // Half of the change would leave targets below its threshold, and is refused.
    let root = arg(&Path::new(&signed).join("3.root.json"));
    let half = refusal(&team, &["repo", "publish", "--metadata", &root])?;
    ensure!(half.contains("expected 3 signatures on targets, 2 hold"), "{half}");
    team.publish("raised", &signed)?;
    ensure!(team.role("root")?.1 == 3);

    let model = format!("gw3={},{}:2", team.public("alice"), team.public("dora"));
    let signed = team.change("model", &["--add-model", &model], &["alice", "bob", "dora"])?;
    team.site.lazaret(&["repo", "publish", "--change", &signed])?;
    // tough reads again once there is a first release of gw3.
    let state = team.site.folder.join("readers/model");
    let (said, _) = python(&team.site, &state, "gw2/1.0/image")?;
    ensure!(said["root"] == 3, "{said}");
    ensure!(team.status()?["state"] == "fine");
    Ok(())
}

#[test]
fn stolen_server_keys_are_replaced_in_one_commit() -> anyhow::Result<()> {
    let mut team = Team::new()?;
    team.speak()?;
    team.everybody_reads("before")?;
    let online = team.at("keys/online-2");
    team.site.lazaret_keys(&["online", "create", "--out", &online])?;
    let (public, anchors) = (format!("{online}/online.pub.json"), team.at("anchors-2.json"));
    let ca = |name: &str| arg(&team.site.keys().join("ca").join(name));
    team.site.lazaret_keys(&[
        "anchors",
        "--online",
        &public,
        "--ca",
        &ca("device-ca.pem"),
        "--server-ca",
        &ca("server-ca.pem"),
        "--out",
        &anchors,
    ])?;
    let wishes = ["--online", public.as_str(), "--anchors", anchors.as_str()];
    let signed = team.change("stolen", &wishes, &["alice", "carol"])?;
    let refused = refusal(&team, &["repo", "publish", "--change", &signed])?;
    ensure!(refused.contains("key is not the one"), "{refused}");
    team.everybody_reads("refused")?;

    team.site.kill_server()?;
    let both = "online_keys = \"keys/online\"\nonline_keys_next = \"keys/online-2\"";
    team.settings("online_keys = \"keys/online\"", both)?;
    team.site.start_server()?;
    team.everybody_reads("both")?;
    let published = team.publish("stolen", &signed)?;
    let files = published["files"].to_string();
    for role in ["root", "targets", "deltas", "snapshot", "timestamp"] {
        ensure!(files.contains(role), "{role} was not signed again: {files}");
    }
    // The new order key is the one that devices are told to trust.
    let state = team.site.folder.join("readers/anchors");
    let (_, installed) = python(&team.site, &state, "trust/anchors")?;
    ensure!(std::fs::read(installed)? == std::fs::read(&anchors)?);

    team.site.kill_server()?;
    team.settings(both, "online_keys = \"keys/online-2\"")?;
    team.site.start_server()?;
    team.everybody_reads("after")
}

#[test]
fn the_incident_team_opens_a_signed_image_earlier_and_nothing_else() -> anyhow::Result<()> {
    let team = Team::new()?;
    let metadata = team.site.keys().join("metadata");
    let (release, targets) =
        (arg(&metadata.join("1.rel-gw2.json")), arg(&metadata.join("1.targets.json")));
    let payload = team.at("emergency.payload");
    team.site.lazaret_keys(&[
        "payload",
        "emergency",
        "--image",
        "gw2/1.0",
        "--release",
        &release,
        "--reason",
        "CVE-2026-1234 is exploited",
        "--valid-hours",
        "24",
        "--out",
        &payload,
    ])?;
    let mut assemble = vec!["assemble".to_owned(), "--payload".to_owned(), payload.clone()];
    for holder in ["bob", "carol"] {
        let (key, out) = (arg(&team.key(holder)), team.at(&format!("emergency.{holder}.sig")));
        team.site.lazaret_keys(&[
            "sign",
            "--payload",
            &payload,
            "--key",
            &key,
            "--targets",
            &targets,
            "--release",
            &release,
            "--out",
            &out,
        ])?;
        assemble.extend(["--sig".to_owned(), out]);
    }
    let out = team.at("emergency");
    assemble.extend(["--targets".to_owned(), targets, "--out-dir".to_owned(), out.clone()]);
    let assemble: Vec<&str> = assemble.iter().map(String::as_str).collect();
    team.site.lazaret_keys(&assemble)?;
    let signed = format!("{out}/1.emergency.json");
    team.site.lazaret(&["repo", "publish", "--metadata", &signed])?;
    team.everybody_reads("emergency")?;
    let state = team.site.folder.join("readers/emergency-entry");
    let (said, _) = python(&team.site, &state, "emergency/gw2/1.0")?;
    ensure!(said["custom"]["reason"] == "CVE-2026-1234 is exploited", "{said}");
    // The same file again is no next version.
    let again = refusal(&team, &["repo", "publish", "--metadata", &signed])?;
    ensure!(again.contains("expected emergency version 2"), "{again}");
    Ok(())
}
