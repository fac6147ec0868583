//! Incidents: opened over the devices that match, led on, noted, linked with their cure, filed,
//! and looked at with how their devices stand. What may follow what is the domain's to say.

use lazaret_protocol::id::{DeviceId, IncidentId, OperatorName, RolloutId};
use lazaret_protocol::operator::{
    AdvanceRequest, CollectionCount, FilingRequest, IncidentRequest, IncidentState, IncidentStatus,
    IncidentView, LinkRequest, NoteRequest, Page, PlaybookChoice, RolloutState, Standing,
    StepRequest,
};
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::time::Timestamp;
use lazaret_server_domain::incident::playbook::{PLAYBOOK_BYTES_MAX, Playbook, SHIPPED};
use lazaret_server_domain::incident::{self, Incident, Opening, clock};
use lazaret_server_domain::record::{Decision, Found};
use lazaret_server_domain::refused::Refused;
use lazaret_server_domain::rollout::state::Rollout;
use lazaret_server_store::Committed;

use super::context::{App, random};
use super::error::AppError;
use super::listing::{self, PageRequest};
use super::sweep;

mod collect;
mod members;
pub(super) mod preserve;
mod timeline;

pub(super) use members::matching;
pub(crate) use timeline::timeline;

/// Opens an incident over the devices that match now. Its members are on disk before it is: a crash
/// between the two leaves lists that nothing refers to.
///
/// # Errors
/// A filter or playbook that is none, a device that is unknown, or as the domain says; or the
/// store.
pub(crate) async fn open(
    app: &App,
    by: &OperatorName,
    request: &IncidentRequest,
) -> Result<Committed<IncidentStatus>, AppError> {
    let now = app.now();
    let devices = match &request.sweep {
        Some(_) if request.filter.is_some() || !request.devices.is_empty() => {
            let detail = "expected devices, a filter or a sweep; a filter of a sweep stands in it";
            return Err(AppError::bad_request(detail));
        }
        Some(query) => sweep::affected(app, query).await?,
        None => members::matching(app, request.filter.as_deref(), &request.devices).await?,
    };
    let id: IncidentId = format!("i-{}-{}", now.as_ms(), hex::encode(random::<3>()?))
        .parse()
        .map_err(|_| AppError::CutShort { what: "naming an incident" })?;
    let opening = Opening {
        id,
        title: request.title.clone(),
        severity: request.severity,
        declared: request.declared,
        commander: request.commander.clone().unwrap_or_else(|| by.clone()),
        filter: request.filter.clone(),
        devices,
        obligation: request.obligation,
        began: request.began,
        aware: request.aware.unwrap_or(now),
        playbook: request.playbook.as_ref().map(playbook).transpose()?,
        reason: request.reason.clone(),
        behind_event: *app.news.borrow(),
    };
    let decision = incident::open(opening.clone(), (by, now))?;
    let status =
        |incident: &Incident, standing| IncidentStatus { incident: incident.view(now), standing };
    let standing = members::standing_of(app, decision.preview(), &opening.devices).await?;
    let shown = status(decision.preview(), standing);
    if request.dry_run {
        return app.decide(|| async { Ok(Decision::reply(shown.clone())) }).await;
    }
    members::keep(app, &opening).await?;
    let opened = app
        .decide(|| async {
            Ok(incident::open(opening.clone(), (by, now))?.with_reply(shown.clone()))
        })
        .await?;
    app.wake();
    Ok(opened)
}

/// Leads an incident on.
///
/// # Errors
/// As the domain says; or the store.
pub(crate) async fn advance(
    app: &App,
    by: &OperatorName,
    id: &IncidentId,
    request: &AdvanceRequest,
) -> Result<Committed<IncidentView>, AppError> {
    let standing = standing(app, id).await?;
    changed(app, id, |found, now| incident::advance(found, request, &standing, (by, now))).await
}

/// Adds a note.
///
/// # Errors
/// As the domain says; or the store.
pub(crate) async fn note(
    app: &App,
    by: &OperatorName,
    id: &IncidentId,
    request: &NoteRequest,
) -> Result<Committed<IncidentView>, AppError> {
    changed(app, id, |found, now| incident::note(found, &request.text, (by, now))).await
}

