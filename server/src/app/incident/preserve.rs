//! Preserve, then patch: what an incident wants of a device before a rollout that cures it
//! overwrites what is there.

use std::collections::BTreeSet;

use lazaret_protocol::id::{BundleId, DeviceId, IncidentId, OperatorName};
use lazaret_protocol::operator::{BundleState, IncidentState};
use lazaret_protocol::refusal::RefusalCode;
use lazaret_server_domain::bundle::Bundle;
use lazaret_server_domain::incident::Asked;
use lazaret_server_domain::record::Found;
use lazaret_server_domain::refused::Refused;
use lazaret_server_domain::rollout::state::{Assignment, Rollout};

use super::super::context::App;
use super::super::error::AppError;
use super::{collect, existing};

/// The evidence that the incident which a rollout cures wants of a device; none where it wants
/// none, or the rollout waits for none.
///
/// # Errors
/// The store.
pub(crate) async fn wanted(
    app: &App,
    rollout: &Rollout,
    device: &DeviceId,
) -> Result<Option<(BundleId, BundleState)>, AppError> {
    let (Some(incident), Some(_)) = (&rollout.cures, rollout.conduct.preserve) else {
        return Ok(None);
    };
    let asked: Found<Asked> = app.store.find(&format!("{incident}/{device}")).await?;
    let Some(asked) = asked.value else { return Ok(None) };
    let bundle: Found<Bundle> = app.store.find(asked.bundle.as_str()).await?;
    let state = bundle.value.map_or(BundleState::Ordered, |bundle| bundle.state);
    Ok(Some((asked.bundle, state)))
}

/// Asks every device of the incident for its evidence, before anything of the rollout is offered.
///
/// # Errors
/// A device of the rollout cannot be asked: what it holds would be overwritten unseen. Or the
/// store.
pub(crate) async fn ask_first(
    app: &App,
    by: &OperatorName,
    rollout: &Rollout,
    incident: &IncidentId,
) -> Result<(), AppError> {
    if rollout.conduct.preserve.is_none() {
        return Ok(());
    }
    let incident = existing(app, incident).await?;
    if incident.state() == IncidentState::Closed {
        return Ok(());
    }
    let reason = format!("before {} overwrites it", rollout.id);
    let refused = collect::all(app, by, &incident, &reason).await?.refused;
    if refused.is_empty() {
        return Ok(());
    }
    let parts: Vec<Assignment> = app.store.list_all(&format!("{}/", rollout.id)).await?;
    let ours: BTreeSet<&DeviceId> = parts.iter().map(|part| &part.device).collect();
    let unasked: Vec<&DeviceId> = refused.iter().filter(|device| ours.contains(device)).collect();
    let Some(first) = unasked.first() else { return Ok(()) };
    let detail = format!(
        "{} of the devices of {} could not be asked for their evidence, {first} among them: they \
         have too many open orders; try again once they have polled",
        unasked.len(),
        incident.id
    );
    Err(Refused::because(RefusalCode::Conflict, detail).into())
}
