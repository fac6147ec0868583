//! Signing what a server may sign, and saying in which order files become visible: a reader that
//! comes at any moment between two of them finds a whole repository (TUF 6.2), because timestamp
//! comes last.

use std::collections::{BTreeMap, HashMap};

use lazaret_protocol::id::{ModelName, VersionName};
use lazaret_protocol::key::PublicKey;
use lazaret_protocol::target::{delta_target, release_role};
use lazaret_protocol::time::{DAY_MS, HOUR_MS, Timestamp};
use lazaret_repo_keys_signing::metadata::rules::{self, DeltaEntry, ImageEntry};
use lazaret_repo_keys_signing::metadata::{
    Document, Metadata, MetadataError, Signature, assemble, make, payload_of,
};
use lazaret_repo_keys_signing::repository::{
    DELTAS, EMERGENCY, Files, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, Trusted, read,
};
use lazaret_repo_keys_signing::{FileName, OnlineKeys, OnlineRole, RoleName};
use tough::schema::{self, Metafile, Role, Snapshot, Targets};

use crate::error::PublishError;
use crate::trusted::{check_fresh, offline_keys};
use crate::upload::check_upload;

/// Lives of the online roles, in milliseconds (DESIGN section 3).
const TIMESTAMP_LIFE_MS: u64 = 48 * HOUR_MS;
const SNAPSHOT_LIFE_MS: u64 = 14 * DAY_MS;
const DELTAS_LIFE_MS: u64 = 30 * DAY_MS;

/// What becomes visible, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activation {
    /// New files: root, targets, releases, emergency, deltas, snapshot, and timestamp last.
    pub files: Vec<(String, Vec<u8>)>,
    /// The version of the new timestamp, which polls tell devices.
    pub timestamp_version: u64,
}

/// Takes in `new` files of offline roles and signs deltas, snapshot and timestamp as far as they
/// change or their keys have. `deltas` is the whole list, or none where it stays.
///
/// # Errors
/// A new file is not acceptable, what it changes leaves another role without valid signatures, or
/// the server's keys are not the ones that are listed.
pub fn activate(
    current: &Files,
    new: Vec<(String, Vec<u8>)>,
    deltas: Option<Vec<DeltaEntry>>,
    keys: &OnlineKeys,
    now: Timestamp,
) -> Result<Activation, PublishError> {
    let mut files = in_tuf_order(new)?;
    let all = check_set(current, &files, now)?;
    keys.refuse_offline(&offline_keys(&all)?).map_err(PublishError::Key)?;
    let trusted = Trusted::read(&all)?;
    check_fresh(&ROOT, &trusted.root, now)?;
    check_fresh(&TARGETS, &trusted.targets, now)?;
    let signing = Signing { all: &all, trusted: &trusted, keys, now };
    let mut meta = offline_meta(&trusted)?;
    if let Some((version, signed)) = signing.deltas(deltas)? {
        meta.insert("deltas.json".to_owned(), make::metafile(version)?);
        files.extend(signed);
    }
    let (snapshot_version, signed) = signing.snapshot(meta)?;
    files.extend(signed);
    let (timestamp_version, timestamp) = signing.timestamp(snapshot_version)?;
    files.push((FileName::Timestamp.to_string(), timestamp));
    Ok(Activation { files, timestamp_version })
}

/// Checks several new files of offline roles, each against what is served now and those before it
/// in the order of TUF, and gives all files as they would be. What a set leaves without valid
/// signatures is found by [`activate`].
///
/// # Errors
/// The first file that is not acceptable.
pub fn check_uploads(
    current: &Files,
    new: Vec<(String, Vec<u8>)>,
    now: Timestamp,
) -> Result<Files, PublishError> {
    check_set(current, &in_tuf_order(new)?, now)
}

fn check_set(
    current: &Files,
    ordered: &[(String, Vec<u8>)],
    now: Timestamp,
) -> Result<Files, PublishError> {
    let mut all = current.clone();
    for (name, bytes) in ordered {
        check_upload(&all, name, bytes, now)?;
        all.0.insert(name.clone(), bytes.clone());
    }
    Ok(all)
}

