//! What each offline role may say in this house (DESIGN section 3). The key tool checks it before a
//! holder signs, and the server checks it again before it takes anything in.

use std::collections::BTreeSet;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::{ModelName, VersionName};
use lazaret_protocol::key::PublicKey;
use lazaret_protocol::limits::IMAGE_BYTES_MAX;
use lazaret_protocol::target::{
    ANCHORS_TARGET, DeltaCustom, EMERGENCY_ROLE, EmergencyCustom, ImageCustom, emergency_target,
    image_target, parse_emergency_target, parse_image_target, release_role,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tough::schema::{DelegatedRole, PathSet, RoleType, Root, Target, Targets};

use super::{Keyring, MetadataError, make};
use crate::role::{OfflineRole, OnlineRole, RoleName};

/// The paths of the `deltas` role.
pub const DELTA_PATHS: [&str; 1] = ["*/*/from-*.delta"];

/// The paths of the emergency role.
pub const EMERGENCY_PATHS: [&str; 1] = ["emergency/*/*"];

/// Images that one release role may list. Four stay by default.
pub const IMAGES_MAX: usize = 1024;

/// The paths of the release role of `model`.
#[must_use]
pub fn release_paths(model: &ModelName) -> [String; 1] {
    [format!("{model}/*/image")]
}

/// An image that a release role lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageEntry {
    /// Its version.
    pub version: VersionName,
    /// Its digest.
    pub sha256: Sha256Digest,
    /// Its length in bytes.
    pub length: u64,
    /// Counter, floor, model, schedule.
    pub custom: ImageCustom,
}

/// A faster schedule that the emergency role lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmergencyEntry {
    /// The model of its image.
    pub model: ModelName,
    /// The version of its image.
    pub version: VersionName,
    /// The image's digest, the schedule, the reason, its end.
    pub custom: EmergencyCustom,
}

/// A delta that the `deltas` role lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeltaEntry {
    /// Its target name, `<model>/<version>/from-<base>.delta`.
    pub name: String,
    /// Length of the delta in bytes.
    pub length: u64,
    /// Digest of the delta.
    pub sha256: Sha256Digest,
    /// Base, result, memory.
    pub custom: DeltaCustom,
}

/// Checks a root: four roles with keys that we can check, consistent snapshots, reachable
/// thresholds, and no online key that is also an offline one.
///
/// # Errors
/// The first rule that it breaks.
pub fn check_root(root: &Root) -> Result<(), MetadataError> {
    let refuse = |what: String| MetadataError::OutOfScope { role: "root".to_owned(), what };
    if !root.consistent_snapshot {
        return Err(refuse("a repository without consistent snapshots".to_owned()));
    }
    if root.roles.len() != 4 {
        return Err(refuse(format!("{} roles, where there are four", root.roles.len())));
    }
    let mut offline = BTreeSet::new();
    let mut online = BTreeSet::new();
    for role in [RoleType::Root, RoleType::Targets, RoleType::Snapshot, RoleType::Timestamp] {
        let ring = Keyring::of_root(root, role)?;
        let distinct: BTreeSet<PublicKey> = ring.keys.into_values().collect();
        if u64::try_from(distinct.len()).is_ok_and(|count| count < ring.threshold) {
            let (threshold, count) = (ring.threshold, distinct.len());
            return Err(refuse(format!("a threshold of {threshold} over {count} keys for {role}")));
        }
        let into = match role {
            RoleType::Root | RoleType::Targets => &mut offline,
            _ => &mut online,
        };
        into.extend(distinct);
    }
    if offline.intersection(&online).next().is_some() {
        return Err(refuse("one key for an offline and an online role".to_owned()));
    }
    Ok(())
}

/// Checks the top-level targets: only the anchors, and only delegations of this house, with
/// `deltas` last. Its paths would match a few names of the emergency role as well, which must never
/// be an online key's to answer.
///
/// # Errors
/// The first rule that it breaks.
pub fn check_targets(targets: &Targets) -> Result<(), MetadataError> {
    let refuse = |what: String| MetadataError::OutOfScope { role: "targets".to_owned(), what };
    if let Some(name) = targets.targets.keys().find(|name| name.raw() != ANCHORS_TARGET) {
        return Err(refuse(format!("the target {:?}", name.raw())));
    }
    let roles = targets.delegations.as_ref().map_or(&[][..], |delegations| &delegations.roles);
    let mut deltas_keys = BTreeSet::new();
    let mut people_keys = BTreeSet::new();
    let mut names = BTreeSet::new();
    let deltas = OnlineRole::Deltas.as_str();
    if roles.split_last().is_some_and(|(_, before)| before.iter().any(|role| role.name == deltas)) {
        return Err(refuse("deltas before another delegation".to_owned()));
    }
    for delegated in roles {
        let name: RoleName = delegated
            .name
            .parse()
            .map_err(|_| refuse(format!("a delegation to {:?}", delegated.name)))?;
        check_delegation(delegated, &name)?;
        let keys = Keyring::of_delegation(targets, &name)?.keys.into_values();
        match name {
            RoleName::Online(_) => deltas_keys.extend(keys),
            RoleName::Offline(_) => people_keys.extend(keys),
        }
        if !names.insert(&delegated.name) {
            return Err(refuse(format!("two delegations to {:?}", delegated.name)));
        }
    }
    if deltas_keys.intersection(&people_keys).next().is_some() {
        return Err(refuse("one key for deltas and for people".to_owned()));
    }
    Ok(())
}

