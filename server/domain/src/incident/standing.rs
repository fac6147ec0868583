//! How the devices of an incident stand: added up one by one, each in exactly one place of each
//! group of figures.

use alloc::string::String;
use alloc::vec::Vec;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::{BundleId, DeviceId};
use lazaret_protocol::operator::{BundleState, NonResponder, Standing};

use crate::device::Device;

/// Devices that are listed by name.
const NON_RESPONDERS_MAX: usize = 500;

/// What is known of one device of an incident.
#[derive(Debug, Clone)]
pub struct Known<'a> {
    /// Its name.
    pub id: &'a DeviceId,
    /// Its record; none where it is gone.
    pub device: Option<&'a Device>,
    /// The bundle that was asked of it for this incident, and how that stands.
    pub bundle: Option<(&'a BundleId, BundleState)>,
}

/// Adds one device.
pub fn add(standing: &mut Standing, known: &Known<'_>, cures: &[Sha256Digest]) {
    count(&mut standing.devices);
    let mut lacks: Vec<String> = Vec::new();
    let quarantine = known.device.and_then(|device| device.quarantine.as_ref());
    let last_seen = known.device.and_then(|device| device.last_seen);
    match quarantine {
        None => count(&mut standing.free),
        Some(quarantine) if quarantine.confirmed => count(&mut standing.contained),
        Some(quarantine) if last_seen.is_some_and(|seen| seen >= quarantine.since) => {
            count(&mut standing.waiting);
            lacks.push("waiting".into());
        }
        Some(_) => {
            count(&mut standing.never_seen);
            lacks.push("never-seen".into());
        }
    }
    match known.bundle {
        None => count(&mut standing.uncollected),
        Some((_, BundleState::Received | BundleState::Deleted)) => count(&mut standing.collected),
        Some((_, BundleState::Failed)) => {
            count(&mut standing.collect_failed);
            lacks.push("collect-failed".into());
        }
        Some(_) => {
            count(&mut standing.collecting);
            lacks.push("collecting".into());
        }
    }
    let running = known.device.and_then(|device| device.running.as_ref());
    match running.is_some_and(|running| cures.contains(&running.sha256)) {
        true => count(&mut standing.patched),
        false => count(&mut standing.unpatched),
    }
    if !lacks.is_empty() && standing.non_responders.len() < NON_RESPONDERS_MAX {
        let bundle = known.bundle.map(|(bundle, _)| bundle.clone());
        let device = known.id.clone();
        standing.non_responders.push(NonResponder { device, lacks, last_seen, bundle });
    }
}

const fn count(figure: &mut u64) {
    *figure = figure.saturating_add(1);
}
