//! An operator makes a one-time claim for a machine.

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::OperatorName;
use lazaret_protocol::operator::{ClaimReply, ClaimRequest};
use lazaret_server_domain::claim;
use lazaret_server_store::Committed;

use super::context::{App, random};
use super::error::AppError;

/// Makes a claim of 256 random bits.
///
/// # Errors
/// As the domain says; or the store.
pub(crate) async fn make(
    app: &App,
    by: &OperatorName,
    request: &ClaimRequest,
) -> Result<Committed<ClaimReply>, AppError> {
    let secret = format!("lzc_{}", hex::encode(random::<32>()?));
    let hash = Sha256Digest::of(secret.as_bytes());
    let committed = app
        .decide(|| async {
            let existing = app.store.find(request.serial.as_str()).await?;
            let device = app.store.find(request.device.as_str()).await?;
            Ok(claim::make(request, (&existing, &device), hash, (by, app.now()))?)
        })
        .await?;
    Ok(committed.map(|made| ClaimReply { claim: secret, expires: made.expires }))
}
