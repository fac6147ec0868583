//! A site with devices and three releases at hand: 1.0, 2.0 that differs a little from it, and 3.0
//! that does not come up. Most stories begin with one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use lazaret_protocol::id::DeviceId;
use lazaret_protocol::poll::LogRing;
use lazaret_protocol_evidence::device_log::epoch::{Epochs, NewEpoch};
use lazaret_protocol_evidence::device_log::record::Record;
use lazaret_protocol_evidence::device_log::recovery::recover;
use lazaret_protocol_evidence::device_log::verify::{Parts, verify};
use lazaret_protocol_evidence::tlog::checkpoint::Checkpoint;
use lazaret_protocol_evidence::tlog::note::SignedNote;
use lazaret_protocol_evidence::tlog::tile::{Tile, WIDTH, read_entries};
use lazaret_protocol_evidence::tlog::tree::{Edge, leaf_hash};
use serde_json::Value;
use tempfile::TempDir;

use crate::image;
use crate::programs::Programs;
use crate::site::release::Wanted;
use crate::site::{Device, MODEL, Site};
use crate::wait;

/// Longest that any one thing is waited for: minutes on a loaded machine, seconds on a quiet one.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A site, its devices, and what they may run.
#[derive(Debug)]
pub struct Fleet {
    /// The devices; they end before their server does.
    pub devices: Vec<Device>,
    /// The site.
    pub site: Site,
    images: Vec<PathBuf>,
    folder: TempDir,
}

/// A release of a fleet, by its number: `Release(2)` is version 2.0 with the release counter 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release(pub usize);

impl Release {
    /// Its version.
    #[must_use]
    pub fn version(self) -> String {
        format!("{}.0", self.0)
    }
}

/// Whom a rollout is for.
#[derive(Debug, Clone, Copy)]
pub enum For<'a> {
    /// Every device.
    All,
    /// These devices.
    These(&'a [String]),
}

