//! A repository's metadata files as a whole: the offline roles as they are trusted, root by its own
//! threshold, targets by root, releases and the emergency role by targets. The key tool looks
//! before a ceremony ends, the server before it takes anything in; both by this one way. Expiry is
//! the caller's to judge.

use std::collections::BTreeMap;

use lazaret_protocol::id::ModelName;
use tough::schema::{self, RoleType, Root, Targets};

use crate::metadata::rules::{self, EmergencyEntry, ImageEntry};
use crate::metadata::{Document, Keyring, Metadata, MetadataError};
use crate::role::{FileName, OfflineRole, OnlineRole, RoleName};

/// Metadata files by name: `3.snapshot.json`, `timestamp.json`. The latest of each role is what
/// counts; older roots are welcome, other older files are not looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Files(pub BTreeMap<String, Vec<u8>>);

impl Files {
    /// The file of that name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name).map(Vec::as_slice)
    }

    /// The latest file of a role.
    #[must_use]
    pub fn latest(&self, role: &RoleName) -> Option<&[u8]> {
        self.versions(role).into_values().next_back()
    }

    /// Every version of a role that is at hand.
    #[must_use]
    pub fn versions(&self, role: &RoleName) -> BTreeMap<u64, &[u8]> {
        let version = |name: &str| match name.parse() {
            Ok(FileName::Versioned { role: of, version }) if of == *role => Some(version),
            Ok(name @ FileName::Timestamp) if name == FileName::of(role.clone(), 1) => Some(1),
            _ => None,
        };
        let files = self.0.iter();
        files.filter_map(|(name, bytes)| Some((version(name)?, bytes.as_slice()))).collect()
    }

    /// These files with others added or replaced.
    #[must_use]
    pub fn with(mut self, files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        self.0.extend(files);
        self
    }

    /// The names of the files that make up the repository: every root, because devices walk them
    /// one by one (TUF 5.3), and the latest file of each other role.
    #[must_use]
    pub fn current_names(&self) -> Vec<String> {
        let mut latest: BTreeMap<RoleName, (u64, &String)> = BTreeMap::new();
        let mut names = Vec::new();
        for name in self.0.keys() {
            match name.parse() {
                Ok(FileName::Timestamp) => names.push(name.clone()),
                Ok(FileName::Versioned { role, .. }) if role == ROOT => names.push(name.clone()),
                Ok(FileName::Versioned { role, version }) => {
                    let known = latest.entry(role).or_insert((version, name));
                    if version > known.0 {
                        *known = (version, name);
                    }
                }
                Err(_) => {}
            }
        }
        names.extend(latest.into_values().map(|(_, name)| name.clone()));
        names
    }
}

impl FromIterator<(String, Vec<u8>)> for Files {
    fn from_iter<I: IntoIterator<Item = (String, Vec<u8>)>>(files: I) -> Self {
        Self(files.into_iter().collect())
    }
}

/// The roles that every repository has.
pub const ROOT: RoleName = RoleName::Offline(OfflineRole::Root);
/// See [`ROOT`].
pub const TARGETS: RoleName = RoleName::Offline(OfflineRole::Targets);
/// The role of the incident team.
pub const EMERGENCY: RoleName = RoleName::Offline(OfflineRole::Emergency);
/// See [`ROOT`].
pub const DELTAS: RoleName = RoleName::Online(OnlineRole::Deltas);
/// See [`ROOT`].
pub const SNAPSHOT: RoleName = RoleName::Online(OnlineRole::Snapshot);
/// See [`ROOT`].
pub const TIMESTAMP: RoleName = RoleName::Online(OnlineRole::Timestamp);

/// A release role and the images it lists.
#[derive(Debug)]
pub struct Release {
    /// The signed document.
    pub document: Document<Targets>,
    /// Its images, lowest counter first.
    pub images: Vec<ImageEntry>,
}

/// The emergency role and the schedules it lists.
#[derive(Debug)]
pub struct Emergency {
    /// The signed document.
    pub document: Document<Targets>,
    /// Its schedules, in order of names.
    pub entries: Vec<EmergencyEntry>,
}

