//! Service tokens: made, listed without their secrets, revoked, and noted when they are used.

use lazaret_protocol::id::OperatorName;
use lazaret_protocol::operator::{Page, Role, TOKEN_PREFIX, TokenMade, TokenRequest, TokenView};
use lazaret_protocol::refusal::RefusalCode;
use lazaret_server_domain::access::Standing;
use lazaret_server_domain::access::token::{self, ServiceToken};
use lazaret_server_domain::record::Found;
use lazaret_server_domain::refused::Refused;
use lazaret_server_store::Committed;

use super::context::{App, random};
use super::error::AppError;
use super::operators::secret;
use crate::telemetry;

/// Tokens of one person that are neither revoked nor over.
const TOKENS_MAX: usize = 64;

/// Makes a token.
///
/// # Errors
/// As the domain says, or too many; or the store.
pub(crate) async fn make(
    app: &App,
    (by, standing): (&OperatorName, &Standing),
    request: &TokenRequest,
) -> Result<Committed<TokenMade>, AppError> {
    let all: Vec<ServiceToken> = app.store.list_all("").await?;
    let now = app.now();
    let good = |token: &&ServiceToken| {
        token.operator == *by && token.revoked.is_none() && token.ends > now
    };
    if all.iter().filter(good).count() >= TOKENS_MAX {
        let why = format!("expected at most {TOKENS_MAX} tokens of one person: revoke one first");
        return Err(Refused::because(RefusalCode::Conflict, why).into());
    }
    let (secret, hash) = secret(TOKEN_PREFIX)?;
    let id = format!("t-{}", hex::encode(random::<4>()?));
    let made = app
        .decide(|| async {
            let found = app.store.find(&hash.to_string()).await?;
            Ok(token::make(&found, request, (hash, id.clone()), (by, standing, app.now()))?)
        })
        .await?;
    Ok(made.map(|token| TokenMade { token: token.view(), secret }))
}

/// Tokens: a person's own, and all of them to whoever manages people or audits.
///
/// # Errors
/// The store.
pub(crate) async fn list(
    app: &App,
    (by, roles): (&OperatorName, &[Role]),
) -> Result<Page<TokenView>, AppError> {
    let sees_all = roles.iter().any(|role| matches!(role, Role::Admin | Role::Auditor));
    let mut all: Vec<ServiceToken> = app.store.list_all("").await?;
    all.retain(|token| sees_all || token.operator == *by);
    all.sort_by(|one, other| (one.made, &one.id).cmp(&(other.made, &other.id)));
    Ok(Page { items: all.iter().map(ServiceToken::view).collect(), next: None })
}

/// Revokes a token.
///
/// # Errors
/// As the domain says; or the store.
pub(crate) async fn revoke(
    app: &App,
    (by, roles): (&OperatorName, &[Role]),
    id: &str,
) -> Result<Committed<TokenView>, AppError> {
    let all: Vec<ServiceToken> = app.store.list_all("").await?;
    let unknown = || Refused::because(RefusalCode::NotFound, "there is no such token");
    let hash = all.iter().find(|token| token.id == id).ok_or_else(unknown)?.hash;
    let revoked = app
        .decide(|| async {
            let found: Found<ServiceToken> = app.store.find(&hash.to_string()).await?;
            Ok(token::revoke(&found, (by, roles), app.now())?)
        })
        .await?;
    app.look_at_doors();
    Ok(revoked.map(|token| token.view()))
}

/// Notes that a token was used. What it is used for does not wait on it, nor fail with it.
pub(crate) async fn note_use(app: &App, token: &Found<ServiceToken>) {
    let decision = token::used(token, app.now());
    if decision.changes_nothing() {
        return;
    }
    // Another request has noted it where the record has changed.
    if let Err(err) = app.store.unattributed().commit(decision).await {
        tracing::debug!(error = telemetry::chain(&err), "the use of a token is not noted");
    }
}
