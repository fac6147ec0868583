//! An operator starts a staged deployment, or stops one.

use lazaret_protocol::id::{DeviceId, OperatorName, RolloutId};
use lazaret_protocol::limits::ROLLOUT_DEVICES_MAX;
use lazaret_protocol::operator::{
    ResumeRequest, RolloutRequest, RolloutScope, RolloutState, RolloutView,
};
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::time::Timestamp;
use lazaret_server_domain::device::Device;
use lazaret_server_domain::event::{Event, Fact};
use lazaret_server_domain::record::{Decision, Found, Record as _};
use lazaret_server_domain::refused::Refused;
use lazaret_server_domain::release::{Release, release_name};
use lazaret_server_domain::rollout::advance;
use lazaret_server_domain::rollout::advance::CordState;
use lazaret_server_domain::rollout::cord::Cord;
use lazaret_server_domain::rollout::pace;
use lazaret_server_domain::rollout::plan::{Plan, plan};
use lazaret_server_domain::rollout::state::{
    Assigned, Assignment, AssignmentState, Rollout, RolloutRelease,
};
use lazaret_server_domain::rollout::tally::{self, Heard, Tally};
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
    viewed(app, halted).await
}

/// Pauses a rollout: nothing new is offered, what was taken goes on.
///
/// # Errors
/// As the domain says; or the store.
pub(crate) async fn pause(
    app: &App,
    by: &OperatorName,
    rollout: &RolloutId,
    reason: &str,
) -> Result<Committed<RolloutView>, AppError> {
    let paused = app
        .decide(|| async {
            let found: Found<Rollout> = app.store.find(rollout.as_str()).await?;
            Ok(advance::pause(&found, by.as_str(), reason, app.now())?)
        })
        .await?;
    viewed(app, paused).await
}

/// Sets a rollout going again that was paused, or halted: then with every failure named that is
/// accepted.
///
/// # Errors
/// As the domain says; or the store.
pub(crate) async fn resume(
    app: &App,
    by: &OperatorName,
    rollout: &RolloutId,
    request: &ResumeRequest,
) -> Result<Committed<RolloutView>, AppError> {
    let resumed = app
        .decide(|| async {
            let found: Found<Rollout> = app.store.find(rollout.as_str()).await?;
            let unknown = || Refused::because(RefusalCode::NotFound, "no such rollout");
            let tally = counted(app, found.value.as_ref().ok_or_else(unknown)?).await?;
            let how = (by.as_str(), request.reason.as_str(), app.now());
            Ok(advance::resume(&found, &tally, &request.accept, how)?)
        })
        .await?;
    app.wake();
    viewed(app, resumed).await
}

/// A rollout that was committed, with its counts.
///
/// # Errors
/// The store.
pub(crate) async fn viewed(
    app: &App,
    committed: Committed<Rollout>,
) -> Result<Committed<RolloutView>, AppError> {
    let tally = counted(app, committed.reply()).await?;
    Ok(committed.map(|rollout| rollout.view(&tally)))
}

/// A rollout with its counts at this moment.
///
/// # Errors
/// No such rollout; or the store.
pub(crate) async fn show(app: &App, rollout: &RolloutId) -> Result<RolloutView, AppError> {
    let found: Found<Rollout> = app.store.find(rollout.as_str()).await?;
    let unknown = || Refused::because(RefusalCode::NotFound, "no such rollout");
    let rollout = found.value.ok_or_else(unknown)?;
    let parts = standing(app, &rollout).await?;
    let tally = Tally::count(&rollout, parts.iter().map(as_ref), app.now());
    let progress = tally::progress(parts.iter().map(|(part, _)| part));
    Ok(RolloutView { progress, ..rollout.view(&tally) })
}

/// The counts of a rollout, from each device's own part: never from a sum that could drift.
///
/// # Errors
/// The store.
pub(crate) async fn counted(app: &App, rollout: &Rollout) -> Result<Tally, AppError> {
    Ok(Tally::count(rollout, standing(app, rollout).await?.iter().map(as_ref), app.now()))
}

fn as_ref((part, heard): &(Assignment, Heard)) -> (&Assignment, Heard) {
    (part, *heard)
}

