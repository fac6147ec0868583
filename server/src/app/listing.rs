//! What operators look at: pages of devices, releases, rollouts, events. Nothing here changes
//! anything.

use lazaret_protocol::id::{BundleId, DeviceId};
use lazaret_protocol::operator::{
    ApproverKeyView, BundleView, DeviceView, EventView, Page, ReleaseView, RolloutView, Scope,
};
use lazaret_protocol::refusal::RefusalCode;
use lazaret_server_domain::approver::ApproverKey;
use lazaret_server_domain::bundle::Bundle;
use lazaret_server_domain::device::Device;
use lazaret_server_domain::filter::Filter;
use lazaret_server_domain::record::{Found, Record};
use lazaret_server_domain::refused::Refused;
use lazaret_server_domain::release::Release;
use lazaret_server_domain::rollout::state::{Assigned, Rollout};

use super::context::App;
use super::error::AppError;
use super::{release, rollout, within};

/// Items on one page: the default and the most.
pub(crate) const PAGE_ITEMS_MAX: usize = 500;

/// Devices that one request looks at to find those that a filter matches.
const LOOKED_AT_MAX: usize = 20_000;

/// Which page.
#[derive(Debug, Clone, Default)]
pub(crate) struct PageRequest {
    /// Begin behind this one.
    pub(crate) after: Option<String>,
    /// At most this many; [`PAGE_ITEMS_MAX`] where nothing is said.
    pub(crate) limit: Option<usize>,
}

impl PageRequest {
    /// Items wanted, within what a page may hold.
    pub(crate) fn limit(&self) -> usize {
        self.limit.unwrap_or(PAGE_ITEMS_MAX).clamp(1, PAGE_ITEMS_MAX)
    }
}

/// A page of devices, of those that `filter` matches and that lie within `scopes`. Looking is
/// bounded too: a page may hold few or none and still have a next.
///
/// # Errors
/// The filter is none; or the store.
pub(crate) async fn devices(
    app: &App,
    (filter, scopes): (Option<&str>, &[Scope]),
    page: &PageRequest,
) -> Result<Page<DeviceView>, AppError> {
    if filter.is_none() && scopes.is_empty() {
        let (devices, next) = records::<Device>(app, page).await?;
        return Ok(Page { items: devices.iter().map(Device::view).collect(), next });
    }
    let parsed = filter.map(str::parse::<Filter>).transpose();
    let filter = parsed.map_err(|err| {
        Refused::because(RefusalCode::BadRequest, format!("filter is refused: {err}"))
    })?;
    let (mut items, mut after, mut looked) = (Vec::new(), page.after.clone(), 0);
    while items.len() < page.limit() && looked < LOOKED_AT_MAX {
        let devices: Vec<Device> = app.store.list("", after.as_deref(), PAGE_ITEMS_MAX).await?;
        if devices.is_empty() {
            return Ok(Page { items, next: None });
        }
        looked = looked.saturating_add(devices.len());
        let names: Vec<String> = devices.iter().map(|device| device.id.to_string()).collect();
        let assigned = app.store.find_all::<Assigned>(&names).await?;
        for (device, assigned) in devices.iter().zip(&assigned) {
            let rollout = assigned.value.as_ref().map(|assigned| &assigned.rollout);
            let wanted = |filter: &Filter| filter.matches(device, rollout, app.now());
            if within::all_cover(scopes, device) && filter.as_ref().is_none_or(wanted) {
                items.push(device.view());
            }
            after = Some(device.id.to_string());
            if items.len() >= page.limit() {
                break;
            }
        }
    }
    Ok(Page { items, next: after })
}

/// One device.
///
/// # Errors
/// No such device; or the store.
pub(crate) async fn device(app: &App, id: &DeviceId) -> Result<DeviceView, AppError> {
    let found: Found<Device> = app.store.find(id.as_str()).await?;
    let unknown = || Refused::because(RefusalCode::NotFound, format!("no device {id}"));
    Ok(found.value.ok_or_else(unknown)?.view())
}

/// One bundle.
///
/// # Errors
/// No such bundle; or the store.
pub(crate) async fn bundle(app: &App, id: &BundleId) -> Result<BundleView, AppError> {
    let found: Found<Bundle> = app.store.find(id.as_str()).await?;
    let unknown = || Refused::because(RefusalCode::NotFound, format!("no bundle {id}"));
    Ok(found.value.ok_or_else(unknown)?.view())
}

/// A page of bundles.
///
/// # Errors
/// The store.
pub(crate) async fn bundles(app: &App, page: &PageRequest) -> Result<Page<BundleView>, AppError> {
    let (bundles, next) = records::<Bundle>(app, page).await?;
    Ok(Page { items: bundles.iter().map(Bundle::view).collect(), next })
}

/// A page of releases.
///
/// # Errors
/// The stores.
pub(crate) async fn releases(app: &App, page: &PageRequest) -> Result<Page<ReleaseView>, AppError> {
    let (releases, next) = records::<Release>(app, page).await?;
    let mut items = Vec::with_capacity(releases.len());
    for one in &releases {
        items.push(release::view(app, one).await?);
    }
    Ok(Page { items, next })
}

/// A page of rollouts.
///
/// # Errors
/// The store.
pub(crate) async fn rollouts(app: &App, page: &PageRequest) -> Result<Page<RolloutView>, AppError> {
    let (rollouts, next) = records::<Rollout>(app, page).await?;
    let mut items = Vec::with_capacity(rollouts.len());
    for one in &rollouts {
        items.push(one.view(&rollout::counted(app, one).await?));
    }
    Ok(Page { items, next })
}

/// A page of the keys that may approve.
///
/// # Errors
/// The store.
pub(crate) async fn approver_keys(
    app: &App,
    page: &PageRequest,
) -> Result<Page<ApproverKeyView>, AppError> {
    let (keys, next) = records::<ApproverKey>(app, page).await?;
    Ok(Page { items: keys.iter().map(ApproverKey::view).collect(), next })
}

/// A page of the event log.
///
/// # Errors
/// `after` is no number; or the store.
pub(crate) async fn events(app: &App, page: &PageRequest) -> Result<Page<EventView>, AppError> {
    let after = match &page.after {
        None => 0,
        Some(text) => text.parse().map_err(|_| {
            let detail = format!("expected the number of an event in after, got {text:?}");
            Refused::because(RefusalCode::BadRequest, detail)
        })?,
    };
    let items = events_after(app, after, page.limit()).await?;
    let next = items.last().map(|event| event.sequence.to_string());
    Ok(Page { items, next })
}

/// Events numbered above `after`, at most `limit`.
///
/// # Errors
/// The store.
pub(crate) async fn events_after(
    app: &App,
    after: u64,
    limit: usize,
) -> Result<Vec<EventView>, AppError> {
    let events = app.store.events(after, limit).await?;
    let views = events.into_iter().map(|(sequence, event)| EventView {
        sequence,
        at: event.at,
        what: event.fact.to_string(),
        event: serde_json::to_value(&event.fact).unwrap_or_default(),
    });
    Ok(views.collect())
}

/// A page of records of one kind, and what the next page begins behind.
///
/// # Errors
/// The store.
pub(super) async fn records<T: Record>(
    app: &App,
    page: &PageRequest,
) -> Result<(Vec<T>, Option<String>), AppError> {
    let found: Vec<T> = app.store.list("", page.after.as_deref(), page.limit()).await?;
    // A page may be short without being the last; only an empty one is.
    let next = found.last().map(Record::name);
    Ok((found, next))
}
