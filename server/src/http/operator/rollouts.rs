//! Rollouts: planned, approved, begun, looked at, halted, resumed, taken back; and the cord that
//! halts the whole fleet.

use lazaret_protocol::limits::OPERATOR_BODY_BYTES_MAX;
use lazaret_protocol::operator::{
    ApprovalRequest, ApproverKeyRequest, ApproverKeyView, FleetHaltView, Page, PlanRequest,
    ReasonRequest, ReleaseFleetRequest, ResumeRequest, RevertRequest, RolloutRequest, RolloutView,
};
use lazaret_server_store::Committed;

use super::super::openapi::{Schemas, Shape, describe, page_of};
use super::super::page::page;
use super::super::route::{Call, Handler, Route, committed, viewed};
use super::{
    AFTER, ANYBODY, APPROVES, CONTAINS, LIMIT, OPERATES, SMALL_BODY_BYTES_MAX, checked, reason,
};
use crate::app::error::AppError;
use crate::app::{approver, fleet, listing, plan, rollout};
use crate::identity::operator::Operator;

/// Routes of rollouts.
pub(super) const ROUTES: &[Route] = &[
    Route::post("/v1/rollouts", Handler::Operator(OPERATES, |c, by| committed(start(c, by))))
        .about("Start a staged deployment at once, without a plan that people approve")
        .takes(OPERATOR_BODY_BYTES_MAX, describe::<RolloutRequest>)
        .gives(describe::<RolloutView>),
    Route::get("/v1/rollouts", Handler::Operator(ANYBODY, |c, _| viewed(list(c))))
        .about("Rollouts, by name")
        .reads(&[AFTER, LIMIT])
        .gives(page_of::<RolloutView>),
    Route::get("/v1/rollouts/{rollout}", Handler::Operator(ANYBODY, |c, _| viewed(show(c))))
        .about("One rollout with its counts at this moment")
        .gives(describe::<RolloutView>),
    Route::post("/v1/plans", Handler::Operator(OPERATES, |c, by| committed(plan(c, by))))
        .about("Plan a rollout: who is in it, who is not and why, what it costs")
        .takes(OPERATOR_BODY_BYTES_MAX, describe::<PlanRequest>)
        .gives(planned),
    Route::get(
        "/v1/rollouts/{rollout}/plan",
        Handler::Operator(ANYBODY, |c, _| viewed(show_plan(c))),
    )
    .about("The plan of a rollout: what approvals name, and what it looked like")
    .gives(planned),
    Route::post(
        "/v1/rollouts/{rollout}/approve",
        Handler::Operator(APPROVES, |c, by| committed(approve(c, by))),
    )
    .about("Approve a plan of somebody else with an SSH signature over its hash")
    .takes(SMALL_BODY_BYTES_MAX, describe::<ApprovalRequest>)
    .gives(describe::<RolloutView>),
    Route::post(
        "/v1/rollouts/{rollout}/apply",
        Handler::Operator(CONTAINS, |c, by| committed(apply(c, by))),
    )
    .about("Begin a plan that has its approvals")
    .gives(describe::<RolloutView>),
    Route::post(
        "/v1/rollouts/{rollout}/withdraw",
        Handler::Operator(CONTAINS, |c, by| committed(withdraw(c, by))),
    )
    .about("Give a plan up before it begins")
    .takes(SMALL_BODY_BYTES_MAX, describe::<ReasonRequest>)
    .gives(describe::<RolloutView>),
    Route::post(
        "/v1/rollouts/{rollout}/halt",
        Handler::Operator(CONTAINS, |c, by| committed(halt(c, by))),
    )
    .about("Stop a rollout and take back offers that are not yet installed")
    .takes(SMALL_BODY_BYTES_MAX, describe::<ReasonRequest>)
    .gives(describe::<RolloutView>),
    Route::post(
        "/v1/rollouts/{rollout}/pause",
        Handler::Operator(CONTAINS, |c, by| committed(pause(c, by))),
    )
    .about("Offer nothing new; what was taken goes on")
    .takes(SMALL_BODY_BYTES_MAX, describe::<ReasonRequest>)
    .gives(describe::<RolloutView>),
    Route::post(
        "/v1/rollouts/{rollout}/resume",
        Handler::Operator(CONTAINS, |c, by| committed(resume(c, by))),
    )
    .about("Set a rollout going again, with every failure named that is accepted")
    .takes(SMALL_BODY_BYTES_MAX, describe::<ResumeRequest>)
    .gives(describe::<RolloutView>),
    Route::post(
        "/v1/rollouts/{rollout}/revert",
        Handler::Operator(OPERATES, |c, by| committed(revert(c, by))),
    )
    .about("Plan to take a rollout back on the devices that it reached")
    .takes(SMALL_BODY_BYTES_MAX, describe::<RevertRequest>)
    .gives(planned),
    Route::get("/v1/halt", Handler::Operator(ANYBODY, |c, _| viewed(fleet_halt(c))))
        .about("Whether the whole fleet is halted, and how many devices have acknowledged it")
        .gives(describe::<FleetHaltView>),
    Route::post("/v1/halt", Handler::Operator(CONTAINS, |c, by| committed(halt_fleet(c, by))))
        .about("Halt every rollout and take back offers: one person, no approval")
        .takes(SMALL_BODY_BYTES_MAX, describe::<ReasonRequest>)
        .gives(describe::<FleetHaltView>),
    Route::post(
        "/v1/halt/release",
        Handler::Operator(CONTAINS, |c, by| committed(release_fleet(c, by))),
    )
    .about("Let the fleet go on; the halt that is meant is named")
    .takes(SMALL_BODY_BYTES_MAX, describe::<ReleaseFleetRequest>)
    .gives(describe::<FleetHaltView>),
    Route::get("/v1/approvers/keys", Handler::Operator(ANYBODY, |c, _| viewed(keys(c))))
        .about("Keys that may approve, with their owners")
        .reads(&[AFTER, LIMIT])
        .gives(page_of::<ApproverKeyView>),
    Route::post(
        "/v1/approvers/keys",
        Handler::Operator(APPROVES, |c, by| committed(enter_key(c, by))),
    )
    .about("Enter an SSH key with which the operator who asks will approve")
    .takes(SMALL_BODY_BYTES_MAX, describe::<ApproverKeyRequest>)
    .gives(describe::<ApproverKeyView>),
];

