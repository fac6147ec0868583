//! Bills of materials, advisories, and who is affected.

use lazaret_protocol::limits::OPERATOR_BODY_BYTES_MAX;
use lazaret_protocol::operator::{
    AdvisoryView, BillView, Page, Role, SWEEP_FILE_BYTES_MAX, SweepRequest, SweepView,
};
use lazaret_server_store::Committed;

use super::super::openapi::{anything, describe, page_of};
use super::super::page::page;
use super::super::route::{Call, Handler, Route, committed, viewed};
use super::{AFTER, ANYBODY, LIMIT};
use crate::app::error::AppError;
use crate::app::sweep;
use crate::identity::operator::Operator;

/// Who says what is in a release.
const BILLS: &[Role] = &[Role::ReleaseManager];
/// Who says what is vulnerable.
const ADVISES: &[Role] =
    &[Role::IncidentCommander, Role::Responder, Role::Operator, Role::ReleaseManager];

/// Routes of sweeps.
pub(super) const ROUTES: &[Route] = &[
    Route::post(
        "/v1/releases/{model}/{version}/sbom",
        Handler::Operator(BILLS, |c, by| committed(import_bill(c, by))),
    )
    .about("Say what is in a release: its bill of materials, in CycloneDX as JSON")
    .takes(SWEEP_FILE_BYTES_MAX, anything)
    .gives(describe::<BillView>),
    Route::get(
        "/v1/releases/{model}/{version}/sbom",
        Handler::Operator(ANYBODY, |c, _| viewed(bill(c))),
    )
    .about("What is known of the bill of materials of a release")
    .gives(describe::<BillView>),
    Route::post(
        "/v1/advisories",
        Handler::Operator(ADVISES, |c, by| committed(import_advisory(c, by))),
    )
    .about("Take in an advisory, in OSV or CSAF 2.0; the same again replaces it")
    .takes(SWEEP_FILE_BYTES_MAX, anything)
    .gives(describe::<AdvisoryView>),
    Route::get("/v1/advisories", Handler::Operator(ANYBODY, |c, _| viewed(advisories(c))))
        .about("Advisories, by identifier")
        .reads(&[AFTER, LIMIT])
        .gives(page_of::<AdvisoryView>),
    Route::post("/v1/sweeps", Handler::Operator(ANYBODY, |c, _| viewed(sweep(c))))
        .about("Who is affected, by what the server knows; devices that are off count too")
        .takes(OPERATOR_BODY_BYTES_MAX, describe::<SweepRequest>)
        .gives(describe::<SweepView>),
];

async fn import_bill(call: Call, by: Operator) -> Result<Committed<BillView>, AppError> {
    let release = (&call.id("model")?, &call.id("version")?);
    sweep::import_bill(&call.app, by.name(), release, &call.body).await
}

async fn bill(call: Call) -> Result<BillView, AppError> {
    sweep::bill(&call.app, (&call.id("model")?, &call.id("version")?)).await
}

async fn import_advisory(call: Call, by: Operator) -> Result<Committed<AdvisoryView>, AppError> {
    sweep::import_advisory(&call.app, by.name(), &call.body).await
}

async fn advisories(call: Call) -> Result<Page<AdvisoryView>, AppError> {
    sweep::advisories(&call.app, &page(&call)?).await
}

async fn sweep(call: Call) -> Result<SweepView, AppError> {
    sweep::sweep(&call.app, &call.message::<SweepRequest>()?).await
}
