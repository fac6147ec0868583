//! People and their programs: who is an operator, and service tokens.

use lazaret_protocol::id::OperatorName;
use lazaret_protocol::operator::{
    InvitationRequest, OperatorCertificate, OperatorMade, OperatorRequest, OperatorView, Page,
    ReasonRequest, RenewOperatorRequest, Role, Scope, TokenMade, TokenRequest, TokenView,
};
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::time::Timestamp;
use lazaret_server_store::Committed;
use serde::Serialize;

use super::super::openapi::{describe, page_of};
use super::super::page::page;
use super::super::route::{Call, Handler, Route, Within, committed, viewed};
use super::{ADMINISTERS, AFTER, ANYBODY, LIMIT, SMALL_BODY_BYTES_MAX, checked, reason};
use crate::app::error::AppError;
use crate::app::{operators, tokens};
use crate::identity::operator::Operator;

/// Routes about people and tokens.
pub(super) const ROUTES: &[Route] = &[
    Route::get("/v1/operators", Handler::Operator(ADMINISTERS_OR_AUDITS, |c, _| viewed(list(c))))
        .about("Operators that the registry has, by name")
        .reads(&[AFTER, LIMIT])
        .gives(page_of::<OperatorView>),
    Route::post("/v1/operators", Handler::Operator(ADMINISTERS, |c, by| committed(add(c, by))))
        .about("Enter somebody, and make the one-time code with which they fetch a certificate")
        .takes(SMALL_BODY_BYTES_MAX, describe::<OperatorRequest>)
        .gives(describe::<OperatorMade>),
    Route::post(
        "/v1/operators/{operator}/invite",
        Handler::Operator(ADMINISTERS, |c, by| committed(invite(c, by))),
    )
    .about("Make another code for somebody who lost their key; using it voids what they had")
    .takes(SMALL_BODY_BYTES_MAX, describe::<InvitationRequest>)
    .gives(describe::<OperatorMade>),
    Route::post(
        "/v1/operators/{operator}/disable",
        Handler::Operator(ADMINISTERS, |c, by| committed(disable(c, by))),
    )
    .about("Let somebody in no more: at once, on open connections and with tokens too")
    .takes(SMALL_BODY_BYTES_MAX, describe::<ReasonRequest>)
    .gives(describe::<OperatorView>),
    Route::post(
        "/v1/operators/{operator}/enable",
        Handler::Operator(ADMINISTERS, |c, by| committed(enable(c, by))),
    )
    .about("Let somebody in again")
    .takes(SMALL_BODY_BYTES_MAX, describe::<ReasonRequest>)
    .gives(describe::<OperatorView>),
    Route::post("/v1/operators/renew", Handler::Operator(ANYBODY, |c, by| committed(renew(c, by))))
        .about("Get one's next certificate, over a key of one's own")
        .within(Within::Nothing)
        .takes(SMALL_BODY_BYTES_MAX, describe::<RenewOperatorRequest>)
        .gives(describe::<OperatorCertificate>),
    Route::get("/v1/whoami", Handler::Operator(ANYBODY, |_, by| viewed(whoami(by))))
        .about("Who one is here, and what one may do")
        .within(Within::Nothing)
        .gives(describe::<WhoAmI>),
    Route::get("/v1/tokens", Handler::Operator(ANYBODY, |c, by| viewed(list_tokens(c, by))))
        .about("One's own service tokens, without secrets; everybody's for admin and auditor")
        .within(Within::Nothing)
        .gives(page_of::<TokenView>),
    Route::post("/v1/tokens", Handler::Operator(ANYBODY, |c, by| committed(make_token(c, by))))
        .about("Make a service token that counts as the person who asks")
        .within(Within::Nothing)
        .takes(SMALL_BODY_BYTES_MAX, describe::<TokenRequest>)
        .gives(describe::<TokenMade>),
    Route::post(
        "/v1/tokens/{token}/revoke",
        Handler::Operator(ANYBODY, |c, by| committed(revoke_token(c, by))),
    )
    .about("Revoke a service token at once: one's own, or, as admin, anybody's")
    .within(Within::Nothing)
    .takes(SMALL_BODY_BYTES_MAX, describe::<ReasonRequest>)
    .gives(describe::<TokenView>),
];

const ADMINISTERS_OR_AUDITS: &[Role] = &[Role::Auditor, Role::Admin];

/// Who one is.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct WhoAmI {
    /// The person.
    name: OperatorName,
    /// What they may do.
    roles: Vec<Role>,
    /// Bounds, all of which hold; none for one of us.
    scopes: Vec<Scope>,
    /// When it ends: the certificate, the token, or what was agreed.
    ends: Timestamp,
    /// The token, where it is one.
    token: Option<String>,
}

async fn whoami(by: Operator) -> Result<WhoAmI, AppError> {
    Ok(WhoAmI {
        name: by.name().clone(),
        roles: by.roles().to_vec(),
        scopes: by.scopes().to_vec(),
        ends: by.ends(),
        token: by.token().map(str::to_owned),
    })
}

async fn list(call: Call) -> Result<Page<OperatorView>, AppError> {
    operators::list(&call.app, &page(&call)?).await
}

async fn add(call: Call, by: Operator) -> Result<Committed<OperatorMade>, AppError> {
    let request: OperatorRequest = call.message()?;
    checked(&request.reason)?;
    operators::add(&call.app, by.name(), &request).await
}

async fn invite(call: Call, by: Operator) -> Result<Committed<OperatorMade>, AppError> {
    let request: InvitationRequest = call.message()?;
    checked(&request.reason)?;
    operators::invite(&call.app, by.name(), (&call.id("operator")?, &request)).await
}

async fn disable(call: Call, by: Operator) -> Result<Committed<OperatorView>, AppError> {
    let (name, reason) = (call.id("operator")?, reason(&call)?);
    operators::disable(&call.app, by.name(), (&name, &reason)).await
}

async fn enable(call: Call, by: Operator) -> Result<Committed<OperatorView>, AppError> {
    reason(&call)?;
    operators::enable(&call.app, by.name(), &call.id("operator")?).await
}

async fn renew(call: Call, by: Operator) -> Result<Committed<OperatorCertificate>, AppError> {
    let request: RenewOperatorRequest = call.message()?;
    no_token(&by, "a certificate is renewed with the certificate itself")?;
    operators::renew(&call.app, by.name(), &request.csr).await
}

async fn list_tokens(call: Call, by: Operator) -> Result<Page<TokenView>, AppError> {
    tokens::list(&call.app, (by.name(), by.roles())).await
}

async fn make_token(call: Call, by: Operator) -> Result<Committed<TokenMade>, AppError> {
    let request: TokenRequest = call.message()?;
    checked(&request.reason)?;
    // Else a token that leaks makes others that outlive its revocation.
    no_token(&by, "a token makes no tokens: use the certificate")?;
    tokens::make(&call.app, (by.name(), by.standing()), &request).await
}

async fn revoke_token(call: Call, by: Operator) -> Result<Committed<TokenView>, AppError> {
    reason(&call)?;
    tokens::revoke(&call.app, (by.name(), by.roles()), call.segment("token")).await
}

fn no_token(by: &Operator, why: &str) -> Result<(), AppError> {
    match by.token() {
        None => Ok(()),
        Some(_) => Err(AppError::refused(RefusalCode::Forbidden, why)),
    }
}
