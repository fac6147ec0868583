//! `lazaret release export`: a release, its deltas and the metadata that leads to them, in one file
//! for a stick. The metadata is walked with the very client of the devices, so that a bundle which
//! this command makes is one that a device can take.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::{ModelName, VersionName};
use lazaret_protocol::limits::{IMAGE_BYTES_MAX, METADATA_BYTES_MAX};
use lazaret_protocol::offline::{
    BUNDLE_FILES_MAX, BUNDLE_FORMAT, MANIFEST_PATH, METADATA_FOLDER, OfflineFile, OfflineManifest,
    TARGETS_FOLDER,
};
use lazaret_protocol::target::{ANCHORS_TARGET, delta_target, emergency_target, image_target};
use lazaret_protocol::time::Timestamp;
use lazaret_protocol_tuf::{
    Floors, Limits, Machine, Refresh, Stored, Supplied, Target, Trusted, TufError, Want,
};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tar::{Builder, Header};

use crate::client::Client;
use crate::commands::Session;
use crate::durable::{Existing, NewFile};
use crate::output::{self, Output};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The file is a plain tar: lazaret-offline.json, every root, the other metadata that leads to the
release, the trust anchors, the image, and the deltas from the releases of --from. It is written
whole or not at all, and a file that exists is kept.

A device takes it with `lazaret-agent apply FILE`, and checks all of it as if it came from the
server. It is fresh until the first signature lapses, two days for timestamp; after that the person
at the device has to say `--overrule freshness`, and past the expiry of root, targets or release
nobody can.

Example:
  lazaret release export --model gw2 --version 1.4.0 --out gw2-1.4.0.lazaret
  lazaret release export --model gw2 --version 1.4.0 --from 1.3.0 1.3.1 --out stick.lazaret")]
pub(crate) struct Args {
    /// The hardware model
    #[arg(long, value_name = "MODEL")]
    model: ModelName,
    /// The release
    #[arg(long, value_name = "VERSION")]
    version: VersionName,
    /// Take the deltas from these releases along
    #[arg(long, value_name = "BASE", num_args = 1..)]
    from: Vec<VersionName>,
    /// A TUF root that you trust, such as 1.root.json of your ceremony; without it the server's own
    /// first root is believed, and the bundle is judged by devices alone
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Debug, Serialize)]
struct Exported {
    file: PathBuf,
    length: u64,
    #[serde(flatten)]
    manifest: OfflineManifest,
}

pub(super) fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let client = session.client()?;
    let file = NewFile::begin(&args.out, Existing::Keep)?;
    let now = output::now();
    let mut walk = Walk { client: &client, metadata: BTreeMap::new() };
    let chosen = walk.choose(args, now)?;
    let metadata = walk.metadata;
    let wanted = Wanted { args, chosen: &chosen, metadata: &metadata, now };
    let manifest = wanted.manifest();
    anyhow::ensure!(
        manifest.files.len() <= BUNDLE_FILES_MAX,
        "expected at most {BUNDLE_FILES_MAX} files in a bundle, got {}",
        manifest.files.len()
    );
    let file = wanted.write(&manifest, file, &client, session.output)?;
    let length = file.length()?;
    file.finish(&args.out, Existing::Keep)?;
    let exported = Exported { file: args.out.clone(), length, manifest };
    session.output.show(&exported, in_words)
}

/// Walks the repository as a device does, and keeps every file that it was given.
struct Walk<'a> {
    client: &'a Client,
    metadata: BTreeMap<String, Vec<u8>>,
}

/// What goes into the bundle beside metadata.
struct Chosen {
    targets: Vec<Target>,
    deltas_from: Vec<VersionName>,
    fresh_until: Timestamp,
}

