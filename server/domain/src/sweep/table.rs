//! The fleet as columns in memory, so that a question over a million devices is a pass over
//! numbers: every text is kept once and named by its place. It holds nothing that is not in the
//! records, and is made anew from them at the start.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use lazaret_protocol::containment::Level;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::{DeviceId, RolloutId};
use lazaret_protocol::operator::{Radius, RadiusRow, SweptRelease};
use lazaret_protocol::time::Timestamp;

use super::Bill;
use super::question::{Question, Verdict};
use super::version::Known;
use crate::attribute::Entries;
use crate::device::Device;

/// Rows of one list of the blast radius; the rest is added up.
const RADIUS_ROWS_MAX: usize = 50;

/// What a commit has changed that the table knows of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// A device.
    Device(Row),
    /// The latest rollout of a device.
    Rollout(DeviceId, RolloutId),
    /// The bill of a release.
    Bill(Arc<Bill>),
}

/// What the table keeps of one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its name.
    pub id: DeviceId,
    model: String,
    running: Option<(Sha256Digest, String)>,
    group: Option<String>,
    labels: Entries,
    level: Option<Level>,
    last_seen: Option<Timestamp>,
    retired: bool,
}

impl From<&Device> for Row {
    fn from(device: &Device) -> Self {
        Self {
            id: device.id.clone(),
            model: device.model.to_string(),
            running: device.running.as_ref().map(|it| (it.sha256, it.version.to_string())),
            group: device.group.clone(),
            labels: device.labels.clone(),
            level: device.level(),
            last_seen: device.last_seen,
            retired: device.retired.is_some(),
        }
    }
}

/// Values, each once, and their places.
#[derive(Debug)]
struct Names<T> {
    all: Vec<T>,
    places: BTreeMap<T, u32>,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self { all: Vec::new(), places: BTreeMap::new() }
    }
}

impl<T: Clone + Ord> Names<T> {
    fn place(&mut self, value: &T) -> u32 {
        if let Some(place) = self.places.get(value) {
            return *place;
        }
        // Fewer values than devices, of which a server never has so many.
        let place = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        self.all.push(value.clone());
        self.places.insert(value.clone(), place);
        place
    }
}

fn index(place: u32) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}

/// A device as numbers.
#[derive(Debug, Clone, Copy)]
struct Packed {
    image: u32,
    model: u32,
    group: u32,
    labels: u32,
    rollout: u32,
    last_seen: Option<Timestamp>,
    level: Option<Level>,
    retired: bool,
}

/// An image, by the digest and the version that devices say.
type Image = Option<(Sha256Digest, String, String)>;

/// The fleet.
#[derive(Debug, Default)]
pub struct Table {
    devices: Names<DeviceId>,
    rows: Vec<Packed>,
    images: Names<Image>,
    models: Names<String>,
    groups: Names<Option<String>>,
    labels: Names<Entries>,
    rollouts: Names<Option<RolloutId>>,
    bills: BTreeMap<Sha256Digest, Arc<Bill>>,
}

/// What is asked of the fleet.
#[derive(Debug, Clone)]
pub struct Ask<'a> {
    /// What makes a device affected.
    pub question: &'a Question,
    /// The label whose values are counted.
    pub label: &'a str,
    /// A device that was not heard of for so long is silent, in milliseconds.
    pub silent_ms: u64,
    /// The time.
    pub now: Timestamp,
}

/// What the fleet answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Devices in service.
    pub fleet: u64,
    /// Affected ones.
    pub affected: u64,
    /// Those of which nobody knows.
    pub unknown: u64,
    /// Those that are not.
    pub unaffected: u64,
    /// Of the affected: in quarantine.
    pub quarantined: u64,
    /// Of the affected: silent.
    pub silent: u64,
    /// What releases answer, of those that run.
    pub releases: Vec<SweptRelease>,
    /// The affected by what they are.
    pub radius: Vec<Radius>,
}

impl Table {
    /// Takes in what was committed.
    pub fn take(&mut self, seen: &Seen) {
        match seen {
            Seen::Device(row) => self.device(row),
            Seen::Rollout(device, rollout) => {
                let place = self.rollouts.place(&Some(rollout.clone()));
                let known = self.devices.places.get(device).copied().map(index);
                if let Some(row) = known.and_then(|at| self.rows.get_mut(at)) {
                    row.rollout = place;
                }
            }
            Seen::Bill(bill) => {
                self.bills.insert(bill.image, Arc::clone(bill));
            }
        }
    }

