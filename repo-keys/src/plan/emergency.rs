//! The emergency role: faster schedules for images that a release role has signed.

use std::collections::HashMap;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::target::{EMERGENCY_ROLE, emergency_target};
use lazaret_protocol::time::Timestamp;
use lazaret_repo_keys_signing::metadata::rules::EmergencyEntry;
use lazaret_repo_keys_signing::metadata::{Document, MetadataError, make, payload_of, rules};
use tough::schema::Targets;

/// What the emergency role will say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmergencyPlan {
    /// One more than the last.
    pub version: u64,
    /// When it expires.
    pub expires: Timestamp,
    /// The schedules, in order of their targets' names.
    pub entries: Vec<EmergencyEntry>,
}

impl EmergencyPlan {
    /// Adds `entry` to the last signed version, in the place of one for the same image version, and
    /// leaves out what has ended at `now`.
    #[must_use]
    pub fn with_entry(
        previous: Option<&Self>,
        entry: Option<EmergencyEntry>,
        withdrawn: &[String],
        (now, expires): (Timestamp, Timestamp),
    ) -> Self {
        let name = |entry: &EmergencyEntry| emergency_target(&entry.model, &entry.version);
        let replaced: Vec<String> = entry.iter().map(name).collect();
        let mut entries = previous.map(|previous| previous.entries.clone()).unwrap_or_default();
        entries.retain(|old| {
            let gone = withdrawn.contains(&name(old)) || replaced.contains(&name(old));
            !gone && old.custom.expires > now
        });
        entries.extend(entry);
        entries.sort_by(|a, b| (&a.model, &a.version).cmp(&(&b.model, &b.version)));
        let version = previous.map_or(0, |previous| previous.version).saturating_add(1);
        Self { version, expires, entries }
    }

    /// The entries that `previous` does not list just so.
    #[must_use]
    pub fn new_entries(&self, previous: Option<&Self>) -> Vec<&EmergencyEntry> {
        let known = |entry: &&EmergencyEntry| {
            previous.is_some_and(|previous| previous.entries.contains(entry))
        };
        self.entries.iter().filter(|entry| !known(entry)).collect()
    }

    pub(super) fn payload(&self) -> Result<Vec<u8>, MetadataError> {
        let mut targets = HashMap::new();
        for entry in &self.entries {
            let name = make::target_name(&emergency_target(&entry.model, &entry.version))?;
            targets.insert(name, make::target(0, &Sha256Digest::of(b""), Some(&entry.custom))?);
        }
        let targets = Targets {
            spec_version: make::SPEC_VERSION.to_owned(),
            version: make::number(EMERGENCY_ROLE, self.version)?,
            expires: make::moment(self.expires),
            targets,
            delegations: None,
            _extra: HashMap::new(),
        };
        rules::check_emergency(&targets)?;
        payload_of(&targets)
    }

    pub(super) fn read(document: &Document<Targets>) -> Result<Self, MetadataError> {
        Ok(Self {
            version: document.version(),
            expires: document.expires(),
            entries: rules::check_emergency(&document.signed)?,
        })
    }
}
