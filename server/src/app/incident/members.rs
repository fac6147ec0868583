//! Who is in an incident: found when it is opened, kept, and added up when somebody asks how it
//! stands.

use std::collections::{BTreeMap, BTreeSet};

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::{BundleId, DeviceId};
use lazaret_protocol::operator::{BundleState, Standing};
use lazaret_protocol::refusal::RefusalCode;
use lazaret_server_domain::bundle::Bundle;
use lazaret_server_domain::device::Device;
use lazaret_server_domain::filter::Filter;
use lazaret_server_domain::incident::standing::{self, Known};
use lazaret_server_domain::incident::{Asked, Incident, Members, Opening};
use lazaret_server_domain::record::{Decision, Found};
use lazaret_server_domain::refused::Refused;
use lazaret_server_domain::rollout::state::{Assigned, Rollout};

use super::super::context::App;
use super::super::error::AppError;

/// Devices looked at, or kept, at once.
const DEVICES_AT_ONCE: usize = 500;

/// The devices that a filter matches and those that are named, sorted.
///
/// # Errors
/// The filter is none, a device is unknown, or nothing says who; or the store.
pub(in super::super) async fn matching(
    app: &App,
    filter: Option<&str>,
    named: &[DeviceId],
) -> Result<Vec<DeviceId>, AppError> {
    if filter.is_none() && named.is_empty() {
        return Err(AppError::bad_request("expected a filter or devices, got neither"));
    }
    let parsed = filter.map(str::parse::<Filter>).transpose();
    let filter =
        parsed.map_err(|err| AppError::bad_request(format!("filter is refused: {err}")))?;
    let mut devices: BTreeSet<DeviceId> = named.iter().cloned().collect();
    let names: Vec<String> = devices.iter().map(ToString::to_string).collect();
    let known = app.store.find_all::<Device>(&names).await?;
    if let Some((name, _)) = names.iter().zip(&known).find(|(_, found)| found.value.is_none()) {
        return Err(Refused::because(RefusalCode::NotFound, format!("no device {name}")).into());
    }
    let Some(filter) = filter else { return Ok(devices.into_iter().collect()) };
    let mut after: Option<String> = None;
    loop {
        let page: Vec<Device> = app.store.list("", after.as_deref(), DEVICES_AT_ONCE).await?;
        let Some(last) = page.last() else { return Ok(devices.into_iter().collect()) };
        after = Some(last.id.to_string());
        let names: Vec<String> = page.iter().map(|device| device.id.to_string()).collect();
        let assigned = app.store.find_all::<Assigned>(&names).await?;
        for (device, assigned) in page.iter().zip(&assigned) {
            let rollout = assigned.value.as_ref().map(|assigned| &assigned.rollout);
            if filter.matches(device, rollout, app.now()) {
                devices.insert(device.id.clone());
            }
        }
    }
}

/// Puts the members on disk.
///
/// # Errors
/// The store.
pub(super) async fn keep(app: &App, opening: &Opening) -> Result<(), AppError> {
    for (part, devices) in (0..).zip(opening.devices.chunks(DEVICES_AT_ONCE)) {
        let members = Members { incident: opening.id.clone(), part, devices: devices.to_vec() };
        app.decide(|| async { Ok(Decision::reply(()).put(&members)) }).await?.into_reply();
    }
    Ok(())
}

/// The members of an incident.
///
/// # Errors
/// The store.
pub(super) async fn of(app: &App, incident: &Incident) -> Result<Vec<DeviceId>, AppError> {
    let parts: Vec<Members> = app.store.list_all(&format!("{}/", incident.id)).await?;
    Ok(parts.into_iter().flat_map(|part| part.devices).collect())
}

/// How the devices of an incident stand.
///
/// # Errors
/// The store.
pub(super) async fn standing(app: &App, incident: &Incident) -> Result<Standing, AppError> {
    let devices = of(app, incident).await?;
    standing_of(app, incident, &devices).await
}

/// How these devices of an incident stand.
///
/// # Errors
/// The store.
pub(super) async fn standing_of(
    app: &App,
    incident: &Incident,
    devices: &[DeviceId],
) -> Result<Standing, AppError> {
    let cures = cures(app, incident).await?;
    let mut asked = BTreeMap::new();
    let all: Vec<Asked> = app.store.list_all(&format!("{}/", incident.id)).await?;
    for one in all {
        asked.insert(one.device, one.bundle);
    }
    let mut standing = Standing::default();
    for chunk in devices.chunks(DEVICES_AT_ONCE) {
        let names: Vec<String> = chunk.iter().map(ToString::to_string).collect();
        let records = app.store.find_all::<Device>(&names).await?;
        let bundles = bundles(app, chunk, &asked).await?;
        for (id, record) in chunk.iter().zip(&records) {
            let bundle = asked.get(id).map(|bundle| {
                (bundle, bundles.get(bundle).copied().unwrap_or(BundleState::Ordered))
            });
            let known = Known { id, device: record.value.as_ref(), bundle };
            standing::add(&mut standing, &known, &cures);
        }
    }
    Ok(standing)
}

async fn bundles(
    app: &App,
    devices: &[DeviceId],
    asked: &BTreeMap<DeviceId, BundleId>,
) -> Result<BTreeMap<BundleId, BundleState>, AppError> {
    let names = devices.iter().filter_map(|device| asked.get(device));
    let names: Vec<String> = names.map(ToString::to_string).collect();
    let found: Vec<Found<Bundle>> = app.store.find_all(&names).await?;
    let bundles = found.into_iter().filter_map(|found| found.value);
    Ok(bundles.map(|bundle| (bundle.id, bundle.state)).collect())
}

/// The images that linked rollouts bring.
async fn cures(app: &App, incident: &Incident) -> Result<Vec<Sha256Digest>, AppError> {
    let names: Vec<String> = incident.rollouts.iter().map(ToString::to_string).collect();
    let found: Vec<Found<Rollout>> = app.store.find_all(&names).await?;
    let rollouts = found.into_iter().filter_map(|found| found.value);
    Ok(rollouts.map(|rollout| rollout.release.sha256).collect())
}
