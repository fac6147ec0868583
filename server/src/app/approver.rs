//! Approvals of plans, and the keys they are signed with. Whose a key is say the anchors that the
//! targets role signed; where they name nobody, the keys that operators entered here.

use lazaret_protocol::id::{OperatorName, RolloutId};
use lazaret_protocol::operator::{ApprovalRequest, ApproverKeyView, RolloutView, approval_text};
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::sshsig::{NAMESPACE_PLAN, SshKey, SshSignature};
use lazaret_server_domain::approver::{self, ApproverKey};
use lazaret_server_domain::record::Found;
use lazaret_server_domain::refused::Refused;
use lazaret_server_domain::rollout::approval;
use lazaret_server_domain::rollout::state::{Approval, Rollout};
use lazaret_server_store::Committed;

use super::context::App;
use super::error::AppError;
use super::{anchors, rollout};

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

/// Approves a plan with an SSH signature by a key of the operator `by`.
///
/// # Errors
/// The signature does not hold, the key is not theirs, they wrote the plan themselves, or the plan
/// is another by now; or the store.
pub(crate) async fn approve(
    app: &App,
    by: &OperatorName,
    id: &RolloutId,
    request: &ApprovalRequest,
) -> Result<Committed<RolloutView>, AppError> {
    let signature = SshSignature::parse(&request.signature)
        .map_err(|err| AppError::bad_request(format!("signature is refused: {err}")))?;
    let key = signature.claimed_key().clone();
    check_owner(app, by, &key).await?;
    let text = approval_text(&request.plan);
    signature
        .verify(&key, NAMESPACE_PLAN, text.as_bytes())
        .map_err(|err| forbidden(format!("signature is refused: {err}")))?;
    let approval =
        Approval { by: by.clone(), key: key.fingerprint(), plan: request.plan, at: app.now() };
    let approved = app
        .decide(|| async {
            let found: Found<Rollout> = app.store.find(id.as_str()).await?;
            Ok(approval::approve(&found, approval.clone(), app.now())?)
        })
        .await?;
    rollout::viewed(app, approved).await
}

async fn check_owner(app: &App, by: &OperatorName, key: &SshKey) -> Result<(), AppError> {
    let fingerprint = key.fingerprint();
    let signed = anchors::served(app).await?.filter(|anchors| !anchors.plan_approvers.is_empty());
    if let Some(anchors) = signed {
        if anchors.lets_approve(by, key, NAMESPACE_PLAN) {
            return Ok(());
        }
        let detail = format!(
            "the key {fingerprint} is not among {by}'s approver keys in the anchors: the targets \
             role has to sign it"
        );
        return Err(forbidden(detail).into());
    }
    let known: Found<ApproverKey> = app.store.find(&approver::key_name(key)).await?;
    if known.value.is_some_and(|known| known.operator == *by) {
        return Ok(());
    }
    Err(forbidden(format!("the key {fingerprint} is not among {by}'s: lazaret approver add"))
        .into())
}

fn forbidden(detail: String) -> Refused {
    Refused::because(RefusalCode::Forbidden, detail)
}
