//! Releases of a site: uploaded by the operator, signed by two holders from their own copy of the
//! image, published.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::Value;

use super::{MODEL, Site};
use crate::programs::arg;

/// A release to be made.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Its version.
    pub version: &'a str,
    /// Its release counter; also the number of its metadata file.
    pub counter: u64,
    /// The floor that keeping it raises, 0 for none.
    pub floor: u64,
    /// The image.
    pub image: &'a Path,
    /// The signed schedule, such as `100@2026-01-01T00:00:00Z,1000@...`; everybody at once where it
    /// is none.
    pub schedule: Option<&'a str>,
}

impl Site {
    /// Uploads an image and has its deltas made; says what the server has.
    ///
    /// # Errors
    /// The server refuses it.
    pub fn upload(&self, wanted: Wanted<'_>) -> anyhow::Result<Value> {
        let image = arg(wanted.image);
        self.lazaret(&[
            "release",
            "create",
            "--model",
            MODEL,
            "--version",
            wanted.version,
            "--image",
            &image,
        ])
    }

    /// Has two holders sign the release from their own copies; gives the signed file.
    ///
    /// # Errors
    /// The key tool refuses.
    pub fn sign(&self, wanted: Wanted<'_>) -> anyhow::Result<PathBuf> {
        self.sign_with(wanted, &[])
    }

    /// As [`sign`](Self::sign), with more arguments of `payload release`.
    ///
    /// # Errors
    /// The key tool refuses.
    pub fn sign_with(&self, wanted: Wanted<'_>, more: &[&str]) -> anyhow::Result<PathBuf> {
        let signing = self.folder.join("signing");
        std::fs::create_dir_all(&signing)?;
        let metadata = self.keys().join("metadata");
        let previous = metadata.join(format!("{}.rel-{MODEL}.json", wanted.counter - 1));
        let previous = previous.is_file().then(|| arg(&previous));
        let payload = arg(&signing.join(format!("{}.payload", wanted.version)));
        let (image, counter, floor) =
            (arg(wanted.image), wanted.counter.to_string(), wanted.floor.to_string());
        let mut make = vec!["payload", "release", "--model", MODEL, "--version", wanted.version];
        make.extend(["--image", &image, "--counter", &counter, "--floor", &floor]);
        make.extend(["--out", &payload]);
        make.extend(previous.iter().flat_map(|file| ["--previous", file.as_str()]));
        make.extend(wanted.schedule.iter().flat_map(|schedule| ["--schedule", schedule]));
        make.extend(more);
        self.lazaret_keys(&make)?;
        let targets = arg(&metadata.join("1.targets.json"));
        let own = format!("{MODEL}/{}={image}", wanted.version);
        let mut signatures = Vec::new();
        for holder in ["alice", "bob"] {
            let key = arg(&self.keys().join("holders").join(format!("{holder}.key")));
            let out = arg(&signing.join(format!("{}.{holder}.sig", wanted.version)));
            let mut sign = vec!["sign", "--payload", &payload, "--key", &key];
            sign.extend(["--targets", &targets, "--image", &own, "--out", &out]);
            sign.extend(previous.iter().flat_map(|file| ["--previous", file.as_str()]));
            self.lazaret_keys(&sign)?;
            signatures.push(out);
        }
        let out = arg(&metadata);
        let mut assemble = vec!["assemble", "--payload", &payload, "--targets", &targets];
        assemble.extend(signatures.iter().flat_map(|file| ["--sig", file.as_str()]));
        assemble.extend(["--out-dir", &out]);
        self.lazaret_keys(&assemble)?;
        Ok(metadata.join(format!("{}.rel-{MODEL}.json", wanted.counter)))
    }

    /// Publishes a signed file.
    ///
    /// # Errors
    /// The server refuses it.
    pub fn publish(&self, signed: &Path) -> anyhow::Result<Value> {
        self.lazaret(&["release", "publish", "--metadata", &arg(signed)])
    }

    /// Uploads, signs and publishes; gives what the server said of the upload.
    ///
    /// # Errors
    /// One of the steps is refused.
    pub fn release(&self, wanted: Wanted<'_>) -> anyhow::Result<Value> {
        let uploaded = self.upload(wanted).context("upload")?;
        let signed = self.sign(wanted).context("signing")?;
        self.publish(&signed).context("publication")?;
        Ok(uploaded)
    }

    /// Starts a rollout to every device and gives its name.
    ///
    /// # Errors
    /// The server refuses it.
    pub fn roll_out(&self, version: &str, groups: &str, error: u8) -> anyhow::Result<String> {
        let error = error.to_string();
        let mut start = vec!["rollout", "start", "--model", MODEL, "--version", version, "--all"];
        start.extend(["--groups", groups, "--success", "80", "--error", &error]);
        start.extend(["--reason", "harness"]);
        let view = self.lazaret(&start)?;
        let id = view.get("id").and_then(Value::as_str);
        Ok(id.with_context(|| format!("no rollout id in {view}"))?.to_owned())
    }

    /// A rollout as it stands.
    ///
    /// # Errors
    /// There is none.
    pub fn rollout(&self, id: &str) -> anyhow::Result<Value> {
        self.lazaret(&["rollout", "status", id])
    }

    /// All events so far, the oldest first.
    ///
    /// # Errors
    /// The server refuses.
    pub fn events(&self) -> anyhow::Result<Vec<Value>> {
        let page = self.lazaret(&["events", "--limit", "1000000"])?;
        let items = page.get("items").or_else(|| page.get("events")).unwrap_or(&page);
        items.as_array().cloned().with_context(|| format!("no events in {page}"))
    }
}
