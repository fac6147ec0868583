//! The only door to signed metadata: drives the TUF client of `lazaret-protocol-tuf` over the
//! transport, keeps its files through `durable`, and finds images, deltas and the trust anchors.
//! What does not verify is returned under its attack's name; nothing stored is ever reset in
//! silence.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use lazaret_protocol::anchors::{ANCHORS_BYTES_MAX, Anchors, AnchorsError};
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::{ModelName, VersionName};
use lazaret_protocol::limits::METADATA_BYTES_MAX;
use lazaret_protocol::target::{
    ANCHORS_TARGET, DeltaCustom, ImageCustom, delta_target, image_target,
};
use lazaret_protocol::time::Timestamp;
use lazaret_protocol_tuf::{
    Change, Floors, Limits, Machine, Notice, Refresh, Stored, Supplied, Target, Trusted, TufError,
    Want,
};
use serde::de::DeserializeOwned;

use crate::durable::{self, Access, Durable, DurableError, told};
use crate::transport::{Fetched, Transport, TransportError};

/// Most metadata files that are read back. Ours stores six; the rest is room for rotations of
/// roles.
const FILES_MAX: usize = 64;

/// No answer about the repository's content.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// What was served or stored is not trusted.
    #[error("signed metadata is refused")]
    Tuf(#[from] TufError),
    /// The server could not be asked.
    #[error("signed metadata could not be fetched")]
    Transport(#[from] TransportError),
    /// A file could not be kept or read.
    #[error("signed metadata could not be kept")]
    Durable(#[from] DurableError),
    /// There is no root from the factory.
    #[error("expected the factory's TUF root in {}", path.display())]
    NoRoot {
        /// Where.
        path: PathBuf,
    },
    /// A target's own fields are not what this product writes.
    #[error("target {name} says of itself what cannot be read: {why}")]
    BadCustom {
        /// Its name.
        name: String,
        /// What the parser said.
        why: String,
    },
    /// `trust/anchors` cannot be used.
    #[error("trust anchors cannot be used")]
    Anchors(#[from] AnchorsError),
}

impl VerifyError {
    /// A stable name for logs and reports; none where nothing was refused, only not reached.
    #[must_use]
    pub const fn code(&self) -> Option<&'static str> {
        match self {
            Self::Tuf(err) => Some(err.code()),
            Self::BadCustom { .. } => Some("bad-target"),
            Self::Anchors(_) => Some("bad-anchors"),
            Self::NoRoot { .. } => Some("no-root"),
            Self::Transport(_) | Self::Durable(_) => None,
        }
    }
}

/// What is worth a line in the forensic log beside the outcome.
#[derive(Debug, Default)]
pub struct Findings {
    /// What the client noticed.
    pub notices: Vec<Notice>,
    /// Metadata that was left aside because it does not verify, and was not needed.
    pub set_aside: Vec<TufError>,
    /// The versions that are trusted at the end, for the journal.
    pub floors: Option<Floors>,
}

/// An image that verified metadata lists, and the delta that leads to it.
#[derive(Debug, Clone)]
pub struct Found {
    /// The image.
    pub image: Target,
    /// Its digest.
    pub sha256: Sha256Digest,
    /// What its signers said of it.
    pub custom: ImageCustom,
    /// The delta from what runs, where there is one.
    pub delta: Option<(Target, DeltaCustom)>,
}

/// The repository as this device has it.
#[derive(Debug)]
pub struct Repository {
    folder: PathBuf,
    anchors: PathBuf,
    factory_root: PathBuf,
    durable: Durable,
}

impl Repository {
    /// The repository whose files are below `state_dir`.
    #[must_use]
    pub fn new(state_dir: &Path, factory_root: &Path, durable: Durable) -> Self {
        Self {
            folder: state_dir.join("tuf"),
            anchors: state_dir.join("trust").join("anchors.json"),
            factory_root: factory_root.to_owned(),
            durable,
        }
    }

    /// The trust anchors as they were last verified; none before the first refresh.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn cached_anchors(&self) -> Result<Option<Anchors>, VerifyError> {
        let max = u64::try_from(ANCHORS_BYTES_MAX).unwrap_or(u64::MAX);
        match durable::read(&self.anchors, max)? {
            Some(bytes) => Ok(Some(Anchors::parse(&bytes)?)),
            None => Ok(None),
        }
    }

    /// Brings the top-level metadata up to date at `now`. `findings` is filled in either case.
    ///
    /// # Errors
    /// It could not be fetched, or is not trusted. What was accepted before stays.
    pub fn refresh(
        &self,
        transport: &Transport,
        floors: &Floors,
        now: Timestamp,
        findings: &mut Findings,
    ) -> Result<Trusted, VerifyError> {
        let mut refresh = self.begin(floors, now, findings)?;
        self.pump(&mut refresh, transport, findings)?;
        Ok(refresh.finish()?)
    }

    /// Fetches the trust anchors that `trusted` lists, unless the cached ones are those.
    ///
    /// # Errors
    /// They could not be fetched, or are not trusted.
    pub fn anchors(
        &self,
        transport: &Transport,
        trusted: &mut Trusted,
        findings: &mut Findings,
    ) -> Result<Anchors, VerifyError> {
        let target = self.find(transport, trusted, ANCHORS_TARGET, findings)?;
        let max = u64::try_from(ANCHORS_BYTES_MAX).unwrap_or(u64::MAX);
        if let Ok(Some(bytes)) = durable::read(&self.anchors, max)
            && target.check_bytes(&bytes).is_ok()
        {
            return Ok(Anchors::parse(&bytes)?);
        }
        let mut bytes = Vec::new();
        let most = target.length.min(max).saturating_add(1);
        transport
            .target(&target.wire_path, 0)?
            .take(most)
            .read_to_end(&mut bytes)
            .map_err(told("fetch", &self.anchors))?;
        target.check_bytes(&bytes)?;
        let anchors = Anchors::parse(&bytes)?;
        if let Some(folder) = self.anchors.parent() {
            self.durable.folder(folder)?;
        }
        self.durable.write(&self.anchors, &bytes, Access::Folder, "anchors")?;
        Ok(anchors)
    }

    /// Finds the image of a version, and the delta to it from `base`.
    ///
    /// # Errors
    /// Nobody lists it, or what lists it could not be fetched or is not trusted.
    pub fn image(
        &self,
        transport: &Transport,
        trusted: &mut Trusted,
        wanted: (&ModelName, &VersionName, Option<&VersionName>),
        findings: &mut Findings,
    ) -> Result<Found, VerifyError> {
        let (model, version, base) = wanted;
        let image = self.find(transport, trusted, &image_target(model, version), findings)?;
        let custom: ImageCustom = custom(&image)?;
        let sha256 = image.hashes.sha256.map(Sha256Digest::from_bytes).ok_or_else(|| {
            VerifyError::BadCustom { name: image.name.clone(), why: "it has no SHA-256".into() }
        })?;
        let delta = match base {
            Some(base) => {
                let name = delta_target(model, version, base);
                match self.find(transport, trusted, &name, findings) {
                    Ok(target) => custom_of_delta(target),
                    Err(VerifyError::Tuf(TufError::TargetNotFound { .. })) => None,
                    // Deltas are an encoding and no authority: whatever is wrong with them, the
                    // image stays. That something is wrong is for the log.
                    Err(VerifyError::Tuf(err)) => {
                        findings.set_aside.push(err);
                        None
                    }
                    Err(err) => return Err(err),
                }
            }
            None => None,
        };
        Ok(Found { image, sha256, custom, delta })
    }

    fn find(
        &self,
        transport: &Transport,
        trusted: &mut Trusted,
        name: &str,
        findings: &mut Findings,
    ) -> Result<Target, VerifyError> {
        let mut search = trusted.find(name);
        self.pump(&mut search, transport, findings)?;
        Ok(search.finish()?)
    }

    /// Begins with what is stored. A stored file that does not verify is left aside and said; the
    /// floors of the journal guard in its place. A lost root is replaced by the factory's, from
    /// which the chain of roots must lead at least to the floor's before anything else is accepted.
    fn begin(
        &self,
        floors: &Floors,
        now: Timestamp,
        findings: &mut Findings,
    ) -> Result<Refresh, VerifyError> {
        let mut files = self.files()?;
        if floors.root == 0 && !files.iter().any(|(name, _)| name == "root.json") {
            let root = self.factory_root()?;
            self.apply(Change::Write { file: "root.json".into(), bytes: root.clone() })?;
            files.push(("root.json".into(), root));
        }
        for _ in 0..=FILES_MAX {
            let Some(stored) = Stored::from_files(files.iter().cloned()) else { break };
            let aside = match Refresh::begin(stored, floors.clone(), now, limits()) {
                Ok(refresh) => return Ok(refresh),
                Err(err) => err,
            };
            let file = match &aside {
                TufError::StoredCorrupt { file, .. } => file.clone(),
                TufError::StoredBelowFloor { role, .. } => lazaret_protocol_tuf::local_name(role),
                _ => return Err(aside.into()),
            };
            let before = files.len();
            files.retain(|(name, _)| *name != file);
            findings.set_aside.push(aside);
            if files.len() == before {
                // The file that is blamed is not there: what lists it is.
                files.retain(|(name, _)| name == "root.json");
            }
        }
        let root = self.factory_root()?;
        Ok(Refresh::begin_from_factory_root(root, floors.clone(), now, limits())?)
    }

    /// Gives a machine the files it wants, and carries out its changes, also after it failed.
    fn pump(
        &self,
        machine: &mut dyn Machine,
        transport: &Transport,
        findings: &mut Findings,
    ) -> Result<(), VerifyError> {
        let outcome = self.feed(machine, transport);
        let kept = machine.keep().into_iter().try_for_each(|change| self.apply(change));
        findings.notices.extend(machine.notices());
        if kept.is_ok() {
            // Files first, journal second: see `lazaret_protocol_tuf::Floors`.
            findings.floors = Some(machine.floors());
        }
        outcome.and(kept)
    }

    fn feed(&self, machine: &mut dyn Machine, transport: &Transport) -> Result<(), VerifyError> {
        while let Want::File(wanted) = machine.next() {
            let supplied = match transport.metadata(&wanted.name, wanted.length_max)? {
                Fetched::Bytes(bytes) => Supplied::Bytes(bytes),
                Fetched::Missing => Supplied::Missing,
            };
            machine.supply(supplied)?;
            machine.keep().into_iter().try_for_each(|change| self.apply(change))?;
        }
        Ok(())
    }

    fn apply(&self, change: Change) -> Result<(), VerifyError> {
        self.durable.folder(&self.folder)?;
        let path = self.folder.join(change.file());
        match change {
            Change::Write { bytes, .. } => {
                self.durable.write(&path, &bytes, Access::Folder, "tuf-write")?;
            }
            Change::Delete { .. } => self.durable.delete(&path, "tuf-delete")?,
        }
        Ok(())
    }

    fn files(&self) -> Result<Vec<(String, Vec<u8>)>, VerifyError> {
        let mut files = Vec::new();
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(files),
            Err(err) => return Err(told("read", &self.folder)(err).into()),
        };
        for entry in entries.take(FILES_MAX) {
            let entry = entry.map_err(told("read", &self.folder))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.ends_with(".json") {
                continue;
            }
            if let Some(bytes) = durable::read(&entry.path(), METADATA_BYTES_MAX)? {
                files.push((name, bytes));
            }
        }
        files.sort_unstable();
        Ok(files)
    }

    fn factory_root(&self) -> Result<Vec<u8>, VerifyError> {
        durable::read(&self.factory_root, METADATA_BYTES_MAX)?
            .ok_or_else(|| VerifyError::NoRoot { path: self.factory_root.clone() })
    }
}

fn limits() -> Limits {
    Limits::default()
}

fn custom<T: DeserializeOwned>(target: &Target) -> Result<T, VerifyError> {
    serde_json::from_value(target.custom.clone())
        .map_err(|err| VerifyError::BadCustom { name: target.name.clone(), why: err.to_string() })
}

fn custom_of_delta(target: Target) -> Option<(Target, DeltaCustom)> {
    let custom = custom(&target).ok()?;
    Some((target, custom))
}