impl Fleet {
    /// A site that runs, without devices, and images of about `image_bytes`.
    ///
    /// # Errors
    /// The site does not start.
    pub fn found(image_bytes: usize) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("lazaret-e2e-").tempdir()?;
        let images: Vec<PathBuf> =
            (1..=3).map(|n| folder.path().join(format!("image-{n}"))).collect();
        for (path, version) in images.iter().zip(["1.0", "2.0", "3.0"]) {
            let changed_every = if version == "1.0" { 0 } else { 7 };
            image::write_seeded(path, image_bytes, image::Recipe { version, changed_every })?;
        }
        if let Some(third) = images.last() {
            image::mark_broken(third)?;
        }
        let mut site = Site::found(Programs::beside_this_one()?, &folder.path().join("site"))?;
        site.init()?;
        site.start_server()?;
        Ok(Self { devices: Vec::new(), site, images, folder })
    }

    /// Provisions a device. Its agent does not run yet.
    ///
    /// # Errors
    /// The server refuses it.
    pub fn add(&mut self, id: &str) -> anyhow::Result<()> {
        let device = self.site.provision(id)?;
        self.devices.push(device);
        Ok(())
    }

    /// Publishes 1.0, starts every agent, and waits until all of them run it.
    ///
    /// # Errors
    /// One of them does not.
    pub fn install_first(&mut self) -> anyhow::Result<()> {
        for device in &mut self.devices {
            device.start()?;
        }
        self.publish(Release(1))?;
        self.enrolled()?;
        let rollout = self.roll_out(Release(1), For::All)?;
        self.ended(&rollout, "finished")?;
        self.run(Release(1))
    }

    /// Waits until every device has polled.
    ///
    /// # Errors
    /// One of them does not.
    pub fn enrolled(&self) -> anyhow::Result<()> {
        let many = self.devices.len();
        wait::until("all devices to have enrolled", PATIENCE, || {
            let page = self.site.lazaret(&["device", "list"])?;
            let views = page.get("items").and_then(Value::as_array).into_iter().flatten();
            let polled = |view: &&Value| view.get("polls").and_then(Value::as_u64) > Some(0);
            Ok((views.filter(polled).count() >= many).then_some(()))
        })
        .with_context(|| self.logs())
    }

    /// Uploads, signs and publishes a release; gives what the server said of the upload.
    ///
    /// # Errors
    /// One of the steps is refused.
    pub fn publish(&self, release: Release) -> anyhow::Result<Value> {
        self.publish_from(release, None)
    }

    /// As [`publish`](Self::publish), with a signed schedule.
    ///
    /// # Errors
    /// One of the steps is refused.
    pub fn publish_from(&self, release: Release, schedule: Option<&str>) -> anyhow::Result<Value> {
        let version = release.version();
        let counter = u64::try_from(release.0)?;
        let image = self.image(release)?;
        let wanted = Wanted { version: &version, counter, floor: 0, image, schedule };
        self.site.release(wanted)
    }

    /// As [`publish`](Self::publish), of a release that lets in only devices that run `needs`.
    ///
    /// # Errors
    /// One of the steps is refused.
    pub fn publish_needing(&self, release: Release, needs: Release) -> anyhow::Result<()> {
        let version = release.version();
        let counter = u64::try_from(release.0)?;
        let image = self.image(release)?;
        let wanted = Wanted { version: &version, counter, floor: 0, image, schedule: None };
        self.site.upload(wanted)?;
        let signed = self.site.sign_with(wanted, &["--needs", &needs.0.to_string()])?;
        self.site.publish(&signed)?;
        Ok(())
    }

    /// Starts a rollout in one group that goes on until every device has failed; gives its name.
    ///
    /// # Errors
    /// The server refuses it.
    pub fn roll_out(&self, release: Release, to: For<'_>) -> anyhow::Result<String> {
        let version = release.version();
        let mut start = vec!["rollout", "start", "--model", MODEL, "--version", &version];
        let listed = match to {
            For::All => String::new(),
            For::These(ids) => ids.join(","),
        };
        match to {
            For::All => start.push("--all"),
            For::These(_) => start.extend(["--devices", &listed]),
        }
        start.extend(["--groups", "1000", "--success", "1", "--error", "100"]);
        start.extend(["--reason", "harness"]);
        let view = self.site.lazaret(&start)?;
        let id = view.get("id").and_then(Value::as_str);
        Ok(id.with_context(|| format!("no rollout id in {view}"))?.to_owned())
    }

    /// Waits until a rollout is over, and insists on how; gives its view.
    ///
    /// # Errors
    /// It does not end, or in another way.
    pub fn ended(&self, rollout: &str, state: &str) -> anyhow::Result<Value> {
        wait::until(&format!("{rollout} to be {state}"), PATIENCE, || {
            let view = self.site.rollout(rollout)?;
            over(&view, state)
        })
        .with_context(|| self.logs())
    }

    /// The image of a release.
    ///
    /// # Errors
    /// There is no such release.
    pub fn image(&self, release: Release) -> anyhow::Result<&Path> {
        let path = self.images.get(release.0.saturating_sub(1));
        path.map(PathBuf::as_path).with_context(|| format!("there is no {release:?}"))
    }

    /// Insists that every device runs exactly this release's image.
    ///
    /// # Errors
    /// One of them does not.
    pub fn run(&self, release: Release) -> anyhow::Result<()> {
        let image = self.image(release)?;
        for device in &self.devices {
            ensure!(device.runs(image)?, "{} does not run {release:?}", device.id);
        }
        Ok(())
    }

    /// How the orders of a rollout ended, in the order of the event log: device, outcome, and bytes
    /// that were fetched.
    ///
    /// # Errors
    /// The server refuses.
    pub fn order_ends(&self, rollout: &str) -> anyhow::Result<Vec<OrderEnd>> {
        let events = self.site.events()?;
        let facts = events.iter().filter_map(|event| event.get("event"));
        Ok(facts
            .filter(|fact| is(fact, "event", "order-ended") && is(fact, "rollout", rollout))
            .map(|fact| OrderEnd {
                device: text(fact, "/device"),
                outcome: text(fact, "/outcome/outcome"),
                code: text(fact, "/outcome/code"),
                bytes_fetched: fact.get("bytes_fetched").and_then(Value::as_u64).unwrap_or(0),
            })
            .collect())
    }

    /// How often an event of this kind about this device is in the event log.
    ///
    /// # Errors
    /// The server refuses.
    pub fn events_of(&self, kind: &str, device: &str) -> anyhow::Result<usize> {
        let events = self.site.events()?;
        let facts = events.iter().filter_map(|event| event.get("event"));
        Ok(facts.filter(|fact| is(fact, "event", kind) && is(fact, "device", device)).count())
    }

    /// The folder of everything.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// How the agents' logs end, for errors.
    #[must_use]
    pub fn logs(&self) -> String {
        let tail =
            |device: &Device| format!("{}:\n{}", device.id, device.log_tail().unwrap_or_default());
        // Those that are not idle are the ones that were waited for.
        let busy = self
            .devices
            .iter()
            .filter(|device| device.status().map_or(true, |status| !is(&status, "state", "idle")));
        busy.take(5).map(tail).collect::<Vec<_>>().join("\n")
    }
}

/// How an order ended on a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderEnd {
    /// The device.
    pub device: String,
    /// `done`, `failed`, `refused` or `expired`.
    pub outcome: String,
    /// The stable code of a failure or refusal, empty otherwise.
    pub code: String,
    /// Bytes that the device fetched for it.
    pub bytes_fetched: u64,
}

/// The view of a rollout once it is over; an error where it ended in another state than `state`.
///
/// # Errors
/// It is over in another way.
pub fn over(view: &Value, state: &str) -> anyhow::Result<Option<Value>> {
    let over = is(view, "state", "finished") || is(view, "state", "halted");
    ensure!(!over || is(view, "state", state), "expected the rollout to be {state}: {view}");
    Ok(over.then(|| view.clone()))
}

/// One of the counts of a rollout, over all of its groups.
#[must_use]
pub fn count(view: &Value, name: &str) -> u64 {
    let groups = view.get("groups").and_then(Value::as_array).into_iter().flatten();
    groups.filter_map(|group| group.get(name)?.as_u64()).sum()
}

