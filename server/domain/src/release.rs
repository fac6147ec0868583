//! Releases: an image of one hardware model, from its announcement to its place in the signed
//! repository.

#[cfg(test)]
mod tests;

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::{ModelName, OperatorName, VersionName};
use lazaret_protocol::limits::IMAGE_BYTES_MAX;
use lazaret_protocol::operator::{DeltaView, ReleaseRequest, ReleaseState, ReleaseView};
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::target::{DeltaCustom, ImageCustom, Schedule};
use lazaret_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::{Event, Fact};
use crate::record::{Decision, Found, Record};
use crate::refused::Refused;

/// Bases for which a release gets deltas. Each costs the server minutes and the repository an
/// entry; devices further behind take the full image.
pub const DELTA_BASES_MAX: usize = 6;

/// One release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The hardware model.
    pub model: ModelName,
    /// The version.
    pub version: VersionName,
    /// Digest of the image.
    pub sha256: Sha256Digest,
    /// Length of the image in bytes.
    pub length: u64,
    /// How far it has come.
    pub state: ReleaseState,
    /// Deltas made.
    pub deltas: Vec<Delta>,
    /// Bases whose delta is still to be made.
    pub pending: Vec<DeltaBase>,
    /// Its release counter, once it is published.
    pub counter: Option<u64>,
    /// The counter that a device must run at least to install it, once it is published.
    #[serde(default)]
    pub needs: u64,
    /// When whom the signers let install it, once it is published.
    pub schedule: Option<Schedule>,
    /// Who announced it.
    pub created_by: OperatorName,
}

/// A delta that is in the blob store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delta {
    /// The version it starts from.
    pub base: VersionName,
    /// Digest of the delta.
    pub sha256: Sha256Digest,
    /// Length of the delta in bytes.
    pub length: u64,
    /// What the repository says of it.
    pub custom: DeltaCustom,
}

/// A release to make a delta from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeltaBase {
    /// Its version.
    pub version: VersionName,
    /// Digest of its image.
    pub sha256: Sha256Digest,
}

impl Record for Release {
    const KIND: &'static str = "release";
    fn name(&self) -> String {
        release_name(&self.model, &self.version)
    }
}

/// The name of a release's record.
#[must_use]
pub fn release_name(model: &ModelName, version: &VersionName) -> String {
    format!("{model}/{version}")
}

impl Release {
    /// As operators see it. `uploaded` is what the blob store has, in bytes.
    #[must_use]
    pub fn view(&self, uploaded: u64) -> ReleaseView {
        let delta =
            |d: &Delta| DeltaView { base: d.base.clone(), length: d.length, sha256: d.sha256 };
        ReleaseView {
            model: self.model.clone(),
            version: self.version.clone(),
            sha256: self.sha256,
            length: self.length,
            state: self.state,
            uploaded,
            deltas: self.deltas.iter().map(delta).collect(),
            deltas_pending: self.pending.iter().map(|base| base.version.clone()).collect(),
            counter: self.counter,
            created_by: self.created_by.clone(),
        }
    }
}

/// Announces a release. The same announcement again changes nothing, so that an upload can be taken
/// up after a broken link.
///
/// # Errors
/// The length is not one of an image, or the version exists with another image.
pub fn announce(
    request: &ReleaseRequest,
    found: &Found<Release>,
    (by, now): (&OperatorName, Timestamp),
) -> Result<Decision<Release>, Refused> {
    if request.length == 0 || request.length > IMAGE_BYTES_MAX {
        let detail =
            format!("expected an image of 1 to {IMAGE_BYTES_MAX} bytes, got {}", request.length);
        return Err(Refused::because(RefusalCode::BadRequest, detail));
    }
    if let Some(release) = &found.value {
        if release.sha256 == request.sha256 && release.length == request.length {
            return Ok(Decision::reply(release.clone()));
        }
        let detail = format!(
            "{} {} exists with the image {}; a version never changes its image",
            release.model, release.version, release.sha256
        );
        return Err(Refused::because(RefusalCode::Conflict, detail));
    }
    let release = Release {
        model: request.model.clone(),
        version: request.version.clone(),
        sha256: request.sha256,
        length: request.length,
        state: ReleaseState::Uploading,
        deltas: vec![],
        pending: vec![],
        counter: None,
        needs: 0,
        schedule: None,
        created_by: by.clone(),
    };
    let fact = Fact::ReleaseCreated {
        model: release.model.clone(),
        version: release.version.clone(),
        sha256: release.sha256,
        by: by.clone(),
    };
    Ok(Decision::reply(release.clone()).replace(found, &release).event(Event { at: now, fact }))
}