/// Every part of a rollout, with what its device was last heard to say.
async fn standing(app: &App, rollout: &Rollout) -> Result<Vec<(Assignment, Heard)>, AppError> {
    let parts: Vec<Assignment> = app.store.list_all(&format!("{}/", rollout.id)).await?;
    let mut standing = Vec::with_capacity(parts.len());
    for chunk in parts.chunks(ASSIGNMENTS_PER_COMMIT) {
        let names: Vec<String> = chunk.iter().map(|part| part.device.to_string()).collect();
        let devices = app.store.find_all::<Device>(&names).await?;
        for (part, device) in chunk.iter().zip(devices) {
            let gone = Heard { last_seen: None, sick: false };
            let heard = device.value.as_ref().map_or(gone, Heard::from);
            standing.push((part.clone(), heard));
        }
    }
    Ok(standing)
}

/// Takes every unfinished rollout as far as its counts allow.
///
/// # Errors
/// The store. What was done for other rollouts stays done.
pub(crate) async fn advance_all(app: &App) -> Result<(), AppError> {
    let rollouts: Vec<Rollout> = app.store.list_all("").await?;
    let mut failed = super::fleet::count(app).await;
    let goes_on = |r: &Rollout| matches!(r.state, RolloutState::Running | RolloutState::Paused);
    for rollout in rollouts.into_iter().filter(goes_on) {
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
            let cord: Found<Cord> = app.store.find(Cord::NAME).await?;
            let held = cord.value.as_ref().is_some_and(Cord::holds);
            let cord = if held { CordState::Pulled } else { CordState::Free };
            let counted = counted(app, before).await?;
            Ok(advance::advance(&found, &tally, &counted, (cord, app.now())))
        })
        .await?;
    hand_out(app, before, &advanced.into_reply()).await?;
    let after: Found<Rollout> = app.store.find(before.id.as_str()).await?;
    if after.value.as_ref() != Some(before) {
        app.wake();
    }
    Ok(())
}

/// Gives turns to devices that wait for them, those that wait longest first. Their number is taken
/// out of the group's tokens before, so that a crash between the two is slower and never faster.
async fn hand_out(app: &App, rollout: &Rollout, turns: &[u64]) -> Result<(), AppError> {
    if turns.iter().all(|turns| *turns == 0) {
        return Ok(());
    }
    let parts: Vec<Assignment> = app.store.list_all(&format!("{}/", rollout.id)).await?;
    for (group, turns) in (0u64..).zip(turns) {
        let mut ready: Vec<(Timestamp, &Assignment)> = parts
            .iter()
            .filter(|part| part.group == group)
            .filter_map(|part| match part.state {
                AssignmentState::Ready { since } => Some((since, part)),
                _ => None,
            })
            .collect();
        ready.sort_by(|a, b| (a.0, &a.1.device).cmp(&(b.0, &b.1.device)));
        ready.truncate(usize::try_from(*turns).unwrap_or(usize::MAX));
        for chunk in ready.chunks(ASSIGNMENTS_PER_COMMIT) {
            let names: Vec<String> = chunk.iter().map(|(_, part)| part.name()).collect();
            let given = app
                .decide(|| async {
                    let mut decision = Decision::reply(());
                    for found in app.store.find_all::<Assignment>(&names).await? {
                        // Its own poll may have changed it meanwhile.
                        let Some(part) = &found.value else { continue };
                        if matches!(part.state, AssignmentState::Ready { .. }) {
                            let admitted = pace::admitted(part, app.now());
                            let (device, rollout) = (part.device.clone(), part.rollout.clone());
                            let fact = Fact::TurnGiven { device, rollout };
                            decision = decision.replace(&found, &admitted);
                            decision = decision.event(Event { at: app.now(), fact });
                        }
                    }
                    Ok(decision)
                })
                .await?;
            given.into_reply();
        }
    }
    app.wake();
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
        counter: release.counter.unwrap_or_default(),
        needs: release.needs,
        emergency: None,
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
    let fresh = Heard { last_seen: None, sick: false };
    let parts = planned.assignments.iter().map(|part| (part, fresh));
    let tally = Tally::count(rollout, parts, app.now());
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