impl Walk<'_> {
    fn choose(&mut self, args: &Args, now: Timestamp) -> anyhow::Result<Chosen> {
        let first = self.fetch("1.root.json")?.context("the server has no 1.root.json")?;
        let root = match &args.root {
            Some(path) => {
                std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?
            }
            None => first,
        };
        let (floors, limits) = (Floors::default(), Limits::default());
        let mut refresh = Refresh::begin(Stored::factory(root), floors, now, limits)
            .context("the root cannot be used")?;
        self.drive(&mut refresh)?;
        let mut trusted = refresh.finish().context("the repository is not trusted")?;
        self.older_roots()?;
        let anchors = self.find(&mut trusted, ANCHORS_TARGET)?;
        let anchors = anchors.context("the repository has no trust/anchors")?;
        let name = image_target(&args.model, &args.version);
        let image = self
            .find(&mut trusted, &name)?
            .with_context(|| format!("{} of {} is not published", args.version, args.model))?;
        let mut fresh_until = trusted.expires().min(image.expires).min(anchors.expires);
        let mut targets = vec![anchors, image];
        let emergency = emergency_target(&args.model, &args.version);
        // It says all in its entry, and is empty itself: its metadata is all that a device needs.
        if let Ok(Some(target)) = self.find(&mut trusted, &emergency) {
            fresh_until = fresh_until.min(target.expires);
        }
        let mut deltas_from = Vec::new();
        for base in &args.from {
            let delta = self.find(&mut trusted, &delta_target(&args.model, &args.version, base))?;
            let delta = delta
                .with_context(|| format!("there is no delta from {base} to {}", args.version))?;
            fresh_until = fresh_until.min(delta.expires);
            targets.push(delta);
            deltas_from.push(base.clone());
        }
        Ok(Chosen { targets, deltas_from, fresh_until })
    }

    /// Every root from the first on: a device may hold any of them.
    fn older_roots(&mut self) -> anyhow::Result<()> {
        let newest = self
            .metadata
            .keys()
            .filter_map(|name| name.strip_suffix(".root.json")?.parse::<u64>().ok());
        for version in 1..newest.max().unwrap_or(1) {
            let name = format!("{version}.root.json");
            if !self.metadata.contains_key(&name) {
                self.fetch(&name)?.with_context(|| format!("the server has no {name}"))?;
            }
        }
        Ok(())
    }

    fn find(&mut self, trusted: &mut Trusted, name: &str) -> anyhow::Result<Option<Target>> {
        let mut search = trusted.find(name);
        self.drive(&mut search)?;
        match search.finish() {
            Ok(target) => Ok(Some(target)),
            Err(TufError::TargetNotFound { .. }) => Ok(None),
            Err(err) => Err(err).with_context(|| format!("{name} is not trusted")),
        }
    }

    fn drive(&mut self, machine: &mut dyn Machine) -> anyhow::Result<()> {
        while let Want::File(wanted) = machine.next() {
            let supplied = match self.fetch(&wanted.name)? {
                Some(bytes) => Supplied::Bytes(bytes),
                None => Supplied::Missing,
            };
            machine.supply(supplied).context("the repository is not trusted")?;
        }
        Ok(())
    }

    fn fetch(&mut self, name: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let Some(bytes) = self.client.metadata(name)? else { return Ok(None) };
        anyhow::ensure!(bytes.len() as u64 <= METADATA_BYTES_MAX, "{name} is too large");
        self.metadata.insert(name.to_owned(), bytes.clone());
        Ok(Some(bytes))
    }
}

/// A bundle to be written.
struct Wanted<'a> {
    args: &'a Args,
    chosen: &'a Chosen,
    metadata: &'a BTreeMap<String, Vec<u8>>,
    now: Timestamp,
}