/// Whether a field of an object is this text.
#[must_use]
pub fn is(object: &Value, field: &str, text: &str) -> bool {
    object.get(field).and_then(Value::as_str) == Some(text)
}

fn text(fact: &Value, pointer: &str) -> String {
    fact.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

impl Device {
    /// Whether exactly this image runs.
    ///
    /// # Errors
    /// One of the two cannot be read.
    pub fn runs(&self, image: &Path) -> anyhow::Result<bool> {
        let path = self.running_image();
        let running =
            std::fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        Ok(running == std::fs::read(image)?)
    }

    /// Puts a line into the settings, before everything else.
    ///
    /// # Errors
    /// The settings cannot be written.
    pub fn set(&self, line: &str) -> anyhow::Result<()> {
        let path = self.folder.join("agent.toml");
        let name = line.split_once('=').map_or(line, |(name, _)| name.trim());
        let text = std::fs::read_to_string(&path)?;
        let others = text.lines().filter(|other| !other.starts_with(&format!("{name} =")));
        let text: Vec<&str> = std::iter::once(line).chain(others).collect();
        let mut file = std::fs::File::create(&path)?;
        Ok(std::io::Write::write_all(&mut file, text.join("\n").as_bytes())?)
    }

    /// Whether nothing is under way and nothing waits to be reported, by its journal.
    ///
    /// # Errors
    /// It has no journal.
    pub fn is_settled(&self) -> anyhow::Result<bool> {
        let status = self.status()?;
        let reports = status.pointer("/journal/reports").and_then(Value::as_array);
        Ok(reports.is_some_and(Vec::is_empty) && is(&status, "state", "idle"))
    }

    /// The records of the forensic log so far, each as a line of JSON, in the order in which they
    /// happened; a torn end is left out.
    ///
    /// # Errors
    /// There is no log.
    pub fn forensic_lines(&self) -> anyhow::Result<Vec<String>> {
        let mut records = Vec::new();
        for ring in LogRing::ALL {
            records.extend(read_ring(&self.ring(ring))?.1);
        }
        records.sort_by_key(|record| (record.boot, record.monotonic));
        let line = |record: &Record| {
            let kind = &record.kind;
            serde_json::json!({ "kind": kind, "detail": record.detail }).to_string()
        };
        Ok(records.iter().map(line).collect())
    }

    /// Kinds of the forensic log's records, after both rings were verified from the first record to
    /// the last that is sealed. The agent must not run.
    ///
    /// # Errors
    /// A ring does not hold.
    pub fn verified_log(&self) -> anyhow::Result<Vec<String>> {
        let id: DeviceId = self.id.parse().map_err(|err| anyhow::anyhow!("{err:?}"))?;
        let mut kinds = Vec::new();
        for ring in LogRing::ALL {
            let folder = self.ring(ring);
            let (entries, records) = read_ring(&folder)?;
            verify_ring(&folder, &ring.origin(&id), &entries, &records)
                .with_context(|| format!("{} log of {}", ring.as_str(), self.id))?;
            kinds.extend(records.iter().map(|record| record.kind.to_string()));
        }
        Ok(kinds)
    }

    fn ring(&self, ring: LogRing) -> PathBuf {
        self.folder.join("state").join("log").join(ring.as_str())
    }
}

/// The entries and records of a ring that was never pruned.
fn read_ring(folder: &Path) -> anyhow::Result<(Vec<Vec<u8>>, Vec<Record>)> {
    let (mut entries, mut records) = (Vec::new(), Vec::new());
    for index in 0.. {
        let tile = Tile::bundle(index, WIDTH).context("a bundle has a name")?;
        let Ok(bytes) = std::fs::read(folder.join(tile.to_string())) else { break };
        let recovered = recover(&bytes, index * 256);
        let whole = bytes.get(..recovered.good_length).unwrap_or_default();
        entries.extend(read_entries(whole)?.into_iter().map(<[u8]>::to_vec));
        records.extend(recovered.records);
    }
    ensure!(!records.is_empty(), "there is no log in {}", folder.display());
    Ok((entries, records))
}

/// Proves what is sealed, from the first epoch on, which has to be that of the first record; that
/// it is the device's own is proved with its bundles.
fn verify_ring(
    folder: &Path,
    origin: &str,
    entries: &[Vec<u8>],
    records: &[Record],
) -> anyhow::Result<()> {
    let seal = SignedNote::parse(&std::fs::read_to_string(folder.join("checkpoint"))?)?;
    let sealed: Checkpoint = seal.text().parse()?;
    let size = usize::try_from(sealed.size)?;
    let first = records.first().context("a first record")?;
    let epoch = NewEpoch::of(origin, first)?;
    let mut before = Edge::new();
    let (one, rest) = entries.get(..size).context("fewer entries than sealed")?.split_at(1);
    for entry in one {
        before.push(leaf_hash(entry))?;
    }
    verify(&Parts {
        before,
        epochs: Epochs::after(origin, epoch.number, epoch.public),
        entries: rest.iter().map(Vec::as_slice).collect(),
        seal: &seal,
        origin,
        witnessed: None,
    })?;
    Ok(())
}