/// Signs the timestamp again, and with it snapshot and deltas where less than half of their life is
/// left or their keys have changed.
///
/// # Errors
/// As [`activate`].
pub fn refresh_timestamp(
    current: &Files,
    keys: &OnlineKeys,
    now: Timestamp,
) -> Result<Activation, PublishError> {
    activate(current, Vec::new(), None, keys, now)
}

/// Roots by version, then targets, then releases, then the emergency role: each is checked by what
/// comes before it.
fn in_tuf_order(new: Vec<(String, Vec<u8>)>) -> Result<Vec<(String, Vec<u8>)>, PublishError> {
    let mut ordered = BTreeMap::new();
    for (name, bytes) in new {
        let file: FileName = name.parse()?;
        let FileName::Versioned { role, version } = file else {
            return Err(PublishError::OnlineRole { role: "timestamp".to_owned() });
        };
        // The order of the variants is the order of TUF.
        ordered.insert((role, version), (name, bytes));
    }
    Ok(ordered.into_values().collect())
}

/// The lines of the snapshot for offline roles.
fn offline_meta(trusted: &Trusted) -> Result<HashMap<String, Metafile>, PublishError> {
    let targets = make::metafile(trusted.targets.version())?;
    let mut meta = HashMap::from([("targets.json".to_owned(), targets)]);
    for (model, release) in &trusted.releases {
        let name = format!("{}.json", release_role(model));
        meta.insert(name, make::metafile(release.document.version())?);
    }
    if let Some(emergency) = &trusted.emergency {
        let line = make::metafile(emergency.document.version())?;
        meta.insert(format!("{EMERGENCY}.json"), line);
    }
    Ok(meta)
}

type NewFile = Option<(String, Vec<u8>)>;

struct Signing<'a> {
    all: &'a Files,
    trusted: &'a Trusted,
    keys: &'a OnlineKeys,
    now: Timestamp,
}