async fn plan(call: Call, by: Operator) -> Result<Committed<plan::View>, AppError> {
    let request: PlanRequest = call.message()?;
    checked(&request.reason)?;
    plan::plan(&call.app, by.name(), &request).await
}

async fn show_plan(call: Call) -> Result<plan::View, AppError> {
    plan::show(&call.app, &call.id("rollout")?).await
}

async fn approve(call: Call, by: Operator) -> Result<Committed<RolloutView>, AppError> {
    let request: ApprovalRequest = call.message()?;
    approver::approve(&call.app, by.name(), &call.id("rollout")?, &request).await
}

async fn apply(call: Call, by: Operator) -> Result<Committed<RolloutView>, AppError> {
    plan::apply(&call.app, by.name(), &call.id("rollout")?).await
}

async fn withdraw(call: Call, by: Operator) -> Result<Committed<RolloutView>, AppError> {
    plan::withdraw(&call.app, by.name(), &call.id("rollout")?, &reason(&call)?).await
}

async fn revert(call: Call, by: Operator) -> Result<Committed<plan::View>, AppError> {
    let request: RevertRequest = call.message()?;
    checked(&request.reason)?;
    plan::revert(&call.app, by.name(), &call.id("rollout")?, &request).await
}

async fn enter_key(call: Call, by: Operator) -> Result<Committed<ApproverKeyView>, AppError> {
    let request: ApproverKeyRequest = call.message()?;
    approver::enter(&call.app, by.name(), &request.key).await
}

async fn keys(call: Call) -> Result<Page<ApproverKeyView>, AppError> {
    listing::approver_keys(&call.app, &page(&call)?).await
}

async fn start(call: Call, by: Operator) -> Result<Committed<RolloutView>, AppError> {
    let request: RolloutRequest = call.message()?;
    checked(&request.reason)?;
    rollout::start(&call.app, by.name(), &request).await
}

async fn list(call: Call) -> Result<Page<RolloutView>, AppError> {
    listing::rollouts(&call.app, &page(&call)?).await
}

async fn show(call: Call) -> Result<RolloutView, AppError> {
    rollout::show(&call.app, &call.id("rollout")?).await
}

async fn halt(call: Call, by: Operator) -> Result<Committed<RolloutView>, AppError> {
    rollout::halt(&call.app, by.name(), &call.id("rollout")?, &reason(&call)?).await
}

async fn pause(call: Call, by: Operator) -> Result<Committed<RolloutView>, AppError> {
    rollout::pause(&call.app, by.name(), &call.id("rollout")?, &reason(&call)?).await
}

async fn resume(call: Call, by: Operator) -> Result<Committed<RolloutView>, AppError> {
    let request: ResumeRequest = call.message()?;
    checked(&request.reason)?;
    rollout::resume(&call.app, by.name(), &call.id("rollout")?, &request).await
}

async fn halt_fleet(call: Call, by: Operator) -> Result<Committed<FleetHaltView>, AppError> {
    fleet::halt(&call.app, by.name(), &reason(&call)?).await
}

async fn fleet_halt(call: Call) -> Result<FleetHaltView, AppError> {
    fleet::show(&call.app).await
}

async fn release_fleet(call: Call, by: Operator) -> Result<Committed<FleetHaltView>, AppError> {
    let request: ReleaseFleetRequest = call.message()?;
    checked(&request.reason)?;
    fleet::release(&call.app, by.name(), &request).await
}

/// A plan with its preview, which utoipa does not follow through a type parameter.
fn planned(schemas: &mut Schemas) -> Shape {
    describe::<plan::Preview>(schemas);
    describe::<plan::View>(schemas)
}
