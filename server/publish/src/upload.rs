//! Taking in what a ceremony signed. Everything is checked as a device would check it, and more:
//! what is taken in becomes the repository.

use lazaret_protocol::id::ModelName;
use lazaret_protocol::time::Timestamp;
use lazaret_repo_keys_signing::metadata::rules::{self, ImageEntry};
use lazaret_repo_keys_signing::metadata::{Document, Keyring, Metadata};
use lazaret_repo_keys_signing::repository::{
    EMERGENCY, Files, ROOT, TARGETS, Trusted, read, read_root, read_targets,
};
use lazaret_repo_keys_signing::{FileName, OfflineRole, RoleName};
use tough::schema::{RoleType, Root, Targets};

use crate::error::PublishError;
use crate::trusted::check_fresh;

/// Checks one signed file of an offline role against what is served now. Where several come
/// together, `current` has those before it: root, then targets, then releases, then emergency.
///
/// # Errors
/// The name, version, signatures, expiry or content is not as it should be.
pub fn check_upload(
    current: &Files,
    name: &str,
    bytes: &[u8],
    now: Timestamp,
) -> Result<(), PublishError> {
    let FileName::Versioned { role, version } = name.parse()? else {
        return Err(PublishError::OnlineRole { role: "timestamp".to_owned() });
    };
    match &role {
        RoleName::Online(online) => {
            Err(PublishError::OnlineRole { role: online.as_str().to_owned() })
        }
        RoleName::Offline(OfflineRole::Root) => check_root(current, version, bytes, now),
        RoleName::Offline(OfflineRole::Targets) => check_targets(current, version, bytes, now),
        RoleName::Offline(OfflineRole::Release(model)) => {
            check_release(current, (model, version), bytes, now)
        }
        RoleName::Offline(OfflineRole::Emergency) => check_emergency(current, version, bytes, now),
    }
}

/// TUF 5.3: a new root needs its own threshold and that of the root before it.
fn check_root(
    current: &Files,
    version: u64,
    bytes: &[u8],
    now: Timestamp,
) -> Result<(), PublishError> {
    let root = Document::<Root>::parse(bytes)?;
    let last = match current.latest(&ROOT) {
        Some(_) => Some(read_root(current)?),
        None => None,
    };
    check_version(&ROOT, last.as_ref().map_or(0, Document::version), (version, &root))?;
    if let Some(last) = &last {
        Keyring::of_root(&last.signed, RoleType::Root)?.check(&root)?;
    }
    Keyring::of_root(&root.signed, RoleType::Root)?.check(&root)?;
    rules::check_root(&root.signed)?;
    check_fresh(&ROOT, &root, now)
}

fn check_targets(
    current: &Files,
    version: u64,
    bytes: &[u8],
    now: Timestamp,
) -> Result<(), PublishError> {
    let root = read_root(current)?;
    let targets = Document::<Targets>::parse(bytes)?;
    let last = read::<Targets>(current, &TARGETS)?.map_or(0, |last| last.version());
    check_version(&TARGETS, last, (version, &targets))?;
    Keyring::of_root(&root.signed, RoleType::Targets)?.check(&targets)?;
    rules::check_targets(&targets.signed)?;
    check_fresh(&TARGETS, &targets, now)
}

fn check_release(
    current: &Files,
    name: (&ModelName, u64),
    bytes: &[u8],
    now: Timestamp,
) -> Result<(), PublishError> {
    let (model, version) = name;
    let role = RoleName::Offline(OfflineRole::Release(model.clone()));
    let targets = read_targets(current, &read_root(current)?)?;
    let ring = Keyring::of_delegation(&targets.signed, &role)?;
    let release = Document::<Targets>::parse(bytes)?;
    let last = read::<Targets>(current, &role)?;
    check_version(&role, last.as_ref().map_or(0, Document::version), (version, &release))?;
    ring.check(&release)?;
    let images = rules::check_release(&release.signed, model)?;
    if let Some(last) = &last {
        check_follows(&role, &rules::check_release(&last.signed, model)?, &images)?;
    }
    check_fresh(&role, &release, now)
}

/// The emergency role: only faster schedules, and only for images that are signed at present. What
/// was taken in before stays, whether its image is still listed or not: for no image it is nothing.
fn check_emergency(
    current: &Files,
    version: u64,
    bytes: &[u8],
    now: Timestamp,
) -> Result<(), PublishError> {
    let targets = read_targets(current, &read_root(current)?)?;
    let ring = Keyring::of_delegation(&targets.signed, &EMERGENCY)?;
    let emergency = Document::<Targets>::parse(bytes)?;
    let last = read::<Targets>(current, &EMERGENCY)?;
    check_version(&EMERGENCY, last.as_ref().map_or(0, Document::version), (version, &emergency))?;
    ring.check(&emergency)?;
    let before = match &last {
        Some(last) => rules::check_emergency(&last.signed)?,
        None => Vec::new(),
    };
    let trusted = Trusted::read(current)?;
    for entry in rules::check_emergency(&emergency.signed)? {
        if before.contains(&entry) {
            continue;
        }
        let images = trusted.releases.get(&entry.model).map_or(&[][..], |release| &release.images);
        rules::check_emergency_image(&entry, images)?;
    }
    check_fresh(&EMERGENCY, &emergency, now)
}

/// A version name keeps its image for ever, and a new image has a counter above all that were: both
/// are what "newer" rests on, and devices remember them.
fn check_follows(
    role: &RoleName,
    before: &[ImageEntry],
    after: &[ImageEntry],
) -> Result<(), PublishError> {
    let refuse = |what: String| PublishError::OutOfScope { role: role.to_string(), what };
    let highest = before.iter().map(|image| image.custom.counter).max().unwrap_or(0);
    for image in after {
        let same_name = before.iter().find(|old| old.version == image.version);
        match same_name {
            Some(old) if old.sha256 != image.sha256 || old.length != image.length => {
                return Err(refuse(format!("another image under the version {}", image.version)));
            }
            Some(old) if old.custom.counter != image.custom.counter => {
                return Err(refuse(format!("another counter for version {}", image.version)));
            }
            None if image.custom.counter <= highest => {
                let counter = image.custom.counter;
                return Err(refuse(format!(
                    "a new image with counter {counter}, not above {highest}"
                )));
            }
            _ => {}
        }
    }
    Ok(())
}

fn check_version<T: Metadata>(
    role: &RoleName,
    last: u64,
    got: (u64, &Document<T>),
) -> Result<(), PublishError> {
    let expected = last.saturating_add(1);
    let (named, document) = got;
    for got in [named, document.version()] {
        if got != expected {
            return Err(PublishError::WrongVersion { role: role.to_string(), expected, got });
        }
    }
    Ok(())
}