/// Links a rollout that cures it.
///
/// # Errors
/// No such rollout; or as the domain says; or the store.
pub(crate) async fn link(
    app: &App,
    by: &OperatorName,
    id: &IncidentId,
    request: &LinkRequest,
) -> Result<Committed<IncidentView>, AppError> {
    let name = &request.rollout;
    let found: Found<Rollout> = app.store.find(name.as_str()).await?;
    let rollout = found.value.ok_or_else(|| unknown_rollout(name))?;
    if matches!(rollout.state, RolloutState::Running | RolloutState::Paused) {
        preserve::ask_first(app, by, &rollout, id).await?;
    }
    let committed = app
        .decide(|| async {
            let found: Found<Incident> = app.store.find(id.as_str()).await?;
            let cure: Found<Rollout> = app.store.find(name.as_str()).await?;
            let begun = cure.value.as_ref().and_then(begun);
            let now = app.now();
            let linked = incident::link(&found, (name, begun), &request.reason, (by, now))?;
            Ok(match &cure.value {
                Some(rollout) if rollout.cures.is_none() => {
                    let cures = Some(id.clone());
                    linked.replace(&cure, &Rollout { cures, ..rollout.clone() })
                }
                _ => linked,
            })
        })
        .await?;
    app.wake();
    let now = app.now();
    Ok(committed.map(|incident| incident.view(now)))
}

/// The devices of an incident, for whom something is to be done while it is open.
///
/// # Errors
/// No such incident, or it is closed; or the store.
pub(super) async fn devices(app: &App, id: &IncidentId) -> Result<Vec<DeviceId>, AppError> {
    members::of(app, &open_one(app, id).await?).await
}

/// An incident that is not closed.
///
/// # Errors
/// No such incident, or it is closed; or the store.
pub(super) async fn open_one(app: &App, id: &IncidentId) -> Result<Incident, AppError> {
    let incident = existing(app, id).await?;
    if incident.state() == IncidentState::Closed {
        return Err(Refused::because(RefusalCode::Conflict, format!("{id} is closed")).into());
    }
    Ok(incident)
}

/// Ends a step of the playbook.
///
/// # Errors
/// As the domain says; or the store.
pub(crate) async fn end_step(
    app: &App,
    by: &OperatorName,
    (id, step): (&IncidentId, &str),
    request: &StepRequest,
) -> Result<Committed<IncidentView>, AppError> {
    let standing = standing(app, id).await?;
    changed(app, id, |found, now| incident::end_step(found, (step, request), &standing, (by, now)))
        .await
}

/// Notes what was filed with an authority.
///
/// # Errors
/// As the domain says; or the store.
pub(crate) async fn file(
    app: &App,
    by: &OperatorName,
    id: &IncidentId,
    request: &FilingRequest,
) -> Result<Committed<IncidentView>, AppError> {
    changed(app, id, |found, now| incident::file(found, request, (by, now))).await
}

/// Orders evidence from every device of an incident that has not been asked for it.
///
/// # Errors
/// No such incident, or it is closed; or the store.
pub(crate) async fn collect(
    app: &App,
    by: &OperatorName,
    id: &IncidentId,
    reason: &str,
) -> Result<Committed<CollectionCount>, AppError> {
    let incident = open_one(app, id).await?;
    let count = collect::all(app, by, &incident, reason).await?;
    app.wake();
    app.decide(|| async { Ok(Decision::reply(count.clone())) }).await
}

/// A page of incidents.
///
/// # Errors
/// The store.
pub(crate) async fn list(app: &App, page: &PageRequest) -> Result<Page<IncidentView>, AppError> {
    let (incidents, next) = listing::records::<Incident>(app, page).await?;
    let now = app.now();
    Ok(Page { items: incidents.iter().map(|incident| incident.view(now)).collect(), next })
}

/// One incident, with how its devices stand.
///
/// # Errors
/// No such incident; or the store.
pub(crate) async fn show(app: &App, id: &IncidentId) -> Result<IncidentStatus, AppError> {
    let incident = existing(app, id).await?;
    let standing = members::standing(app, &incident).await?;
    Ok(IncidentStatus { incident: incident.view(app.now()), standing })
}