impl Wanted<'_> {
    /// What it holds, in the order in which it is written.
    fn manifest(&self) -> OfflineManifest {
        let metadata = self.metadata.iter().map(|(name, bytes)| OfflineFile {
            path: format!("{METADATA_FOLDER}{name}"),
            length: bytes.len() as u64,
            sha256: Sha256Digest::of(bytes),
        });
        let targets = self.chosen.targets.iter().map(|target| OfflineFile {
            path: format!("{TARGETS_FOLDER}{}", target.wire_path),
            length: target.length,
            sha256: Sha256Digest::from_bytes(target.hashes.sha256.unwrap_or_default()),
        });
        OfflineManifest {
            format: BUNDLE_FORMAT.to_owned(),
            model: self.args.model.clone(),
            version: self.args.version.clone(),
            made: self.now,
            fresh_until: self.chosen.fresh_until,
            deltas_from: self.chosen.deltas_from.clone(),
            files: metadata.chain(targets).collect(),
        }
    }

    fn write(
        &self,
        manifest: &OfflineManifest,
        file: NewFile,
        client: &Client,
        output: Output,
    ) -> anyhow::Result<NewFile> {
        let mut tar = Builder::new(file);
        append(&mut tar, MANIFEST_PATH, &serde_json::to_vec_pretty(manifest)?)?;
        for (name, bytes) in self.metadata {
            append(&mut tar, &format!("{METADATA_FOLDER}{name}"), bytes)?;
        }
        let total = self.chosen.targets.iter().map(|target| target.length).sum();
        let bar = output.bytes_bar("exporting", total);
        for target in &self.chosen.targets {
            let path = format!("{TARGETS_FOLDER}{}", target.wire_path);
            let limit = target.length.min(IMAGE_BYTES_MAX).saturating_add(1);
            let route = format!("/v1/repo/targets/{}", target.wire_path);
            let mut reader = Checked {
                reader: bar.wrap_read(client.open(&route, limit)?).take(target.length),
                hash: Sha256::new(),
                length: 0,
            };
            tar.append_data(&mut header(target.length), &path, &mut reader)
                .with_context(|| format!("{} did not come whole", target.name))?;
            reader.check(target)?;
        }
        bar.finish_and_clear();
        let mut file = tar.into_inner().context("the bundle cannot be written")?;
        file.flush().context("the bundle cannot be written")?;
        Ok(file)
    }
}

/// Hashes what goes through it.
struct Checked<R> {
    reader: R,
    hash: Sha256,
    length: u64,
}

impl<R: std::io::Read> std::io::Read for Checked<R> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let read = self.reader.read(buf)?;
        self.hash.update(buf.get(..read).unwrap_or_default());
        self.length = self.length.saturating_add(read as u64);
        Ok(read)
    }
}

impl<R> Checked<R> {
    fn check(self, target: &Target) -> anyhow::Result<()> {
        let got: [u8; 32] = self.hash.finalize().into();
        anyhow::ensure!(
            self.length == target.length && target.hashes.sha256 == Some(got),
            "{} from the server is not what was signed: expected {} bytes, got {}, with digest {}",
            target.name,
            target.length,
            self.length,
            Sha256Digest::from_bytes(got)
        );
        Ok(())
    }
}

fn header(length: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_size(length);
    header.set_mode(0o644);
    header.set_mtime(0);
    header
}

fn append(tar: &mut Builder<NewFile>, path: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let mut header = header(bytes.len() as u64);
    tar.append_data(&mut header, Path::new(path), bytes)
        .with_context(|| format!("{path} cannot be written"))
}

fn in_words(exported: &Exported) -> String {
    let manifest = &exported.manifest;
    let deltas: Vec<&str> = manifest.deltas_from.iter().map(VersionName::as_str).collect();
    let deltas = if deltas.is_empty() { "none".to_owned() } else { deltas.join(", ") };
    let facts = output::facts(&[
        ("file", output::shown(&exported.file.display().to_string())),
        ("release", format!("{} of {}", manifest.version, manifest.model)),
        ("deltas from", deltas),
        ("files", manifest.files.len().to_string()),
        ("length", format!("{} ({} bytes)", output::bytes(exported.length), exported.length)),
        ("fresh until", manifest.fresh_until.to_string()),
    ]);
    format!("{facts}install it with: lazaret-agent apply --config FILE BUNDLE")
}
