//! The keys with which operators approve plans. Whose a key is, the domain decides.

use lazaret_protocol::id::OperatorName;
use lazaret_protocol::operator::ApproverKeyView;
use lazaret_protocol::sshsig::SshKey;
use lazaret_server_domain::approver;
use lazaret_server_store::Committed;

use super::context::App;
use super::error::AppError;

/// Enters a key with which the operator `by` will approve.
///
/// # Errors
/// It is somebody else's; or the store.
pub(crate) async fn enter(
    app: &App,
    by: &OperatorName,
    key: &SshKey,
) -> Result<Committed<ApproverKeyView>, AppError> {
    let entered = app
        .decide(|| async {
            let found = app.store.find(&approver::key_name(key)).await?;
            Ok(approver::enter(&found, key, (by, app.now()))?)
        })
        .await?;
    Ok(entered.map(|key| key.view()))
}
