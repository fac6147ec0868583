//! Anomalies: listed, dismissed.

use lazaret_protocol::operator::{AnomalyView, Page, ReasonRequest, Role};
use lazaret_server_store::Committed;

use super::super::openapi::{describe, page_of};
use super::super::page::page;
use super::super::route::{Call, Handler, Route, committed, viewed};
use super::{AFTER, ANYBODY, LIMIT, SMALL_BODY_BYTES_MAX, reason};
use crate::app::anomaly;
use crate::app::error::AppError;
use crate::identity::operator::Operator;

/// Who says that a suspicion is none.
const JUDGES: &[Role] = &[Role::IncidentCommander, Role::Responder];

/// Routes of anomalies.
pub(super) const ROUTES: &[Route] = &[
    Route::get("/v1/anomalies", Handler::Operator(ANYBODY, |c, _| viewed(list(c))))
        .about("What speaks against devices, by device; dismissed ones say so")
        .reads(&[AFTER, LIMIT])
        .gives(page_of::<AnomalyView>),
    Route::post(
        "/v1/anomalies/{device}/dismiss",
        Handler::Operator(JUDGES, |c, by| committed(dismiss(c, by))),
    )
    .about("Say that a suspicion was looked at; what comes later is one anew")
    .takes(SMALL_BODY_BYTES_MAX, describe::<ReasonRequest>)
    .gives(describe::<AnomalyView>),
];

async fn list(call: Call) -> Result<Page<AnomalyView>, AppError> {
    anomaly::list(&call.app, &page(&call)?).await
}

async fn dismiss(call: Call, by: Operator) -> Result<Committed<AnomalyView>, AppError> {
    let reason = reason(&call)?;
    anomaly::dismiss(&call.app, by.name(), &call.id("device")?, &reason).await
}