    fn device(&mut self, row: &Row) {
        let place = index(self.devices.place(&row.id));
        let none = self.rollouts.place(&None);
        let model = row.model.clone();
        let image = row.running.clone().map(|(digest, version)| (digest, model, version));
        let mut packed = Packed {
            image: self.images.place(&image),
            model: self.models.place(&row.model),
            group: self.groups.place(&row.group),
            labels: self.labels.place(&row.labels),
            rollout: none,
            last_seen: row.last_seen,
            level: row.level,
            retired: row.retired,
        };
        match self.rows.get_mut(place) {
            Some(known) => {
                packed.rollout = known.rollout;
                *known = packed;
            }
            None => self.rows.push(packed),
        }
    }

    /// Asks the whole fleet, or those that `among` leaves.
    #[must_use]
    pub fn ask(&self, ask: &Ask<'_>, among: Option<&dyn Fn(&DeviceId) -> bool>) -> Swept {
        let verdicts = self.verdicts(ask.question);
        let mut swept = Swept::default();
        let mut counts = Counts::of(self);
        for (at, row) in self.rows.iter().enumerate() {
            if row.retired || !self.is_among(at, among) {
                continue;
            }
            count(&mut swept.fleet);
            let known = verdicts.get(index(row.image)).map_or(Known::Unknown, |it| it.affected);
            counts.image(row.image);
            match known {
                Known::Yes => count(&mut swept.affected),
                Known::No => {
                    count(&mut swept.unaffected);
                    continue;
                }
                Known::Unknown => {
                    count(&mut swept.unknown);
                    continue;
                }
            }
            counts.affected(row);
            if row.level.is_some_and(Level::holds_rollouts) {
                count(&mut swept.quarantined);
            }
            let heard = row.last_seen.is_some_and(|seen| ask.now.since_ms(seen) < ask.silent_ms);
            if !heard {
                count(&mut swept.silent);
            }
        }
        swept.releases = self.releases(&verdicts, &counts);
        swept.radius = self.radius(&counts, ask.label);
        swept
    }

    /// The devices that are affected, or of which nobody knows, in order.
    #[must_use]
    pub fn named(
        &self,
        question: &Question,
        wanted: Known,
        among: Option<&dyn Fn(&DeviceId) -> bool>,
    ) -> Vec<DeviceId> {
        let verdicts = self.verdicts(question);
        let rows = self.rows.iter().enumerate().filter(|(at, row)| {
            let known = verdicts.get(index(row.image)).map_or(Known::Unknown, |it| it.affected);
            !row.retired && known == wanted && self.is_among(*at, among)
        });
        let mut named: Vec<DeviceId> =
            rows.filter_map(|(at, _)| self.devices.all.get(at).cloned()).collect();
        named.sort_unstable();
        named
    }

    fn is_among(&self, at: usize, among: Option<&dyn Fn(&DeviceId) -> bool>) -> bool {
        let Some(among) = among else { return true };
        self.devices.all.get(at).is_some_and(among)
    }

    /// One verdict for each image: that is all that has to be worked out.
    fn verdicts(&self, question: &Question) -> Vec<Verdict> {
        let ask = |image: &Image| match (image, question) {
            (Some((digest, ..)), _) => {
                question.ask(digest, self.bills.get(digest).map(AsRef::as_ref))
            }
            (None, Question::Anything) => Verdict { affected: Known::Yes, why: Vec::new() },
            (None, _) => {
                let why = alloc::vec!["it has not said what it runs".to_string()];
                Verdict { affected: Known::Unknown, why }
            }
        };
        self.images.all.iter().map(ask).collect()
    }

