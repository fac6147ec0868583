//! What concerns the whole fleet: the cord that halts it, how it is labelled, and what holds one of
//! its devices.

use lazaret_protocol::id::{DeviceId, OperatorName};
use lazaret_protocol::operator::{
    DeviceView, FleetHaltView, LabelRequest, ReleaseFleetRequest, RolloutState, WhyView,
};
use lazaret_protocol::refusal::RefusalCode;
use lazaret_server_domain::device::Device;
use lazaret_server_domain::label;
use lazaret_server_domain::record::Found;
use lazaret_server_domain::refused::Refused;
use lazaret_server_domain::rollout::cord::{self, Cord};
use lazaret_server_domain::rollout::hold;
use lazaret_server_domain::rollout::state::{Assigned, Assignment, Rollout, assignment_name};
use lazaret_server_store::Committed;

use super::context::App;
use super::error::AppError;
use super::incident::preserve;
use super::rollout;

/// Halts the whole fleet: one person, no approval. It holds from the commit on.
///
/// # Errors
/// No reason; or the store.
pub(crate) async fn halt(
    app: &App,
    by: &OperatorName,
    reason: &str,
) -> Result<Committed<FleetHaltView>, AppError> {
    let pulled = app
        .decide(|| async {
            let found = app.store.find(Cord::NAME).await?;
            Ok(cord::pull(&found, reason, (by, app.now()))?)
        })
        .await?;
    app.wake();
    // The fleet is halted already, whatever becomes of the count, which a reconciler makes up for.
    let view = match count(app).await {
        Ok(()) => show(app).await,
        Err(err) => Err(err),
    };
    let fallback = shown(pulled.reply(), 0);
    Ok(pulled.map(|_| view.unwrap_or(fallback)))
}

/// Lets the fleet go on.
///
/// # Errors
/// It is not halted, or was halted again; or the store.
pub(crate) async fn release(
    app: &App,
    by: &OperatorName,
    request: &ReleaseFleetRequest,
) -> Result<Committed<FleetHaltView>, AppError> {
    let released = app
        .decide(|| async {
            let found = app.store.find(Cord::NAME).await?;
            Ok(cord::release(&found, request.number, &request.reason, (by, app.now()))?)
        })
        .await?;
    app.wake();
    Ok(released.map(|cord| shown(&cord, 0)))
}

/// Whether the fleet is halted, and how many have acknowledged it.
///
/// # Errors
/// The store.
pub(crate) async fn show(app: &App) -> Result<FleetHaltView, AppError> {
    let found: Found<Cord> = app.store.find(Cord::NAME).await?;
    let cord = found.value.unwrap_or_default();
    let outstanding = if cord.holds() { outstanding(app).await? } else { 0 };
    Ok(shown(&cord, outstanding))
}

fn shown(cord: &Cord, outstanding: u64) -> FleetHaltView {
    let acknowledged = cord.acknowledged(outstanding);
    let pulled = cord.pulled.as_ref();
    FleetHaltView {
        halted: cord.holds(),
        number: cord.number,
        by: pulled.map(|pulled| pulled.by.clone()),
        reason: pulled.map(|pulled| pulled.reason.clone()),
        at: pulled.map(|pulled| pulled.at),
        acknowledged: acknowledged.map_or(0, |counts| counts.acknowledged),
        open_offers: acknowledged.map_or(0, |counts| counts.of),
    }
}

/// Notes how many offers were open when the fleet was halted. Does nothing once that is noted.
///
/// # Errors
/// The store.
pub(crate) async fn count(app: &App) -> Result<(), AppError> {
    let found: Found<Cord> = app.store.find(Cord::NAME).await?;
    let pulled = found.value.as_ref().and_then(|cord| cord.pulled.as_ref());
    if pulled.is_none_or(|pulled| pulled.open_offers.is_some()) {
        return Ok(());
    }
    let outstanding = outstanding(app).await?;
    let counted = app
        .decide(|| async {
            let found = app.store.find(Cord::NAME).await?;
            Ok(cord::counted(&found, outstanding))
        })
        .await?;
    counted.into_reply();
    Ok(())
}

