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
    ANCHORS_TARGET, DeltaCustom, EmergencyCustom, ImageCustom, delta_target, emergency_target,
    image_target,
};
use lazaret_protocol::time::Timestamp;
use lazaret_protocol_tuf::{
    Change, Floors, Limits, Machine, Notice, Refresh, Stored, Supplied, Target, Trusted, TufError,
    Want,
};
use serde::de::DeserializeOwned;

use crate::cli::chain;
use crate::durable::{self, Access, Durable, DurableError, told};
use crate::source::{Fetched, Source};
use crate::transport::TransportError;

/// Most metadata files that are read back. Ours stores six; the rest is room for rotations of
/// roles.
const FILES_MAX: usize = 64;

/// The file of the trust anchors, below the state folder.
const ANCHORS_FILE: &str = "trust/anchors.json";

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
    /// What is stored on this device cannot be used, and is not.
    #[error("stored {file} is refused: {why}")]
    StoredRefused {
        /// Its name below the state folder.
        file: String,
        /// What is wrong with it.
        why: String,
    },
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
            Self::StoredRefused { .. } => Some("stored-refused"),
            Self::Transport(err) => err.code(),
            Self::Durable(_) => None,
        }
    }

    /// Whether trusted metadata say that there is no such target: nobody lists it, or whoever might
    /// has never signed anything.
    fn says_that_there_is_none(&self) -> bool {
        match self {
            Self::Tuf(TufError::TargetNotFound { .. }) => true,
            Self::Tuf(TufError::RoleUnverified { source, .. }) => {
                matches!(**source, TufError::NotInSnapshot { .. })
            }
            _ => false,
        }
    }

    /// Whether the source is behind what this device has seen already: a stale mirror, or an attack
    /// where it persists.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        let role = match self {
            Self::Tuf(TufError::Rollback { role, .. }) => role,
            _ => return false,
        };
        role == "timestamp" || role == "snapshot"
    }
}

/// What is worth a line in the forensic log beside the outcome.
#[derive(Debug, Default)]
pub struct Findings {
    /// What the client noticed.
    pub notices: Vec<Notice>,
    /// What was left aside because it does not verify, and was not needed.
    pub set_aside: Vec<VerifyError>,
    /// The versions that are trusted at the end, for the journal.
    pub floors: Option<Floors>,
    /// When the first of them expires, after a refresh that came to its end.
    pub expires: Option<Timestamp>,
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
    /// The faster schedule of the incident team; looked for where the image's own leaves this
    /// device waiting.
    pub emergency: Option<EmergencyCustom>,
}

/// The repository as this device has it.
#[derive(Debug)]
pub struct Repository {
    folder: PathBuf,
    anchors: PathBuf,
    factory_root: PathBuf,
    durable: Durable,
    keeping: Keeping,
}

/// Whether what is found stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeping {
    /// It does.
    Kept,
    /// Nothing is written: it is a rehearsal.
    Rehearsed,
}

impl Repository {
    /// The repository whose files are below `state_dir`.
    #[must_use]
    pub fn new(state_dir: &Path, factory_root: &Path, durable: Durable) -> Self {
        Self {
            folder: state_dir.join("tuf"),
            anchors: state_dir.join(ANCHORS_FILE),
            factory_root: factory_root.to_owned(),
            durable,
            keeping: Keeping::Kept,
        }
    }

    /// The same repository, in which nothing is written.
    #[must_use]
    pub fn rehearsed(self) -> Self {
        Self { keeping: Keeping::Rehearsed, ..self }
    }

    /// The trust anchors as they were last verified; none before the first refresh, and none where
    /// the file cannot be used: that is said in `findings`, and they are fetched anew.
    pub fn cached_anchors(&self, findings: &mut Findings) -> Option<Anchors> {
        let max = u64::try_from(ANCHORS_BYTES_MAX).unwrap_or(u64::MAX);
        let refused = |why: String| VerifyError::StoredRefused { file: ANCHORS_FILE.into(), why };
        let anchors = match durable::read(&self.anchors, max) {
            Ok(None) => return None,
            Ok(Some(bytes)) => Anchors::parse(&bytes).map_err(|err| refused(chain(&err))),
            Err(err) => Err(refused(chain(&err))),
        };
        anchors.map_err(|err| findings.set_aside.push(err)).ok()
    }

    /// Brings the top-level metadata up to date at `now`. `findings` is filled in either case.
    ///
    /// # Errors
    /// It could not be fetched, or is not trusted. What was accepted before stays.
    pub fn refresh(
        &self,
        source: &Source,
        floors: &Floors,
        now: Timestamp,
        findings: &mut Findings,
    ) -> Result<Trusted, VerifyError> {
        let mut refresh = self.begin(floors, now, findings)?;
        self.pump(&mut refresh, source, findings)?;
        let trusted = refresh.finish()?;
        findings.expires = Some(trusted.expires());
        Ok(trusted)
    }

