//! An operator starts a staged deployment, or stops one.

use lazaret_protocol::id::{DeviceId, OperatorName, RolloutId};
use lazaret_protocol::limits::ROLLOUT_DEVICES_MAX;
use lazaret_protocol::operator::{RolloutRequest, RolloutScope, RolloutState, RolloutView};
use lazaret_protocol::refusal::RefusalCode;
use lazaret_server_domain::device::Device;
use lazaret_server_domain::event::{Event, Fact};
use lazaret_server_domain::record::{Decision, Found};
use lazaret_server_domain::refused::Refused;
use lazaret_server_domain::release::{Release, release_name};
use lazaret_server_domain::rollout::advance;
use lazaret_server_domain::rollout::plan::{Plan, plan};
use lazaret_server_domain::rollout::state::{Assigned, Assignment, Rollout, RolloutRelease, Tally};
use lazaret_server_store::Committed;

use super::context::{App, random};
use super::error::AppError;

/// Devices entered in one commit. Each takes two records and one expectation of the 4096 that a
/// batch may have.
const ASSIGNMENTS_PER_COMMIT: usize = 1000;

/// Starts a rollout. Every device's part is on disk before the rollout itself is: a crash between
/// the two leaves parts of a rollout that does not exist, which polls pass over.
///
/// # Errors
/// The release is not published, a device is unknown, of another model or busy in a running
/// rollout, or the plan makes no sense; or the store.
pub(crate) async fn start(
    app: &App,
    by: &OperatorName,
    request: &RolloutRequest,
) -> Result<Committed<RolloutView>, AppError> {
    let _alone = app.starting.lock().await;
    let release = published(app, request).await?;
    let devices = in_scope(app, request).await?;
    let now = app.now();
    let id: RolloutId = format!("r-{}-{}", now.as_ms(), hex::encode(random::<3>()?))
        .parse()
        .map_err(|_| AppError::CutShort { what: "naming a rollout" })?;
    let planned = plan(request, release, devices, (id, by, now))?;
    for chunk in planned.assignments.chunks(ASSIGNMENTS_PER_COMMIT) {
        assign(app, chunk).await?;
    }
    let committed = app.decide(|| async { Ok(begin(&planned, by, request, app)) }).await?;
    app.wake();
    Ok(committed)
}

/// Halts a rollout.
///
/// # Errors
/// As the domain says; or the store.
pub(crate) async fn halt(
    app: &App,
    by: &OperatorName,
    rollout: &RolloutId,
    reason: &str,
) -> Result<Committed<RolloutView>, AppError> {
    let halted = app
        .decide(|| async {
            let found: Found<Rollout> = app.store.find(rollout.as_str()).await?;
            Ok(advance::halt(&found, by.as_str(), reason, app.now())?)
        })
        .await?;
    app.wake();
    let tally = counted(app, halted.reply()).await?;
    Ok(halted.map(|rollout| rollout.view(&tally)))
}

/// A rollout with its counts at this moment.
///
/// # Errors
/// No such rollout; or the store.
pub(crate) async fn show(app: &App, rollout: &RolloutId) -> Result<RolloutView, AppError> {
    let found: Found<Rollout> = app.store.find(rollout.as_str()).await?;
    let unknown = || Refused::because(RefusalCode::NotFound, "no such rollout");
    let rollout = found.value.ok_or_else(unknown)?;
    let tally = counted(app, &rollout).await?;
    Ok(rollout.view(&tally))
}

/// The counts of a rollout, from each device's own part: never from a sum that could drift.
///
/// # Errors
/// The store.
pub(crate) async fn counted(app: &App, rollout: &Rollout) -> Result<Tally, AppError> {
    let parts: Vec<Assignment> = app.store.list_all(&format!("{}/", rollout.id)).await?;
    Ok(Tally::count(rollout, &parts, app.now()))
}

/// Takes every unfinished rollout as far as its counts allow.
///
/// # Errors
/// The store. What was done for other rollouts stays done.
pub(crate) async fn advance_all(app: &App) -> Result<(), AppError> {
    let rollouts: Vec<Rollout> = app.store.list_all("").await?;
    let mut failed = Ok(());
    for rollout in rollouts.into_iter().filter(|r| r.state == RolloutState::Running) {
        // One that cannot be read must not keep the others from halting.
        if let Err(err) = advance_one(app, &rollout).await {
            failed = Err(err);
        }
    }
    failed
}