impl Signing<'_> {
    /// The version of `deltas`, and the file where it is new. None where targets does not delegate
    /// to it.
    fn deltas(
        &self,
        wanted: Option<Vec<DeltaEntry>>,
    ) -> Result<Option<(u64, NewFile)>, PublishError> {
        if !self.trusted.has_deltas() {
            return match wanted {
                Some(list) if !list.is_empty() => {
                    Err(MetadataError::UnknownRole { role: OnlineRole::Deltas.as_str().to_owned() }
                        .into())
                }
                _ => Ok(None),
            };
        }
        let last = read::<Targets>(self.all, &DELTAS)?;
        let listed = match &last {
            Some(last) => rules::check_deltas(&last.signed)?,
            None => Vec::new(),
        };
        let entries = match wanted {
            Some(entries) => self.checked(entries)?,
            // Deltas of images that are no longer listed go by themselves.
            None => listed.iter().filter(|entry| self.has_image(entry)).cloned().collect(),
        };
        if let Some(last) = &last
            && listed == entries
            && self.still_good(&DELTAS, last, DELTAS_LIFE_MS)?
        {
            return Ok(Some((last.version(), None)));
        }
        let version = last.map_or(0, |last| last.version()).saturating_add(1);
        let deltas = deltas_metadata(version, self.expires(DELTAS_LIFE_MS), &entries)?;
        let file = self.sign(OnlineRole::Deltas, &deltas)?;
        let name = FileName::of(DELTAS, version).to_string();
        Ok(Some((version, Some((name, file)))))
    }

    fn checked(&self, mut entries: Vec<DeltaEntry>) -> Result<Vec<DeltaEntry>, PublishError> {
        for entry in &entries {
            if !self.has_image(entry) {
                let (name, result) = (entry.name.clone(), entry.custom.result_sha256);
                return Err(PublishError::DeltaWithoutImage { name, result });
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Whether a release role lists what the delta yields, under the name that the delta says.
    fn has_image(&self, entry: &DeltaEntry) -> bool {
        let Some((model, version)) = of_delta(&entry.name) else {
            return false;
        };
        let images = self.trusted.releases.get(&model).map_or(&[][..], |release| &release.images);
        images.iter().any(|image: &ImageEntry| {
            image.version == version
                && image.sha256 == entry.custom.result_sha256
                && image.length == entry.custom.result_length
        })
    }

    /// The snapshot's version, and the file where it is new.
    fn snapshot(
        &self,
        mut meta: HashMap<String, Metafile>,
    ) -> Result<(u64, NewFile), PublishError> {
        let last = read::<Snapshot>(self.all, &SNAPSHOT)?;
        // A role that was listed once stays listed, or every device refuses the snapshot as a
        // rollback (TUF 5.5.5). A model that targets dropped is no longer asked for, whatever
        // stands here.
        for (name, line) in last.iter().flat_map(|last| &last.signed.meta) {
            meta.entry(name.clone()).or_insert_with(|| line.clone());
        }
        if let Some(last) = &last
            && last.signed.meta == meta
            && self.still_good(&SNAPSHOT, last, SNAPSHOT_LIFE_MS)?
        {
            return Ok((last.version(), None));
        }
        let version = last.map_or(0, |last| last.version()).saturating_add(1);
        let mut snapshot = Snapshot::new(
            make::SPEC_VERSION.to_owned(),
            make::number("snapshot", version)?,
            make::moment(self.expires(SNAPSHOT_LIFE_MS)),
        );
        snapshot.meta = meta;
        let file = self.sign(OnlineRole::Snapshot, &snapshot)?;
        let name = FileName::of(SNAPSHOT, version).to_string();
        Ok((version, Some((name, file))))
    }

    fn timestamp(&self, snapshot_version: u64) -> Result<(u64, Vec<u8>), PublishError> {
        let last = read::<schema::Timestamp>(self.all, &TIMESTAMP)?;
        let version = last.map_or(0, |last| last.version()).saturating_add(1);
        let mut timestamp = schema::Timestamp::new(
            make::SPEC_VERSION.to_owned(),
            make::number("timestamp", version)?,
            make::moment(self.expires(TIMESTAMP_LIFE_MS)),
        );
        let line = make::metafile(snapshot_version)?;
        timestamp.meta.insert("snapshot.json".to_owned(), line);
        Ok((version, self.sign(OnlineRole::Timestamp, &timestamp)?))
    }

    fn expires(&self, life_ms: u64) -> Timestamp {
        self.now.plus_ms(life_ms)
    }

    /// Whether the listed keys signed it and at least half of its life is left.
    fn still_good<T: Metadata>(
        &self,
        role: &RoleName,
        document: &Document<T>,
        life_ms: u64,
    ) -> Result<bool, PublishError> {
        let signed = self.trusted.keyring(role)?.check(document).is_ok();
        Ok(signed && document.expires().since_ms(self.now) >= life_ms / 2)
    }

    fn sign<T: Role>(&self, role: OnlineRole, metadata: &T) -> Result<Vec<u8>, PublishError> {
        let ring = self.trusted.keyring(&RoleName::Online(role))?;
        let payload = payload_of(metadata)?;
        let by = |(keyid, key): (&String, &PublicKey)| {
            let sig = self.keys.sign_as(role, key, &payload)?;
            Some(Signature { keyid: keyid.clone(), sig })
        };
        let signature = ring.keys.iter().filter(|_| ring.threshold == 1).find_map(by);
        let Some(signature) = signature else {
            return Err(PublishError::NotSignedBy { role: role.as_str().to_owned() });
        };
        Ok(assemble(&payload, &[signature]))
    }
}

/// Reads `<model>/<version>/from-<base>.delta`.
fn of_delta(name: &str) -> Option<(ModelName, VersionName)> {
    let (model, rest) = name.split_once('/')?;
    let (version, file) = rest.split_once('/')?;
    let base: VersionName = file.strip_prefix("from-")?.strip_suffix(".delta")?.parse().ok()?;
    let (model, version) = (model.parse().ok()?, version.parse().ok()?);
    (delta_target(&model, &version, &base) == name).then_some((model, version))
}

fn deltas_metadata(
    version: u64,
    expires: Timestamp,
    entries: &[DeltaEntry],
) -> Result<Targets, MetadataError> {
    let mut targets = HashMap::new();
    for entry in entries {
        let target = make::target(entry.length, &entry.sha256, Some(&entry.custom))?;
        targets.insert(make::target_name(&entry.name)?, target);
    }
    let deltas = Targets {
        spec_version: make::SPEC_VERSION.to_owned(),
        version: make::number("deltas", version)?,
        expires: make::moment(expires),
        targets,
        delegations: None,
        _extra: HashMap::new(),
    };
    // What we would not take in, we do not sign.
    rules::check_deltas(&deltas)?;
    Ok(deltas)
}
