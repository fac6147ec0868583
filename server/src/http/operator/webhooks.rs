//! Webhooks: made, listed, stopped.

use lazaret_protocol::operator::{Page, ReasonRequest, WebhookMade, WebhookRequest, WebhookView};
use lazaret_server_store::Committed;

use super::super::openapi::{describe, page_of};
use super::super::route::{Call, Handler, Route, committed, viewed};
use super::{CONTAINS, SEES_WEBHOOKS, SMALL_BODY_BYTES_MAX, checked, reason};
use crate::app::error::AppError;
use crate::app::webhooks;
use crate::identity::operator::Operator;

/// Routes of webhooks.
pub(super) const ROUTES: &[Route] = &[
    Route::get("/v1/webhooks", Handler::Operator(SEES_WEBHOOKS, |c, _| viewed(list(c))))
        .about("Webhooks, and how their deliveries go")
        .gives(page_of::<WebhookView>),
    Route::post("/v1/webhooks", Handler::Operator(CONTAINS, |c, by| committed(make(c, by))))
        .about("Have events delivered; the secret of the signatures is shown once")
        .takes(SMALL_BODY_BYTES_MAX, describe::<WebhookRequest>)
        .gives(describe::<WebhookMade>),
    Route::post(
        "/v1/webhooks/{webhook}/stop",
        Handler::Operator(CONTAINS, |c, by| committed(stop(c, by))),
    )
    .about("Deliver nothing there any more")
    .takes(SMALL_BODY_BYTES_MAX, describe::<ReasonRequest>)
    .gives(describe::<WebhookView>),
];

async fn list(call: Call) -> Result<Page<WebhookView>, AppError> {
    webhooks::list(&call.app).await
}

async fn make(call: Call, by: Operator) -> Result<Committed<WebhookMade>, AppError> {
    let request: WebhookRequest = call.message()?;
    checked(&request.reason)?;
    webhooks::make(&call.app, by.name(), &request).await
}

async fn stop(call: Call, by: Operator) -> Result<Committed<WebhookView>, AppError> {
    let reason = reason(&call)?;
    webhooks::stop(&call.app, by.name(), call.segment("webhook"), &reason).await
}