/// Warns of clocks and steps, and takes in when linked rollouts began.
///
/// # Errors
/// The store.
pub(crate) async fn watch(app: &App) -> Result<(), AppError> {
    let all: Vec<Incident> = app.store.list_all("").await?;
    for incident in all.iter().filter(|one| one.state() != IncidentState::Closed) {
        let mut corrective = None;
        for rollout in incident.rollouts.iter().filter(|_| incident.corrective.is_none()) {
            corrective = [
                corrective,
                app.store.find::<Rollout>(rollout.as_str()).await?.value.as_ref().and_then(begun),
            ]
            .into_iter()
            .flatten()
            .min();
        }
        let warned = app
            .decide(|| async {
                let mut found: Found<Incident> = app.store.find(incident.id.as_str()).await?;
                if let (Some(incident), Some(at)) = (&mut found.value, corrective) {
                    incident.corrective.get_or_insert(at);
                }
                let warned = clock::warn(&found, app.now());
                match (&found.value, corrective) {
                    (Some(incident), Some(_)) if warned.changes_nothing() => {
                        Ok(warned.replace(&found, incident))
                    }
                    _ => Ok(warned),
                }
            })
            .await?;
        warned.into_reply();
    }
    Ok(())
}

async fn changed(
    app: &App,
    id: &IncidentId,
    decide: impl Fn(&Found<Incident>, Timestamp) -> Result<Decision<Incident>, Refused>,
) -> Result<Committed<IncidentView>, AppError> {
    let committed = app
        .decide(|| async {
            let found: Found<Incident> = app.store.find(id.as_str()).await?;
            Ok(decide(&found, app.now())?)
        })
        .await?;
    app.wake();
    let now = app.now();
    Ok(committed.map(|incident| incident.view(now)))
}

async fn existing(app: &App, id: &IncidentId) -> Result<Incident, AppError> {
    let found: Found<Incident> = app.store.find(id.as_str()).await?;
    let unknown = || Refused::because(RefusalCode::NotFound, format!("no incident {id}"));
    Ok(found.value.ok_or_else(unknown)?)
}

async fn standing(app: &App, id: &IncidentId) -> Result<Standing, AppError> {
    members::standing(app, &existing(app, id).await?).await
}

/// When a rollout began; none where it is only planned.
fn begun(rollout: &Rollout) -> Option<Timestamp> {
    let planned = matches!(rollout.state, RolloutState::Planned | RolloutState::Withdrawn);
    (!planned).then_some(rollout.started)
}

fn unknown_rollout(rollout: &RolloutId) -> Refused {
    Refused::because(RefusalCode::NotFound, format!("no rollout {rollout}"))
}

fn playbook(choice: &PlaybookChoice) -> Result<Playbook, AppError> {
    let text = match choice {
        PlaybookChoice::Text(text) => text.as_str(),
        PlaybookChoice::Shipped(name) => {
            let known: Vec<&str> = SHIPPED.iter().map(|(known, _)| *known).collect();
            let unknown = || {
                let known = known.join(", ");
                AppError::bad_request(format!(
                    "expected one of the playbooks {known}, got {name:?}"
                ))
            };
            SHIPPED.iter().find(|(known, _)| known == name).ok_or_else(unknown)?.1
        }
    };
    if text.len() > PLAYBOOK_BYTES_MAX {
        let got = text.len();
        let detail =
            format!("expected a playbook of at most {PLAYBOOK_BYTES_MAX} bytes, got {got}");
        return Err(Refused::because(RefusalCode::TooLarge, detail).into());
    }
    let playbook: Playbook = toml::from_str(text)
        .map_err(|err| AppError::bad_request(format!("playbook is refused: {err}")))?;
    let problems: Vec<String> = playbook.check().iter().map(ToString::to_string).collect();
    match problems.is_empty() {
        true => Ok(playbook),
        false => {
            Err(AppError::bad_request(format!("playbook is refused: {}", problems.join("; "))))
        }
    }
}