async fn advance_one(app: &App, before: &Rollout) -> Result<(), AppError> {
    let advanced = app
        .decide(|| async {
            let found: Found<Rollout> = app.store.find(before.id.as_str()).await?;
            let tally: Found<Tally> = app.store.find(before.id.as_str()).await?;
            let counted = counted(app, before).await?;
            Ok(advance::advance(&found, &tally, &counted, app.now()))
        })
        .await?;
    advanced.into_reply();
    let after: Found<Rollout> = app.store.find(before.id.as_str()).await?;
    if after.value.as_ref() != Some(before) {
        app.wake();
    }
    Ok(())
}

async fn published(app: &App, request: &RolloutRequest) -> Result<RolloutRelease, AppError> {
    let name = release_name(&request.model, &request.version);
    let found: Found<Release> = app.store.find(&name).await?;
    let release = found
        .value
        .ok_or_else(|| Refused::because(RefusalCode::NotFound, format!("no release {name}")))?;
    let schedule = release.schedule.ok_or_else(|| {
        let detail = format!("release {name} is not published: signers have to sign it first");
        Refused::because(RefusalCode::Conflict, detail)
    })?;
    Ok(RolloutRelease {
        model: release.model,
        version: release.version,
        sha256: release.sha256,
        schedule,
    })
}

async fn in_scope(app: &App, request: &RolloutRequest) -> Result<Vec<DeviceId>, AppError> {
    let conflict = |detail: String| AppError::from(Refused::because(RefusalCode::Conflict, detail));
    let devices: Vec<Device> = match &request.scope {
        RolloutScope::Devices { devices } => {
            let names: Vec<String> = devices.iter().map(ToString::to_string).collect();
            let mut known = Vec::with_capacity(names.len());
            for (name, found) in names.iter().zip(app.store.find_all::<Device>(&names).await?) {
                let unknown =
                    || Refused::because(RefusalCode::NotFound, format!("no device {name}"));
                known.push(found.value.ok_or_else(unknown)?);
            }
            known
        }
        RolloutScope::Model => {
            let all: Vec<Device> = app.store.list_all("").await?;
            all.into_iter().filter(|device| device.model == request.model).collect()
        }
        _ => return Err(conflict("expected a scope of this form".to_owned())),
    };
    if devices.len() > ROLLOUT_DEVICES_MAX {
        return Err(conflict(format!(
            "expected at most {ROLLOUT_DEVICES_MAX} devices in a rollout, got {}",
            devices.len()
        )));
    }
    if let Some(other) = devices.iter().find(|device| device.model != request.model) {
        return Err(conflict(format!(
            "{} is of model {}, the release is for {}",
            other.id, other.model, request.model
        )));
    }
    Ok(devices.into_iter().map(|device| device.id).collect())
}

async fn assign(app: &App, chunk: &[Assignment]) -> Result<(), AppError> {
    let names: Vec<String> = chunk.iter().map(|part| part.device.to_string()).collect();
    let committed = app
        .decide(|| async {
            let present: Vec<Found<Assigned>> = app.store.find_all(&names).await?;
            let mut decision = Decision::reply(());
            for (part, found) in chunk.iter().zip(&present) {
                refuse_busy(app, found).await?;
                let assigned =
                    Assigned { device: part.device.clone(), rollout: part.rollout.clone() };
                decision = decision.put(part).replace(found, &assigned);
            }
            Ok(decision)
        })
        .await?;
    committed.into_reply();
    Ok(())
}

async fn refuse_busy(app: &App, found: &Found<Assigned>) -> Result<(), AppError> {
    let Some(assigned) = &found.value else { return Ok(()) };
    let rollout: Found<Rollout> = app.store.find(assigned.rollout.as_str()).await?;
    let running = rollout.value.is_some_and(|rollout| rollout.state == RolloutState::Running);
    if !running {
        return Ok(());
    }
    let detail = format!(
        "{} is in {}, which is running: halt it or wait for its end",
        assigned.device, assigned.rollout
    );
    Err(Refused::because(RefusalCode::Conflict, detail).into())
}

fn begin(
    planned: &Plan,
    by: &OperatorName,
    request: &RolloutRequest,
    app: &App,
) -> Decision<RolloutView> {
    let rollout = &planned.rollout;
    let tally = Tally::count(rollout, &planned.assignments, app.now());
    let fact = Fact::RolloutStarted {
        rollout: rollout.id.clone(),
        model: rollout.release.model.clone(),
        version: rollout.release.version.clone(),
        devices: u64::try_from(planned.assignments.len()).unwrap_or(u64::MAX),
        by: by.clone(),
        reason: request.reason.clone(),
    };
    Decision::reply(rollout.view(&tally)).put(rollout).event(Event { at: app.now(), fact })
}