    /// Fetches the trust anchors that `trusted` lists, unless the cached ones are those.
    ///
    /// # Errors
    /// They could not be fetched, or are not trusted.
    pub fn anchors(
        &self,
        source: &Source,
        trusted: &mut Trusted,
        findings: &mut Findings,
    ) -> Result<Anchors, VerifyError> {
        let target = self.find(source, trusted, ANCHORS_TARGET, findings)?;
        let max = u64::try_from(ANCHORS_BYTES_MAX).unwrap_or(u64::MAX);
        if let Ok(Some(bytes)) = durable::read(&self.anchors, max)
            && target.check_bytes(&bytes).is_ok()
        {
            return Ok(Anchors::parse(&bytes)?);
        }
        if target.length > max {
            let (file, got) = (target.name, target.length);
            return Err(TufError::TooLarge { file, max, got }.into());
        }
        let mut bytes = Vec::new();
        source
            .target(&target.wire_path, 0, target.length)?
            .read_to_end(&mut bytes)
            .map_err(|err| TransportError::unreadable("the trust anchors", err))?;
        target.check_bytes(&bytes)?;
        let anchors = Anchors::parse(&bytes)?;
        if self.keeping == Keeping::Rehearsed {
            return Ok(anchors);
        }
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
        source: &Source,
        trusted: &mut Trusted,
        wanted: (&ModelName, &VersionName, Option<&VersionName>),
        findings: &mut Findings,
    ) -> Result<Found, VerifyError> {
        let (model, version, base) = wanted;
        let image = self.find(source, trusted, &image_target(model, version), findings)?;
        let custom: ImageCustom = custom(&image)?;
        let sha256 = image.hashes.sha256.map(Sha256Digest::from_bytes).ok_or_else(|| {
            VerifyError::BadCustom { name: image.name.clone(), why: "it has no SHA-256".into() }
        })?;
        let delta = match base {
            Some(base) => {
                let name = delta_target(model, version, base);
                match self.find(source, trusted, &name, findings) {
                    Ok(target) => custom_of_delta(target),
                    Err(err) if err.says_that_there_is_none() => None,
                    // Deltas are an encoding and no authority: whatever is wrong with them, the
                    // image stays. That something is wrong is for the log.
                    Err(VerifyError::Tuf(err)) => {
                        findings.set_aside.push(err.into());
                        None
                    }
                    Err(err) => return Err(err),
                }
            }
            None => None,
        };
        Ok(Found { image, sha256, custom, delta, emergency: None })
    }

    /// The faster schedule that the incident team has signed for a version, where there is one.
    /// Whatever is wrong with it, the image and its own schedule stay; that something is wrong is
    /// for the log.
    ///
    /// # Errors
    /// It could not be fetched.
    pub fn emergency(
        &self,
        source: &Source,
        trusted: &mut Trusted,
        (model, version): (&ModelName, &VersionName),
        findings: &mut Findings,
    ) -> Result<Option<EmergencyCustom>, VerifyError> {
        let found = self.find(source, trusted, &emergency_target(model, version), findings);
        match found.and_then(|target| custom(&target)) {
            Ok(emergency) => Ok(Some(emergency)),
            Err(err) if err.says_that_there_is_none() => Ok(None),
            Err(err @ (VerifyError::Tuf(_) | VerifyError::BadCustom { .. })) => {
                findings.set_aside.push(err);
                Ok(None)
            }
            Err(err) => Err(err),
        }
    }

    fn find(
        &self,
        source: &Source,
        trusted: &mut Trusted,
        name: &str,
        findings: &mut Findings,
    ) -> Result<Target, VerifyError> {
        let mut search = trusted.find(name);
        self.pump(&mut search, source, findings)?;
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
        let mut files = self.files(findings)?;
        if !files.iter().any(|(name, _)| name == "root.json") {
            if floors.root == 0 {
                let root = self.factory_root()?;
                self.apply(Change::Write { file: "root.json".into(), bytes: root.clone() })?;
                files.push(("root.json".into(), root));
            } else {
                let why = format!("it is gone, and version {} was trusted", floors.root);
                findings.set_aside.push(refused("root.json", why));
            }
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
            findings.set_aside.push(aside.into());
            if files.len() == before {
                // The file that is blamed is not there: what lists it is.
                files.retain(|(name, _)| name == "root.json");
            }
        }
        let root = self.factory_root()?;
        // A whole file in place of a bad one. It lowers nothing: below the floor it is refused like
        // any other, and the chain of roots begins with it either way.
        self.apply(Change::Write { file: "root.json".into(), bytes: root.clone() })?;
        Ok(Refresh::begin_from_factory_root(root, floors.clone(), now, limits())?)
    }

    /// Gives a machine the files it wants, and carries out its changes, also after it failed.
    fn pump(
        &self,
        machine: &mut dyn Machine,
        source: &Source,
        findings: &mut Findings,
    ) -> Result<(), VerifyError> {
        let outcome = self.feed(machine, source);
        let kept = machine.keep().into_iter().try_for_each(|change| self.apply(change));
        findings.notices.extend(machine.notices());
        if kept.is_ok() {
            // Files first, journal second: see `lazaret_protocol_tuf::Floors`.
            findings.floors = Some(machine.floors());
        }
        outcome.and(kept)
    }

    fn feed(&self, machine: &mut dyn Machine, source: &Source) -> Result<(), VerifyError> {
        while let Want::File(wanted) = machine.next() {
            let supplied = match source.metadata(&wanted.name, wanted.length_max)? {
                Fetched::Bytes(bytes) => Supplied::Bytes(bytes),
                Fetched::Missing => Supplied::Missing,
            };
            machine.supply(supplied)?;
            machine.keep().into_iter().try_for_each(|change| self.apply(change))?;
        }
        Ok(())
    }

    fn apply(&self, change: Change) -> Result<(), VerifyError> {
        if self.keeping == Keeping::Rehearsed {
            return Ok(());
        }
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

    /// What is stored. A file that cannot be read is refused by its name, and is as good as gone:
    /// the floors guard in its place, and it is fetched anew.
    fn files(&self, findings: &mut Findings) -> Result<Vec<(String, Vec<u8>)>, VerifyError> {
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
            match durable::read(&entry.path(), METADATA_BYTES_MAX) {
                Ok(Some(bytes)) => files.push((name, bytes)),
                Ok(None) => {}
                Err(err) => findings.set_aside.push(refused(&name, chain(&err))),
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

fn refused(file: &str, why: String) -> VerifyError {
    VerifyError::StoredRefused { file: format!("tuf/{file}"), why }
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