fn check_delegation(delegated: &DelegatedRole, name: &RoleName) -> Result<(), MetadataError> {
    let refuse = |what: String| MetadataError::OutOfScope { role: "targets".to_owned(), what };
    let wanted: Vec<String> = match name {
        // Its images would have names of the emergency role.
        RoleName::Offline(OfflineRole::Release(model)) if model.as_str() == EMERGENCY_ROLE => {
            return Err(refuse(format!("a model named {EMERGENCY_ROLE}")));
        }
        RoleName::Offline(OfflineRole::Release(model)) => release_paths(model).to_vec(),
        RoleName::Offline(OfflineRole::Emergency) => EMERGENCY_PATHS.map(str::to_owned).to_vec(),
        RoleName::Online(OnlineRole::Deltas) => DELTA_PATHS.map(str::to_owned).to_vec(),
        _ => return Err(refuse(format!("a delegation to {name}"))),
    };
    let PathSet::Paths(paths) = &delegated.paths else {
        return Err(refuse(format!("hash prefixes for {name}")));
    };
    let paths: Vec<&str> = paths.iter().map(tough::schema::PathPattern::value).collect();
    // Nobody after the emergency role may answer for its names (TUF 4.5, terminating delegations).
    let terminating = *name == RoleName::Offline(OfflineRole::Emergency);
    if paths != wanted || delegated.terminating != terminating {
        return Err(refuse(format!("the paths {paths:?} for {name}")));
    }
    let distinct: BTreeSet<_> = delegated.keyids.iter().collect();
    if u64::try_from(distinct.len()).is_ok_and(|count| count < delegated.threshold.get()) {
        return Err(refuse(format!("a threshold beyond the number of keys for {name}")));
    }
    Ok(())
}

/// Checks a release role and reads its images, lowest counter first.
///
/// # Errors
/// The first rule that it breaks.
pub fn check_release(
    targets: &Targets,
    model: &ModelName,
) -> Result<Vec<ImageEntry>, MetadataError> {
    let role = release_role(model);
    let refuse = |what: String| MetadataError::OutOfScope { role: role.clone(), what };
    if targets.delegations.as_ref().is_some_and(|d| !d.roles.is_empty() || !d.keys.is_empty()) {
        return Err(refuse("delegations of its own".to_owned()));
    }
    if targets.targets.len() > IMAGES_MAX {
        return Err(refuse(format!("{} images", targets.targets.len())));
    }
    let mut images = Vec::new();
    for (name, target) in &targets.targets {
        let image = read_image(name.raw(), target, model)
            .map_err(|why| refuse(format!("the target {:?}: {why}", name.raw())))?;
        images.push(image);
    }
    images.sort_by_key(|image| image.custom.counter);
    let counters = images.windows(2);
    for pair in counters {
        if let [a, b] = pair
            && a.custom.counter == b.custom.counter
        {
            return Err(refuse(format!("two images with the counter {}", a.custom.counter)));
        }
    }
    Ok(images)
}

/// Checks the emergency role and reads its entries, in order of names.
///
/// # Errors
/// The first rule that it breaks.
pub fn check_emergency(targets: &Targets) -> Result<Vec<EmergencyEntry>, MetadataError> {
    let refuse = |what: String| MetadataError::OutOfScope { role: EMERGENCY_ROLE.to_owned(), what };
    if targets.delegations.as_ref().is_some_and(|d| !d.roles.is_empty() || !d.keys.is_empty()) {
        return Err(refuse("delegations of its own".to_owned()));
    }
    if targets.targets.len() > IMAGES_MAX {
        return Err(refuse(format!("{} schedules", targets.targets.len())));
    }
    let mut entries = Vec::new();
    for (name, target) in &targets.targets {
        let entry = read_emergency(name.raw(), target)
            .map_err(|why| refuse(format!("the target {:?}: {why}", name.raw())))?;
        entries.push(entry);
    }
    entries.sort_by(|a, b| (&a.model, &a.version).cmp(&(&b.model, &b.version)));
    Ok(entries)
}

fn read_emergency(name: &str, target: &Target) -> Result<EmergencyEntry, String> {
    let Some(Ok((model, version))) = parse_emergency_target(name) else {
        return Err("not of the form emergency/<model>/<version>".to_owned());
    };
    if emergency_target(&model, &version) != name {
        return Err("not in its own spelling".to_owned());
    }
    if target.length != 0 || make::sha256_of(target) != Some(Sha256Digest::of(b"")) {
        return Err("bytes of its own".to_owned());
    }
    let custom: EmergencyCustom = read_custom(target)?;
    custom.check().map_err(|err| err.to_string())?;
    Ok(EmergencyEntry { model, version, custom })
}

