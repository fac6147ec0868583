//! Incidents: opened, led on, noted, linked, filed, looked at.

use lazaret_protocol::limits::OPERATOR_BODY_BYTES_MAX;
use lazaret_protocol::operator::{
    AdvanceRequest, CollectionCount, EventView, FilingRequest, IncidentRequest, IncidentStatus,
    IncidentView, LinkRequest, NoteRequest, Page, ReasonRequest, Role, StepRequest,
};
use lazaret_server_store::Committed;

use super::super::openapi::{describe, page_of};
use super::super::page::page;
use super::super::route::{Call, Handler, Route, committed, viewed};
use super::{AFTER, ANYBODY, COLLECTS, LIMIT, SMALL_BODY_BYTES_MAX, checked, reason};
use crate::app::error::AppError;
use crate::app::incident;
use crate::identity::operator::Operator;

/// Who opens incidents and notes in them.
const RESPONDS: &[Role] = &[Role::IncidentCommander, Role::Responder, Role::Operator];
/// Who leads them.
const LEADS: &[Role] = &[Role::IncidentCommander];
/// Who says that a cure is on its way.
const CURES: &[Role] = &[Role::IncidentCommander, Role::ReleaseManager];

/// Routes of incidents.
pub(super) const ROUTES: &[Route] = &[
    Route::post("/v1/incidents", Handler::Operator(RESPONDS, |c, by| committed(open(c, by))))
        .about("Open an incident over the devices that match now")
        .takes(OPERATOR_BODY_BYTES_MAX, describe::<IncidentRequest>)
        .gives(describe::<IncidentStatus>),
    Route::get("/v1/incidents", Handler::Operator(ANYBODY, |c, _| viewed(list(c))))
        .about("Incidents, by name")
        .reads(&[AFTER, LIMIT])
        .gives(page_of::<IncidentView>),
    Route::get("/v1/incidents/{incident}", Handler::Operator(ANYBODY, |c, _| viewed(show(c))))
        .about("One incident, with how its devices stand and who did not answer")
        .gives(describe::<IncidentStatus>),
    Route::get(
        "/v1/incidents/{incident}/timeline",
        Handler::Operator(ANYBODY, |c, _| viewed(timeline(c))),
    )
    .about("What happened to an incident, its devices and its rollouts since it was opened")
    .reads(&[AFTER, LIMIT])
    .gives(page_of::<EventView>),
    Route::post(
        "/v1/incidents/{incident}/advance",
        Handler::Operator(LEADS, |c, by| committed(advance(c, by))),
    )
    .about("Lead an incident on; what a state asks for is proved, or accepted by name")
    .takes(SMALL_BODY_BYTES_MAX, describe::<AdvanceRequest>)
    .gives(describe::<IncidentView>),
    Route::post(
        "/v1/incidents/{incident}/notes",
        Handler::Operator(RESPONDS, |c, by| committed(note(c, by))),
    )
    .about("Add a line to the timeline")
    .takes(SMALL_BODY_BYTES_MAX, describe::<NoteRequest>)
    .gives(describe::<IncidentView>),
    Route::post(
        "/v1/incidents/{incident}/links",
        Handler::Operator(CURES, |c, by| committed(link(c, by))),
    )
    .about("Say that a rollout is the corrective measure")
    .takes(SMALL_BODY_BYTES_MAX, describe::<LinkRequest>)
    .gives(describe::<IncidentView>),
    Route::post(
        "/v1/incidents/{incident}/steps/{name}",
        Handler::Operator(RESPONDS, |c, by| committed(end_step(c, by))),
    )
    .about("End a step of the playbook, or waive it")
    .takes(SMALL_BODY_BYTES_MAX, describe::<StepRequest>)
    .gives(describe::<IncidentView>),
    Route::post(
        "/v1/incidents/{incident}/filings",
        Handler::Operator(LEADS, |c, by| committed(file(c, by))),
    )
    .about("Note what was filed with an authority, which stops its clock")
    .takes(SMALL_BODY_BYTES_MAX, describe::<FilingRequest>)
    .gives(describe::<IncidentView>),
    Route::post(
        "/v1/incidents/{incident}/evidence",
        Handler::Operator(COLLECTS, |c, by| committed(collect(c, by))),
    )
    .about("Order evidence from every device of an incident that was not asked yet")
    .takes(SMALL_BODY_BYTES_MAX, describe::<ReasonRequest>)
    .gives(describe::<CollectionCount>),
];

async fn open(call: Call, by: Operator) -> Result<Committed<IncidentStatus>, AppError> {
    let request: IncidentRequest = call.message()?;
    checked(&request.reason)?;
    incident::open(&call.app, by.name(), &request).await
}

async fn list(call: Call) -> Result<Page<IncidentView>, AppError> {
    incident::list(&call.app, &page(&call)?).await
}

async fn show(call: Call) -> Result<IncidentStatus, AppError> {
    incident::show(&call.app, &call.id("incident")?).await
}

async fn timeline(call: Call) -> Result<Page<EventView>, AppError> {
    incident::timeline(&call.app, &call.id("incident")?, &page(&call)?).await
}

async fn advance(call: Call, by: Operator) -> Result<Committed<IncidentView>, AppError> {
    let request: AdvanceRequest = call.message()?;
    checked(&request.reason)?;
    incident::advance(&call.app, by.name(), &call.id("incident")?, &request).await
}

async fn note(call: Call, by: Operator) -> Result<Committed<IncidentView>, AppError> {
    let request: NoteRequest = call.message()?;
    incident::note(&call.app, by.name(), &call.id("incident")?, &request).await
}

async fn link(call: Call, by: Operator) -> Result<Committed<IncidentView>, AppError> {
    let request: LinkRequest = call.message()?;
    checked(&request.reason)?;
    incident::link(&call.app, by.name(), &call.id("incident")?, &request).await
}

async fn end_step(call: Call, by: Operator) -> Result<Committed<IncidentView>, AppError> {
    let request: StepRequest = call.message()?;
    let of = (&call.id("incident")?, call.segment("name"));
    incident::end_step(&call.app, by.name(), of, &request).await
}

async fn file(call: Call, by: Operator) -> Result<Committed<IncidentView>, AppError> {
    let request: FilingRequest = call.message()?;
    incident::file(&call.app, by.name(), &call.id("incident")?, &request).await
}

async fn collect(call: Call, by: Operator) -> Result<Committed<CollectionCount>, AppError> {
    let reason = reason(&call)?;
    incident::collect(&call.app, by.name(), &call.id("incident")?, &reason).await
}