    fn releases(&self, verdicts: &[Verdict], counts: &Counts) -> Vec<SweptRelease> {
        let mut releases: Vec<SweptRelease> = Vec::new();
        for ((image, verdict), devices) in self.images.all.iter().zip(verdicts).zip(&counts.images)
        {
            if *devices == 0 {
                continue;
            }
            releases.push(SweptRelease {
                model: image.as_ref().map(|(_, model, _)| model.clone()),
                version: image.as_ref().map(|(.., version)| version.clone()),
                sha256: image.as_ref().map(|(digest, ..)| *digest),
                affected: match verdict.affected {
                    Known::Yes => "affected".into(),
                    Known::No => "not-affected".into(),
                    Known::Unknown => "unknown".into(),
                },
                devices: *devices,
                why: verdict.why.clone(),
            });
        }
        let rank = |one: &SweptRelease| match one.affected.as_str() {
            "affected" => 0,
            "unknown" => 1,
            _ => 2,
        };
        releases.sort_by(|a, b| {
            (rank(a), b.devices, &a.version).cmp(&(rank(b), a.devices, &b.version))
        });
        releases
    }

    fn radius(&self, counts: &Counts, label: &str) -> Vec<Radius> {
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
        let image = |image: &Image| match image {
            Some((_, model, version)) => alloc::format!("{model} {version}"),
            None => "-".into(),
        };
        let rollout = |it: &Option<RolloutId>| it.as_ref().map_or("-".into(), ToString::to_string);
        let labelled = |it: &Entries| it.get(label).cloned().unwrap_or_else(|| "-".into());
        let by = |what: &str, names: Vec<String>, counts: &[u64]| Radius {
            by: what.into(),
            rows: rows(names, counts),
        };
        let label_name = alloc::format!("label {label}");
        alloc::vec![
            by("model", self.models.all.clone(), &counts.models),
            by(&label_name, self.labels.all.iter().map(labelled).collect(), &counts.labels),
            by("release", self.images.all.iter().map(image).collect(), &counts.affected_images),
            by("group", self.groups.all.iter().map(text).collect(), &counts.groups),
            by("rollout", self.rollouts.all.iter().map(rollout).collect(), &counts.rollouts),
        ]
    }

    /// How many devices it holds.
    #[must_use]
    pub fn devices(&self) -> usize {
        self.rows.len()
    }
}

/// Devices by what they are.
struct Counts {
    images: Vec<u64>,
    affected_images: Vec<u64>,
    models: Vec<u64>,
    groups: Vec<u64>,
    labels: Vec<u64>,
    rollouts: Vec<u64>,
}

impl Counts {
    fn of(table: &Table) -> Self {
        Self {
            images: alloc::vec![0; table.images.all.len()],
            affected_images: alloc::vec![0; table.images.all.len()],
            models: alloc::vec![0; table.models.all.len()],
            groups: alloc::vec![0; table.groups.all.len()],
            labels: alloc::vec![0; table.labels.all.len()],
            rollouts: alloc::vec![0; table.rollouts.all.len()],
        }
    }

    fn image(&mut self, place: u32) {
        one_more(&mut self.images, place);
    }

    fn affected(&mut self, row: &Packed) {
        one_more(&mut self.affected_images, row.image);
        one_more(&mut self.models, row.model);
        one_more(&mut self.groups, row.group);
        one_more(&mut self.labels, row.labels);
        one_more(&mut self.rollouts, row.rollout);
    }
}

fn one_more(counts: &mut [u64], place: u32) {
    if let Some(figure) = counts.get_mut(index(place)) {
        count(figure);
    }
}

const fn count(figure: &mut u64) {
    *figure = figure.saturating_add(1);
}

/// The counts by name, the largest first; what is too small for the list is one row.
fn rows(names: Vec<String>, counts: &[u64]) -> Vec<RadiusRow> {
    let mut by_name: BTreeMap<String, u64> = BTreeMap::new();
    for (name, devices) in names.into_iter().zip(counts).filter(|(_, devices)| **devices > 0) {
        let sum = by_name.entry(name).or_insert(0);
        *sum = sum.saturating_add(*devices);
    }
    let mut rows: Vec<RadiusRow> =
        by_name.into_iter().map(|(name, devices)| RadiusRow { name, devices }).collect();
    rows.sort_by(|a, b| b.devices.cmp(&a.devices).then_with(|| a.name.cmp(&b.name)));
    if rows.len() > RADIUS_ROWS_MAX {
        let rest = rows.split_off(RADIUS_ROWS_MAX.saturating_sub(1));
        let devices = rest.iter().fold(0u64, |sum, row| sum.saturating_add(row.devices));
        let name = alloc::format!("{} others", rest.len());
        rows.push(RadiusRow { name, devices });
    }
    rows
}
