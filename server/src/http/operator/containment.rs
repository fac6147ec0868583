//! Containment of many devices at once, and their way out.

use lazaret_protocol::id::ActId;
use lazaret_protocol::operator::{
    ContainRequest, ContainView, LeaveRequestBody, LeaveSignRequest, LeaveView, ReasonRequest,
};
use lazaret_protocol::signed::Envelope;

use super::super::openapi::describe;
use super::super::route::{Call, Handler, Route, Within, viewed};
use super::{ANYBODY, APPROVES, CONTAINS, SMALL_BODY_BYTES_MAX, checked, reason};
use crate::app::error::AppError;
use crate::app::{leave, quarantine};
use crate::identity::operator::Operator;
use lazaret_protocol::limits::OPERATOR_BODY_BYTES_MAX;

pub(super) const ROUTES: &[Route] = &[
    Route::post("/v1/quarantines", Handler::Operator(CONTAINS, |c, by| viewed(contain(c, by))))
        .about("Contain many devices, or say who it would be; beyond what one person may, it waits")
        .takes(OPERATOR_BODY_BYTES_MAX, describe::<ContainRequest>)
        .gives(describe::<ContainView>),
    Route::get("/v1/quarantines/{act}", Handler::Operator(ANYBODY, |c, _| viewed(show(c))))
        .about("Where each device of a containment stands")
        .gives(describe::<ContainView>),
    Route::post(
        "/v1/quarantines/{act}/confirm",
        Handler::Operator(CONTAINS, |c, by| viewed(confirm(c, by))),
    )
    .about("Agree, as the second person, to a containment that waits")
    .takes(SMALL_BODY_BYTES_MAX, describe::<ReasonRequest>)
    .gives(describe::<ContainView>),
    Route::post("/v1/quarantine-releases", Handler::Operator(APPROVES, |c, by| viewed(ask(c, by))))
        .about("Write the statement that lets devices out of quarantine once people have signed it")
        .takes(OPERATOR_BODY_BYTES_MAX, describe::<LeaveRequestBody>)
        .gives(describe::<LeaveView>),
    Route::get(
        "/v1/quarantine-releases/{release}",
        Handler::Operator(ANYBODY, |c, _| viewed(show_leave(c))),
    )
    .about("A release from quarantine: who has signed, and where each device stands")
    .gives(describe::<LeaveView>),
    Route::post(
        "/v1/quarantine-releases/{release}/sign",
        Handler::Operator(APPROVES, |c, by| viewed(sign(c, by))),
    )
    .about("Sign a release from quarantine; with the last signature the devices are shown it")
    .takes(SMALL_BODY_BYTES_MAX, describe::<LeaveSignRequest>)
    .gives(describe::<LeaveView>),
    Route::get(
        "/v1/devices/{device}/release-receipt",
        Handler::Operator(ANYBODY, |c, _| viewed(receipt(c))),
    )
    .about("The receipt of a device's last release from quarantine, which anybody can check")
    .within(Within::Device)
    .gives(describe::<Envelope>),
];

async fn contain(call: Call, by: Operator) -> Result<ContainView, AppError> {
    let request: ContainRequest = call.message()?;
    checked(&request.reason)?;
    quarantine::contain(&call.app, (by.name(), by.scopes()), &request).await
}

async fn show(call: Call) -> Result<ContainView, AppError> {
    quarantine::show(&call.app, call.id::<ActId>("act")?.as_str()).await
}

async fn confirm(call: Call, by: Operator) -> Result<ContainView, AppError> {
    reason(&call)?;
    quarantine::confirm(&call.app, by.name(), call.id::<ActId>("act")?.as_str()).await
}

async fn ask(call: Call, by: Operator) -> Result<LeaveView, AppError> {
    let body: LeaveRequestBody = call.message()?;
    checked(&body.reason)?;
    leave::request(&call.app, (by.name(), by.scopes()), &body).await
}

async fn show_leave(call: Call) -> Result<LeaveView, AppError> {
    leave::show(&call.app, call.id::<ActId>("release")?.as_str()).await
}

async fn sign(call: Call, by: Operator) -> Result<LeaveView, AppError> {
    let request: LeaveSignRequest = call.message()?;
    let id = call.id::<ActId>("release")?;
    leave::sign(&call.app, by.name(), id.as_str(), &request.signature).await
}

async fn receipt(call: Call) -> Result<Envelope, AppError> {
    leave::show_receipt(&call.app, &call.id("device")?).await
}
