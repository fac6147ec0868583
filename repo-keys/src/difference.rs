//! What a new version changes against the last signed one, in plain words. A holder signs what
//! stands here; nothing in this file decides whether it may be signed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use lazaret_protocol::id::HolderName;
use lazaret_protocol::key::PublicKey;
use lazaret_protocol::target::{EMERGENCY_ROLE, Schedule};
use lazaret_protocol::time::{DAY_MS, Timestamp};
use lazaret_repo_keys_signing::HolderPublic;
use lazaret_repo_keys_signing::durable;
use lazaret_repo_keys_signing::key::KEY_FILE_BYTES_MAX;
use lazaret_repo_keys_signing::metadata::rules::{EmergencyEntry, ImageEntry};

use crate::plan::{EmergencyPlan, KeySet, ModelSigners, Plan, ReleasePlan, RootPlan, TargetsPlan};

/// Public key files that are looked at for names.
const NAME_FILES_MAX: usize = 256;

/// Whose key is whose, as far as this machine knows. A hint for the eye and no proof.
#[derive(Debug, Clone, Default)]
pub struct Names(BTreeMap<PublicKey, HolderName>);

impl Names {
    /// Takes the names from the `.pub` files in a folder.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        let mut names = Self::default();
        names.add_folder(folder);
        names
    }

    /// Takes the names from the `.pub` files in a further folder.
    pub fn add_folder(&mut self, folder: &Path) {
        let Ok(entries) = std::fs::read_dir(folder) else {
            return;
        };
        for entry in entries.flatten().take(NAME_FILES_MAX) {
            let path = entry.path();
            if path.extension().is_none_or(|extension| extension != "pub") {
                continue;
            }
            let read = durable::read(&path, KEY_FILE_BYTES_MAX).unwrap_or_default();
            if let Ok(public) = serde_json::from_slice::<HolderPublic>(&read) {
                self.add(&public);
            }
        }
    }

    /// The names as public key files again, for whoever reads on.
    #[must_use]
    pub fn to_files(&self) -> Vec<(String, Vec<u8>)> {
        let file = |(key, holder): (&PublicKey, &HolderName)| {
            let public = HolderPublic { holder: holder.clone(), key: key.clone() };
            let id: String = key.key_id().as_str().chars().take(12).collect();
            (format!("{holder}.{id}.pub"), serde_json::to_vec(&public).unwrap_or_default())
        };
        self.0.iter().map(file).collect()
    }

    /// Who holds a key, as far as this machine knows.
    #[must_use]
    pub fn holder_of(&self, key: &PublicKey) -> Option<&HolderName> {
        self.0.get(key)
    }

    /// Adds a name.
    pub fn add(&mut self, public: &HolderPublic) {
        self.0.insert(public.key.clone(), public.holder.clone());
    }

    /// A key as people know it.
    #[must_use]
    pub fn show(&self, key: &PublicKey) -> String {
        let id: String = key.key_id().as_str().chars().take(12).collect();
        match self.0.get(key) {
            Some(holder) => format!("{holder} (key {id})"),
            None => format!("key {id}"),
        }
    }
}

/// Every difference, one sentence each. Without `old`, everything is new.
#[must_use]
pub fn between(old: Option<&Plan>, new: &Plan, names: &Names, now: Timestamp) -> Vec<String> {
    let mut words = Vec::new();
    match old {
        None => words.push(format!("{} version {}, the first", new.role(), new.version())),
        Some(old) => words.push(format!(
            "{} version {}, after version {}",
            new.role(),
            new.version(),
            old.version()
        )),
    }
    match (old, new) {
        (Some(Plan::Root(old)), Plan::Root(new)) => root(Some(old), new, names, &mut words),
        (_, Plan::Root(new)) => root(None, new, names, &mut words),
        (Some(Plan::Targets(old)), Plan::Targets(new)) => {
            targets(Some(old), new, names, &mut words);
        }
        (_, Plan::Targets(new)) => targets(None, new, names, &mut words),
        (Some(Plan::Release(old)), Plan::Release(new)) => release(Some(old), new, &mut words),
        (_, Plan::Release(new)) => release(None, new, &mut words),
        (Some(Plan::Emergency(old)), Plan::Emergency(new)) => {
            emergency(Some(old), new, &mut words);
        }
        (_, Plan::Emergency(new)) => emergency(None, new, &mut words),
    }
    let days = new.expires().since_ms(now) / DAY_MS;
    words.push(format!("expires {} (in {days} days)", new.expires()));
    words
}

fn root(old: Option<&RootPlan>, new: &RootPlan, names: &Names, words: &mut Vec<String>) {
    keys("root", old.map(|old| &old.root), &new.root, names, words);
    keys("targets", old.map(|old| &old.targets), &new.targets, names, words);
    let snapshot = (old.map(|old| &old.snapshot), &new.snapshot);
    let timestamp = (old.map(|old| &old.timestamp), &new.timestamp);
    server_key("snapshot", snapshot, words);
    server_key("timestamp", timestamp, words);
}

fn targets(old: Option<&TargetsPlan>, new: &TargetsPlan, names: &Names, words: &mut Vec<String>) {
    let before = old.map(|old| old.anchors);
    if before != Some(new.anchors) {
        let was = if before.is_some() { "changed" } else { "new" };
        words.push(format!(
            "~ trust/anchors {was}: {} bytes, sha256 {}",
            new.anchors.length, new.anchors.sha256
        ));
    }
    let none = ModelSigners::new();
    let models = old.map_or(&none, |old| &old.models);
    for model in models.keys().filter(|model| !new.models.contains_key(*model)) {
        words.push(format!("- model {model} is dropped: its images are no longer trusted"));
    }
    for (model, set) in &new.models {
        keys(&format!("rel-{model}"), models.get(model), set, names, words);
    }
    let team = old.and_then(|old| old.emergency.as_ref());
    match (team, &new.emergency) {
        (_, Some(set)) => keys(EMERGENCY_ROLE, team, set, names, words),
        (Some(_), None) => {
            words.push("- the emergency role is dropped: its schedules count no more".to_owned());
        }
        (None, None) => {}
    }
    server_key("deltas", (old.map(|old| &old.deltas), &new.deltas), words);
}

