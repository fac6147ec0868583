//! Operators: entered, invited, let in with a one-time code, disabled; and the certificates that
//! they fetch over keys of their own.

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::OperatorName;
use lazaret_protocol::operator::{
    BOOTSTRAP_PREFIX, INVITATION_PREFIX, InvitationRequest, OperatorCertificate, OperatorMade,
    OperatorRequest, OperatorView, Page, SignInRequest,
};
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::time::{MINUTE_MS, Timestamp};
use lazaret_server_domain::access::{self, Bootstrap, Code, OperatorRecord};
use lazaret_server_domain::record::Found;
use lazaret_server_domain::refused::Refused;
use lazaret_server_store::Committed;

use super::context::{App, random};
use super::error::AppError;
use super::issue::IssuedCertificate;
use super::listing;
use super::listing::PageRequest;

/// How long the code of the first administrator is good, in minutes, where nothing else is said.
pub(crate) const BOOTSTRAP_MINUTES: u64 = 60;

/// A one-time secret and its hash.
pub(super) fn secret(prefix: &str) -> Result<(String, Sha256Digest), AppError> {
    let secret = format!("{prefix}{}", hex::encode(random::<32>()?));
    let hash = Sha256Digest::of(secret.as_bytes());
    Ok((secret, hash))
}

/// Makes a code with which whoever is told it becomes an administrator. Any one before it is void.
///
/// # Errors
/// No randomness; or the store.
pub(crate) async fn prepare(app: &App, minutes: u64) -> Result<(String, Timestamp), AppError> {
    let (code, hash) = secret(BOOTSTRAP_PREFIX)?;
    let expires = app.now().plus_ms(minutes.saturating_mul(MINUTE_MS));
    let made = app
        .decide(|| async {
            let found: Found<Bootstrap> = app.store.find(Bootstrap::NAME).await?;
            Ok(access::prepare(&found, hash, expires))
        })
        .await?;
    Ok((code, made.into_reply()))
}

/// Makes an administrator of whoever shows the code.
///
/// # Errors
/// The code or the CSR is refused; or the store.
pub(crate) async fn bootstrap(
    app: &App,
    request: &SignInRequest,
) -> Result<Committed<OperatorCertificate>, AppError> {
    let shown = Sha256Digest::of(request.code.as_bytes());
    app.decide(|| async {
        let now = app.now();
        let found: Found<Bootstrap> = app.store.find(Bootstrap::NAME).await?;
        let person: Found<OperatorRecord> = app.store.find(request.name.as_str()).await?;
        let made = issued(app, &request.name, &request.csr, now)?;
        let names = (&request.name, shown);
        let certificate = made.issued.certificate;
        let decision = access::bootstrap((&found, &person), names, certificate, now)?;
        Ok(decision.with_reply(reply(app, &request.name, made)))
    })
    .await
}

/// Gives somebody who was invited their certificate.
///
/// # Errors
/// The code or the CSR is refused; or the store.
pub(crate) async fn redeem(
    app: &App,
    request: &SignInRequest,
) -> Result<Committed<OperatorCertificate>, AppError> {
    let shown = Sha256Digest::of(request.code.as_bytes());
    app.decide(|| async {
        let now = app.now();
        let found: Found<OperatorRecord> = app.store.find(request.name.as_str()).await?;
        let made = issued(app, &request.name, &request.csr, now)?;
        let decision = access::redeem(&found, shown, made.issued.certificate, now)?;
        // What they had before is void from here on.
        app.look_at_doors();
        Ok(decision.with_reply(reply(app, &request.name, made)))
    })
    .await
}

/// Gives an operator their next certificate.
///
/// # Errors
/// The CSR is refused, or theirs are made elsewhere; or the store.
pub(crate) async fn renew(
    app: &App,
    by: &OperatorName,
    csr: &str,
) -> Result<Committed<OperatorCertificate>, AppError> {
    app.decide(|| async {
        let found: Found<OperatorRecord> = app.store.find(by.as_str()).await?;
        let made = issued(app, by, csr, app.now())?;
        let decision = access::renew(&found, made.issued.certificate)?;
        Ok(decision.with_reply(reply(app, by, made)))
    })
    .await
}

