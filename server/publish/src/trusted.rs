//! The offline roles as they are trusted: root by its own threshold and the root before it, targets
//! by root, releases by targets. Online roles are read here too, and believed only where their keys
//! are still the ones that are listed.

use std::collections::BTreeMap;

use lazaret_protocol::id::ModelName;
use lazaret_protocol::key::PublicKey;
use lazaret_protocol::time::Timestamp;
use lazaret_repo_keys_signing::metadata::rules::{self, ImageEntry};
use lazaret_repo_keys_signing::metadata::{Document, Keyring, Metadata};
use lazaret_repo_keys_signing::{OfflineRole, OnlineRole, RoleName};
use tough::schema::{self, RoleType, Root, Snapshot, Targets};

use crate::error::PublishError;
use crate::files::Files;

pub(crate) const ROOT: RoleName = RoleName::Offline(OfflineRole::Root);
pub(crate) const TARGETS: RoleName = RoleName::Offline(OfflineRole::Targets);
pub(crate) const DELTAS: RoleName = RoleName::Online(OnlineRole::Deltas);
pub(crate) const SNAPSHOT: RoleName = RoleName::Online(OnlineRole::Snapshot);
pub(crate) const TIMESTAMP: RoleName = RoleName::Online(OnlineRole::Timestamp);

/// A release role and the images it lists.
#[derive(Debug)]
pub(crate) struct Release {
    pub(crate) document: Document<Targets>,
    pub(crate) images: Vec<ImageEntry>,
}

/// The offline roles, each checked against what lists its keys.
#[derive(Debug)]
pub(crate) struct Trusted {
    pub(crate) root: Document<Root>,
    pub(crate) targets: Document<Targets>,
    pub(crate) releases: BTreeMap<ModelName, Release>,
}

impl Trusted {
    /// Reads and checks the latest of every offline role. Expiry is not looked at.
    pub(crate) fn read(files: &Files) -> Result<Self, PublishError> {
        let root = read_root(files)?;
        let targets = read_targets(files, &root)?;
        let mut releases = BTreeMap::new();
        for model in models(&targets.signed) {
            let role = RoleName::Offline(OfflineRole::Release(model.clone()));
            // A model that nothing was released for yet has no file, and that is as it should be.
            let Some(bytes) = files.latest(&role) else {
                continue;
            };
            let document = Document::<Targets>::parse(bytes)?;
            Keyring::of_delegation(&targets.signed, &role)?.check(&document)?;
            let images = rules::check_release(&document.signed, &model)?;
            releases.insert(model, Release { document, images });
        }
        Ok(Self { root, targets, releases })
    }

    /// The keys of a role.
    pub(crate) fn keyring(&self, role: &RoleName) -> Result<Keyring, PublishError> {
        Ok(Keyring::of(role, &self.root.signed, &self.targets.signed)?)
    }

    /// Whether targets delegates to `deltas`.
    pub(crate) fn has_deltas(&self) -> bool {
        self.keyring(&DELTAS).is_ok()
    }
}

/// The latest root, checked by its own threshold.
pub(crate) fn read_root(files: &Files) -> Result<Document<Root>, PublishError> {
    let root: Document<Root> = read(files, &ROOT)?.ok_or_else(|| missing(&ROOT))?;
    Keyring::of_root(&root.signed, RoleType::Root)?.check(&root)?;
    rules::check_root(&root.signed)?;
    Ok(root)
}

/// The latest targets, checked by root.
pub(crate) fn read_targets(
    files: &Files,
    root: &Document<Root>,
) -> Result<Document<Targets>, PublishError> {
    let targets: Document<Targets> = read(files, &TARGETS)?.ok_or_else(|| missing(&TARGETS))?;
    Keyring::of_root(&root.signed, RoleType::Targets)?.check(&targets)?;
    rules::check_targets(&targets.signed)?;
    Ok(targets)
}