fn keys(role: &str, old: Option<&KeySet>, new: &KeySet, names: &Names, words: &mut Vec<String>) {
    let none = BTreeSet::new();
    let before = old.map_or(&none, |old| &old.keys);
    for gone in before.difference(&new.keys) {
        words.push(format!("- {role}: {} goes", names.show(gone)));
    }
    for come in new.keys.difference(before) {
        words.push(format!("+ {role}: {} comes", names.show(come)));
    }
    let holders = new.keys.len();
    match old.map(|old| old.threshold) {
        Some(threshold) if threshold == new.threshold => {}
        Some(threshold) => words
            .push(format!("~ {role}: {} of {holders} must sign, was {threshold}", new.threshold)),
        None => words.push(format!("+ {role}: {} of {holders} must sign", new.threshold)),
    }
}

fn server_key(role: &str, change: (Option<&PublicKey>, &PublicKey), words: &mut Vec<String>) {
    let names = Names::default();
    match change {
        (Some(old), new) if old == new => {}
        (Some(old), new) => words.push(format!(
            "~ {role}: the server's {} replaces {}",
            names.show(new),
            names.show(old)
        )),
        (None, new) => words.push(format!("+ {role}: the server's {} comes", names.show(new))),
    }
}

fn release(old: Option<&ReleasePlan>, new: &ReleasePlan, words: &mut Vec<String>) {
    let before = old.map_or(&[][..], |old| &old.images);
    for gone in before {
        if !new.images.iter().any(|image| same(gone, image)) {
            words.push(format!("- image {}/{} is dropped", new.model, gone.version));
        }
    }
    for image in &new.images {
        match before.iter().find(|old| same(old, image)) {
            None => added(image, words),
            Some(old) => changed(old, image, words),
        }
    }
    let floor = |images: &[ImageEntry]| images.last().map_or(0, |image| image.custom.floor);
    let (was, is) = (floor(before), floor(&new.images));
    if is != was {
        let verb = if is > was { "raised" } else { "lowered" };
        words.push(format!(
            "~ floor {verb} from {was} to {is}: devices that keep the newest image never again run \
             anything with a counter below {is}"
        ));
    }
}

fn same(old: &ImageEntry, new: &ImageEntry) -> bool {
    old.version == new.version && old.sha256 == new.sha256
}

fn added(image: &ImageEntry, words: &mut Vec<String>) {
    words.push(format!(
        "+ image {}/{}: counter {}, floor {}, {} bytes, sha256 {}",
        image.custom.model,
        image.version,
        image.custom.counter,
        image.custom.floor,
        image.length,
        image.sha256
    ));
    words.push(format!("  schedule: {}", schedule(&image.custom.schedule)));
    if image.custom.needs > 0 {
        words.push(format!("  only from a release of counter {} or above", image.custom.needs));
    }
}

fn changed(old: &ImageEntry, new: &ImageEntry, words: &mut Vec<String>) {
    let name = format!("{}/{}", new.custom.model, new.version);
    if old.length != new.length {
        words.push(format!("~ image {name}: {} bytes, was {}", new.length, old.length));
    }
    if old.custom.counter != new.custom.counter {
        let (is, was) = (new.custom.counter, old.custom.counter);
        words.push(format!("~ image {name}: counter {is}, was {was}"));
    }
    if old.custom.floor != new.custom.floor {
        let (is, was) = (new.custom.floor, old.custom.floor);
        words.push(format!("~ image {name}: floor {is}, was {was}"));
    }
    if old.custom.needs != new.custom.needs {
        let (is, was) = (new.custom.needs, old.custom.needs);
        words.push(format!("~ image {name}: only from counter {is} or above, was {was}"));
    }
    if old.custom.schedule != new.custom.schedule {
        let (is, was) = (schedule(&new.custom.schedule), schedule(&old.custom.schedule));
        words.push(format!("~ image {name}: schedule {is}; was {was}"));
    }
}

fn emergency(old: Option<&EmergencyPlan>, new: &EmergencyPlan, words: &mut Vec<String>) {
    let name = |entry: &EmergencyEntry| format!("{}/{}", entry.model, entry.version);
    let before = old.map_or(&[][..], |old| &old.entries);
    for gone in before {
        if !new.entries.iter().any(|entry| name(entry) == name(gone)) {
            words.push(format!("- emergency schedule for {} is withdrawn", name(gone)));
        }
    }
    for entry in new.new_entries(old) {
        let known = before.iter().any(|old| name(old) == name(entry));
        words.push(format!(
            "{} emergency schedule for image {} with sha256 {}: {}; until {}",
            if known { "~" } else { "+" },
            name(entry),
            entry.custom.image_sha256,
            schedule(&entry.custom.schedule),
            entry.custom.expires
        ));
        words.push(format!("  reason: {}", entry.custom.reason));
    }
    if new.entries.is_empty() {
        words.push("no emergency schedule is in force".to_owned());
    }
}

fn schedule(schedule: &Schedule) -> String {
    let steps: Vec<String> = schedule
        .steps
        .iter()
        .map(|step| {
            let (whole, tenth) = (step.permille / 10, step.permille % 10);
            format!("{whole}.{tenth} % from {}", step.not_before)
        })
        .collect();
    format!("{} (salt {})", steps.join(", "), schedule.salt)
}