/// Checks that an emergency schedule is for an image that its release role has signed, and lets
/// nobody in later than the signers did. `images` are those of the entry's model.
///
/// # Errors
/// It names another image, or is slower at any moment.
pub fn check_emergency_image(
    entry: &EmergencyEntry,
    images: &[ImageEntry],
) -> Result<(), MetadataError> {
    let name = emergency_target(&entry.model, &entry.version);
    let refuse = |why: String| {
        let (role, what) = (EMERGENCY_ROLE.to_owned(), format!("the target {name:?}: {why}"));
        Err(MetadataError::OutOfScope { role, what })
    };
    let signed = images.iter().find(|image| image.version == entry.version);
    let Some(image) = signed else {
        return refuse(format!("rel-{} lists no such version", entry.model));
    };
    let schedule = &entry.custom.schedule;
    if image.sha256 != entry.custom.image_sha256 {
        return refuse(format!("rel-{} signed the image {}", entry.model, image.sha256));
    }
    if image.custom.schedule.salt != schedule.salt {
        return refuse("another salt than the image's schedule".to_owned());
    }
    let own = image.custom.schedule.steps.iter();
    if let Some(step) =
        own.into_iter().find(|step| schedule.permille_at(step.not_before) < step.permille)
    {
        return refuse(format!("it is slower than what was signed, at {}", step.not_before));
    }
    Ok(())
}

fn read_image(name: &str, target: &Target, model: &ModelName) -> Result<ImageEntry, String> {
    let Some(Ok((of_model, version))) = parse_image_target(name) else {
        return Err("not of the form <model>/<version>/image".to_owned());
    };
    if of_model != *model || image_target(&of_model, &version) != name {
        return Err(format!("not an image of {model}"));
    }
    let custom: ImageCustom = read_custom(target)?;
    if custom.model != *model {
        return Err(format!("it says it is for {}", custom.model));
    }
    if custom.floor > custom.counter || custom.counter == 0 {
        return Err(format!("a floor of {} at counter {}", custom.floor, custom.counter));
    }
    if custom.needs >= custom.counter {
        return Err(format!("counter {}, and needs {} to run first", custom.counter, custom.needs));
    }
    custom.schedule.check().map_err(|err| err.to_string())?;
    if target.length == 0 || target.length > IMAGE_BYTES_MAX {
        return Err(format!("a length of {} bytes", target.length));
    }
    let sha256 = make::sha256_of(target).ok_or("a digest that is not SHA-256")?;
    Ok(ImageEntry { version, sha256, length: target.length, custom })
}

/// Reads the `deltas` role, in order of names.
///
/// # Errors
/// A target that is not a delta.
pub fn check_deltas(targets: &Targets) -> Result<Vec<DeltaEntry>, MetadataError> {
    let refuse = |what: String| MetadataError::OutOfScope { role: "deltas".to_owned(), what };
    let mut deltas = Vec::new();
    for (name, target) in &targets.targets {
        let bad = |why: String| refuse(format!("the target {:?}: {why}", name.raw()));
        if !path_matches("*/*/from-*.delta", name.raw()) {
            return Err(bad("not of the form <model>/<version>/from-<base>.delta".to_owned()));
        }
        let custom: DeltaCustom = read_custom(target).map_err(bad)?;
        let sha256 = make::sha256_of(target).ok_or_else(|| bad("no SHA-256".to_owned()))?;
        deltas.push(DeltaEntry {
            name: name.raw().to_owned(),
            length: target.length,
            sha256,
            custom,
        });
    }
    deltas.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(deltas)
}

fn read_custom<C: DeserializeOwned>(target: &Target) -> Result<C, String> {
    let map = target.custom.iter().map(|(name, value)| (name.clone(), value.clone()));
    serde_json::from_value(Value::Object(map.collect())).map_err(|err| err.to_string())
}

/// Matches a path pattern as TUF means it: a star stays within one component (TUF 4.5). tough's own
/// matcher lets it cross slashes, which would make a delegation wider than what was signed.
#[must_use]
pub fn path_matches(pattern: &str, name: &str) -> bool {
    let (patterns, names) = (pattern.split('/'), name.split('/'));
    patterns.clone().count() == names.clone().count()
        && patterns.zip(names).all(|(pattern, name)| component_matches(pattern, name))
}

fn component_matches(pattern: &str, name: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else {
        return pattern == name;
    };
    // One star per component is all that this house's patterns have.
    name.strip_prefix(before)
        .and_then(|rest| rest.strip_suffix(after))
        .is_some_and(|middle| !middle.is_empty() || (before.is_empty() && after.is_empty()))
}
