//! Says in the event log, once, that a role of the repository has to be signed again soon, and once
//! more when it is late.

use lazaret_protocol::target::expiry_urgency;
use lazaret_server_domain::event::{Event, Fact};
use lazaret_server_domain::record::{Decision, Found};
use lazaret_server_domain::repository::{ExpiryWarning, RepositoryHead};
use lazaret_server_publish as signing;
use lazaret_server_store::Committed;

use super::context::App;
use super::error::AppError;
use super::publish;

/// Looks at every role and says what is new.
///
/// # Errors
/// The store, or the repository cannot be read.
pub(crate) async fn watch(app: &App) -> Result<Committed<()>, AppError> {
    app.decide(|| async {
        let now = app.now();
        let head: Found<RepositoryHead> = app.store.find(RepositoryHead::NAME).await?;
        let mut decision = Decision::reply(());
        if head.value.is_none() {
            return Ok(decision);
        }
        for expiry in signing::expiries(&publish::current(app, &head).await?)? {
            let (role, version, expires) = (expiry.role, expiry.version, expiry.expires);
            let urgency = expiry_urgency(&role, expires, now);
            let said: Found<ExpiryWarning> = app.store.find(&role).await?;
            let news = ExpiryWarning::news(said.value.as_ref(), &role, version, urgency);
            let Some(warning) = news else { continue };
            tracing::warn!(role, version, %expires, ?urgency, "a role has to be signed again");
            let fact = Fact::RoleExpires { role, version, expires, urgency };
            decision = decision.replace(&said, &warning).event(Event { at: now, fact });
        }
        Ok(decision)
    })
    .await
}