/// Notes that the image is whole, and from which releases deltas are wanted.
///
/// # Errors
/// No such release.
pub fn uploaded(
    found: &Found<Release>,
    bases: Vec<DeltaBase>,
    now: Timestamp,
) -> Result<Decision<Release>, Refused> {
    let mut release = known(found)?;
    if release.state != ReleaseState::Uploading {
        return Ok(Decision::reply(release));
    }
    release.state = ReleaseState::Uploaded;
    release.pending = bases;
    let fact =
        Fact::ReleaseUploaded { model: release.model.clone(), version: release.version.clone() };
    Ok(Decision::reply(release.clone()).replace(found, &release).event(Event { at: now, fact }))
}

/// Which releases get a delta to the new one, in the order in which deltas are made: those that
/// most devices run, and of those that as many run the newest; where nobody has said what it runs,
/// the newest one published. `in_field` has the digest of what it runs for every device.
#[must_use]
pub fn delta_bases(
    of: &Release,
    published: &[Release],
    in_field: &[Sha256Digest],
) -> Vec<DeltaBase> {
    let mut candidates: Vec<&Release> = published
        .iter()
        .filter(|r| r.counter.is_some() && r.model == of.model && r.sha256 != of.sha256)
        .collect();
    candidates.sort_by_key(|r| core::cmp::Reverse(r.counter));
    let devices = |r: &Release| in_field.iter().filter(|sha256| **sha256 == r.sha256).count();
    let mut running: Vec<(usize, &Release)> =
        candidates.iter().map(|r| (devices(r), *r)).filter(|(count, _)| *count > 0).collect();
    // Stable: of those with as many devices, the newest stays in front.
    running.sort_by_key(|(count, _)| core::cmp::Reverse(*count));
    let mut chosen: Vec<&Release> =
        running.into_iter().take(DELTA_BASES_MAX).map(|(_, r)| r).collect();
    if chosen.is_empty() {
        chosen = candidates.into_iter().take(1).collect();
    }
    chosen.into_iter().map(|r| DeltaBase { version: r.version.clone(), sha256: r.sha256 }).collect()
}

/// Notes a delta, or that none could be made from `base` (then it is not wanted any more: devices
/// on it take the full image).
///
/// # Errors
/// No such release.
pub fn delta_settled(
    found: &Found<Release>,
    base: &VersionName,
    made: Option<Delta>,
    now: Timestamp,
) -> Result<Decision<Release>, Refused> {
    let mut release = known(found)?;
    release.pending.retain(|pending| pending.version != *base);
    let mut events = vec![];
    if let Some(delta) = made {
        events.push(Fact::DeltaMade {
            model: release.model.clone(),
            version: release.version.clone(),
            base: base.clone(),
            length: delta.length,
        });
        release.deltas.retain(|known| known.base != *base);
        release.deltas.push(delta);
    }
    let mut decision = Decision::reply(release.clone()).replace(found, &release);
    for fact in events {
        decision = decision.event(Event { at: now, fact });
    }
    Ok(decision)
}

/// The release as signers published it.
#[must_use]
pub fn published(release: &Release, custom: &ImageCustom) -> Release {
    Release {
        state: ReleaseState::Published,
        counter: Some(custom.counter),
        needs: custom.needs,
        schedule: Some(custom.schedule.clone()),
        ..release.clone()
    }
}

fn known(found: &Found<Release>) -> Result<Release, Refused> {
    found.value.clone().ok_or_else(|| Refused::because(RefusalCode::NotFound, "no such release"))
}