fn issued(
    app: &App,
    name: &OperatorName,
    csr: &str,
    now: Timestamp,
) -> Result<IssuedCertificate, AppError> {
    let issuer = app.operator_issuer.as_ref().ok_or_else(|| {
        let why = "this server issues no certificates of operators: its settings have no \
                   [operator_issuing]";
        Refused::because(RefusalCode::Conflict, why)
    })?;
    issuer.certify(name.as_str(), csr, now)
}

fn reply(app: &App, name: &OperatorName, made: IssuedCertificate) -> OperatorCertificate {
    OperatorCertificate {
        name: name.clone(),
        certificate_chain: made.chain,
        not_after: made.issued.ends,
        operator_port: app.operator_port.load(std::sync::atomic::Ordering::Relaxed),
    }
}

/// Enters somebody and makes the code for them.
///
/// # Errors
/// As the domain says; or the store.
pub(crate) async fn add(
    app: &App,
    by: &OperatorName,
    request: &OperatorRequest,
) -> Result<Committed<OperatorMade>, AppError> {
    let (code, hash) = secret(INVITATION_PREFIX)?;
    let made = app
        .decide(|| async {
            let found = app.store.find(request.name.as_str()).await?;
            Ok(access::add(&found, request, hash, (by, app.now()))?)
        })
        .await?;
    Ok(made.map(|record| shown(&record, code)))
}

/// Makes another code for somebody.
///
/// # Errors
/// As the domain says; or the store.
pub(crate) async fn invite(
    app: &App,
    by: &OperatorName,
    (name, request): (&OperatorName, &InvitationRequest),
) -> Result<Committed<OperatorMade>, AppError> {
    let (code, hash) = secret(INVITATION_PREFIX)?;
    let made = app
        .decide(|| async {
            let found = app.store.find(name.as_str()).await?;
            Ok(access::invite(&found, (hash, request.valid_ms), (by, app.now()))?)
        })
        .await?;
    Ok(made.map(|record| shown(&record, code)))
}

fn shown(record: &OperatorRecord, code: String) -> OperatorMade {
    let expires = record.invitation.as_ref().map(|Code { expires, .. }| *expires);
    OperatorMade { operator: record.view(), code, expires: expires.unwrap_or_default() }
}

/// Lets somebody in no more. From the commit on every request of theirs is refused, on open
/// connections too, because the registry is asked on every request; a stream that is open asks it
/// at once, and before it tells anything.
///
/// # Errors
/// As the domain says; or the store.
pub(crate) async fn disable(
    app: &App,
    by: &OperatorName,
    (name, reason): (&OperatorName, &str),
) -> Result<Committed<OperatorView>, AppError> {
    let done = app
        .decide(|| async {
            let found = app.store.find(name.as_str()).await?;
            Ok(access::disable(&found, name, reason, (by, app.now()))?)
        })
        .await?;
    app.look_at_doors();
    Ok(done.map(|record| record.view()))
}

/// Lets somebody in again.
///
/// # Errors
/// As the domain says; or the store.
pub(crate) async fn enable(
    app: &App,
    by: &OperatorName,
    name: &OperatorName,
) -> Result<Committed<OperatorView>, AppError> {
    let done = app
        .decide(|| async {
            let found = app.store.find(name.as_str()).await?;
            Ok(access::enable(&found, by)?)
        })
        .await?;
    Ok(done.map(|record| record.view()))
}

/// A page of operators that the registry has.
///
/// # Errors
/// The store.
pub(crate) async fn list(app: &App, page: &PageRequest) -> Result<Page<OperatorView>, AppError> {
    let (found, next) = listing::records::<OperatorRecord>(app, page).await?;
    Ok(Page { items: found.iter().map(OperatorRecord::view).collect(), next })
}