/// The offline roles, each checked against what lists its keys.
#[derive(Debug)]
pub struct Trusted {
    /// The latest root.
    pub root: Document<Root>,
    /// The latest targets.
    pub targets: Document<Targets>,
    /// The releases of each model for which there is one.
    pub releases: BTreeMap<ModelName, Release>,
    /// The emergency role, where it has ever spoken.
    pub emergency: Option<Emergency>,
}

impl Trusted {
    /// Reads and checks the latest of every offline role. Expiry is not looked at.
    ///
    /// # Errors
    /// One is missing, below its threshold, or says what it may not say.
    pub fn read(files: &Files) -> Result<Self, MetadataError> {
        let root = read_root(files)?;
        let targets = read_targets(files, &root)?;
        let mut releases = BTreeMap::new();
        for model in models(&targets.signed) {
            let role = RoleName::Offline(OfflineRole::Release(model.clone()));
            // A model that nothing was released for yet has no file, and that is as it should be.
            let Some(document) = read::<Targets>(files, &role)? else {
                continue;
            };
            Keyring::of_delegation(&targets.signed, &role)?.check(&document)?;
            let images = rules::check_release(&document.signed, &model)?;
            releases.insert(model, Release { document, images });
        }
        let emergency = read_emergency(files, &targets)?;
        Ok(Self { root, targets, releases, emergency })
    }

    /// The keys of a role.
    ///
    /// # Errors
    /// Nothing lists it.
    pub fn keyring(&self, role: &RoleName) -> Result<Keyring, MetadataError> {
        Keyring::of(role, &self.root.signed, &self.targets.signed)
    }

    /// Whether targets delegates to `deltas`.
    #[must_use]
    pub fn has_deltas(&self) -> bool {
        self.keyring(&DELTAS).is_ok()
    }
}

/// A team to which targets no longer delegates has nothing to say, whatever lies there.
fn read_emergency(
    files: &Files,
    targets: &Document<Targets>,
) -> Result<Option<Emergency>, MetadataError> {
    let Ok(ring) = Keyring::of_delegation(&targets.signed, &EMERGENCY) else {
        return Ok(None);
    };
    let Some(document) = read::<Targets>(files, &EMERGENCY)? else {
        return Ok(None);
    };
    ring.check(&document)?;
    let entries = rules::check_emergency(&document.signed)?;
    Ok(Some(Emergency { document, entries }))
}

/// The latest root, checked by its own threshold.
///
/// # Errors
/// There is none, or it is not signed or not acceptable.
pub fn read_root(files: &Files) -> Result<Document<Root>, MetadataError> {
    let root: Document<Root> = read(files, &ROOT)?.ok_or_else(|| missing(&ROOT))?;
    Keyring::of_root(&root.signed, RoleType::Root)?.check(&root)?;
    rules::check_root(&root.signed)?;
    Ok(root)
}

/// The latest targets, checked by root.
///
/// # Errors
/// There are none, or they are not signed or not acceptable.
pub fn read_targets(
    files: &Files,
    root: &Document<Root>,
) -> Result<Document<Targets>, MetadataError> {
    let targets: Document<Targets> = read(files, &TARGETS)?.ok_or_else(|| missing(&TARGETS))?;
    Keyring::of_root(&root.signed, RoleType::Targets)?.check(&targets)?;
    rules::check_targets(&targets.signed)?;
    Ok(targets)
}

/// The latest of a role, parsed and not checked.
///
/// # Errors
/// It is no metadata of that type.
pub fn read<T: Metadata>(
    files: &Files,
    role: &RoleName,
) -> Result<Option<Document<T>>, MetadataError> {
    files.latest(role).map(Document::parse).transpose()
}

/// That a role is missing.
#[must_use]
pub fn missing(role: &RoleName) -> MetadataError {
    MetadataError::Missing { role: role.to_string() }
}

/// The models that targets delegates to.
#[must_use]
pub fn models(targets: &Targets) -> Vec<ModelName> {
    let roles = targets.delegations.as_ref().map_or(&[][..], |listed| &listed.roles);
    let model = |role: &schema::DelegatedRole| match role.name.parse() {
        Ok(RoleName::Offline(OfflineRole::Release(model))) => Some(model),
        _ => None,
    };
    roles.iter().filter_map(model).collect()
}
