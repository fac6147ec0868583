//! What the trusted metadata says beside the releases themselves: which keys are people's, and when
//! each role expires.

use lazaret_protocol::id::ModelName;
use lazaret_protocol::key::PublicKey;
use lazaret_protocol::time::Timestamp;
use lazaret_repo_keys_signing::metadata::rules::{EmergencyEntry, ImageEntry};
use lazaret_repo_keys_signing::metadata::{Document, Keyring, Metadata};
use lazaret_repo_keys_signing::repository::{
    DELTAS, EMERGENCY, Files, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, Trusted, models, read,
};
use lazaret_repo_keys_signing::{OfflineRole, RoleName};
use tough::schema::{self, RoleType, Root, Snapshot, Targets};

use crate::error::PublishError;

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

/// The signed images of a model, lowest counter first; none where nothing was released yet.
///
/// # Errors
/// The metadata at hand is not what the offline roles signed.
pub fn images(current: &Files, model: &ModelName) -> Result<Vec<ImageEntry>, PublishError> {
    let mut trusted = Trusted::read(current)?;
    Ok(trusted.releases.remove(model).map_or_else(Vec::new, |release| release.images))
}

/// The faster schedules that the emergency role has signed, in order of names.
///
/// # Errors
/// The metadata at hand is not what the offline roles signed.
pub fn emergencies(current: &Files) -> Result<Vec<EmergencyEntry>, PublishError> {
    Ok(Trusted::read(current)?.emergency.map_or_else(Vec::new, |emergency| emergency.entries))
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
        let emergency = Keyring::of_delegation(&targets, &EMERGENCY);
        keys.extend(emergency.into_iter().flat_map(|ring| ring.keys.into_values()));
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
    found.extend(trusted.emergency.iter().map(|role| expiry(&EMERGENCY, &role.document)));
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