/// The latest of a role, parsed and not checked.
pub(crate) fn read<T: Metadata>(
    files: &Files,
    role: &RoleName,
) -> Result<Option<Document<T>>, PublishError> {
    Ok(files.latest(role).map(Document::parse).transpose()?)
}

pub(crate) fn missing(role: &RoleName) -> PublishError {
    PublishError::Missing { role: role.to_string() }
}

/// Refuses what has expired (TUF 5.3.10 and its kin).
pub(crate) fn check_fresh<T: Metadata>(
    role: &RoleName,
    document: &Document<T>,
    now: Timestamp,
) -> Result<(), PublishError> {
    let expires = document.expires();
    if expires > now {
        return Ok(());
    }
    Err(PublishError::Expired { role: role.to_string(), version: document.version(), expires })
}

/// The models that targets delegates to.
fn models(targets: &Targets) -> Vec<ModelName> {
    let roles = targets.delegations.as_ref().map_or(&[][..], |listed| &listed.roles);
    let model = |role: &schema::DelegatedRole| match role.name.parse() {
        Ok(RoleName::Offline(OfflineRole::Release(model))) => Some(model),
        _ => None,
    };
    roles.iter().filter_map(model).collect()
}

/// The signed images of a model, lowest counter first; none where nothing was released yet.
///
/// # Errors
/// The metadata at hand is not what the offline roles signed.
pub fn images(current: &Files, model: &ModelName) -> Result<Vec<ImageEntry>, PublishError> {
    let mut trusted = Trusted::read(current)?;
    Ok(trusted.releases.remove(model).map_or_else(Vec::new, |release| release.images))
}

/// Every key of an offline role that any root or targets at hand lists: what
/// `OnlineKeys::refuse_offline` holds the server's own keys against.
///
/// # Errors
/// A root or targets file cannot be read.
pub fn offline_keys(files: &Files) -> Result<Vec<PublicKey>, PublishError> {
    let mut keys = Vec::new();
    for bytes in files.versions(&ROOT).into_values() {
        let root = Document::<Root>::parse(bytes)?;
        for role in [RoleType::Root, RoleType::Targets] {
            keys.extend(Keyring::of_root(&root.signed, role)?.keys.into_values());
        }
    }
    for bytes in files.versions(&TARGETS).into_values() {
        let targets = Document::<Targets>::parse(bytes)?.signed;
        for model in models(&targets) {
            let role = RoleName::Offline(OfflineRole::Release(model));
            keys.extend(Keyring::of_delegation(&targets, &role)?.keys.into_values());
        }
    }
    Ok(keys)
}

/// When a role expires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    /// The role.
    pub role: String,
    /// Its version.
    pub version: u64,
    /// When.
    pub expires: Timestamp,
}

/// When each role at hand expires, soonest first, so that somebody is told in time.
///
/// # Errors
/// A file cannot be read.
pub fn expiries(files: &Files) -> Result<Vec<Expiry>, PublishError> {
    let trusted = Trusted::read(files)?;
    let mut found = vec![expiry(&ROOT, &trusted.root), expiry(&TARGETS, &trusted.targets)];
    for (model, release) in &trusted.releases {
        let role = RoleName::Offline(OfflineRole::Release(model.clone()));
        found.push(expiry(&role, &release.document));
    }
    found.extend(read::<Targets>(files, &DELTAS)?.map(|document| expiry(&DELTAS, &document)));
    found.extend(read::<Snapshot>(files, &SNAPSHOT)?.map(|document| expiry(&SNAPSHOT, &document)));
    let timestamp = read::<schema::Timestamp>(files, &TIMESTAMP)?;
    found.extend(timestamp.map(|document| expiry(&TIMESTAMP, &document)));
    found.sort_by_key(|expiry| expiry.expires);
    Ok(found)
}

fn expiry<T: Metadata>(role: &RoleName, document: &Document<T>) -> Expiry {
    let (version, expires) = (document.version(), document.expires());
    Expiry { role: role.to_string(), version, expires }
}