/// Offers that are open.
async fn outstanding(app: &App) -> Result<u64, AppError> {
    let rollouts: Vec<Rollout> = app.store.list_all("").await?;
    let mut sum = 0u64;
    for one in rollouts {
        let begun = matches!(
            one.state,
            RolloutState::Running | RolloutState::Paused | RolloutState::Halted
        );
        if begun {
            let tally = rollout::counted(app, &one).await?;
            sum = sum.saturating_add(tally.sum(|group| group.outstanding));
        }
    }
    Ok(sum)
}

/// Changes what a device is labelled with.
///
/// # Errors
/// As the domain says; or the store.
pub(crate) async fn label(
    app: &App,
    by: &OperatorName,
    device: &DeviceId,
    request: &LabelRequest,
) -> Result<Committed<DeviceView>, AppError> {
    let labelled = app
        .decide(|| async {
            let found = app.store.find(device.as_str()).await?;
            Ok(label::label(&found, request, (by, app.now()))?)
        })
        .await?;
    Ok(labelled.map(|device| device.view()))
}

/// The one gate that holds a device: what its next poll would be told.
///
/// # Errors
/// No such device; or the store.
pub(crate) async fn why(app: &App, id: &DeviceId) -> Result<WhyView, AppError> {
    let found: Found<Device> = app.store.find(id.as_str()).await?;
    let unknown = || Refused::because(RefusalCode::NotFound, format!("no device {id}"));
    let device = found.value.ok_or_else(unknown)?;
    let part = part_of(app, id).await?;
    let cord: Found<Cord> = app.store.find(Cord::NAME).await?;
    let both = part.as_ref().map(|(rollout, part)| (rollout, part));
    let evidence = match &part {
        Some((rollout, _)) => preserve::wanted(app, rollout, id).await?,
        None => None,
    };
    let device_and_evidence = (&device, evidence.as_ref());
    let held = hold::why(
        device_and_evidence,
        both,
        cord.value.as_ref(),
        (app.now(), app.poll_interval_ms),
    );
    Ok(WhyView {
        device: id.clone(),
        rollout: part.as_ref().map(|(rollout, _)| rollout.id.clone()),
        gate: held.code().to_owned(),
        holds: held.in_words(),
        opens: held.opens(),
        brings: part.as_ref().map(|(rollout, _)| {
            rollout.brings(device.running.as_ref().map(|running| running.counter))
        }),
        running: device.running.as_ref().map(|running| running.version.clone()),
        last_seen: device.last_seen,
        last_outcome: device.last_outcome.clone(),
        quarantined: device.quarantine.is_some(),
    })
}

/// The rollout that a device is in; where that is over or there is none, a plan that has it.
async fn part_of(app: &App, id: &DeviceId) -> Result<Option<(Rollout, Assignment)>, AppError> {
    let assigned: Found<Assigned> = app.store.find(id.as_str()).await?;
    let mut current = None;
    if let Some(assigned) = assigned.value {
        let rollout: Found<Rollout> = app.store.find(assigned.rollout.as_str()).await?;
        let part = app.store.find(&assignment_name(&assigned.rollout, id)).await?;
        current = rollout.value.zip(part.value);
    }
    let over = |rollout: &Rollout| {
        matches!(rollout.state, RolloutState::Finished | RolloutState::Withdrawn)
    };
    if current.as_ref().is_some_and(|(rollout, _)| !over(rollout)) {
        return Ok(current);
    }
    let rollouts: Vec<Rollout> = app.store.list_all("").await?;
    let plans = rollouts
        .into_iter()
        .rev()
        .filter(|rollout| matches!(rollout.state, RolloutState::Planned | RolloutState::Approved));
    for plan in plans {
        let part: Found<Assignment> = app.store.find(&assignment_name(&plan.id, id)).await?;
        if let Some(part) = part.value {
            return Ok(Some((plan, part)));
        }
    }
    Ok(current)
}
