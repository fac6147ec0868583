//! A responder puts a device in quarantine.

use lazaret_protocol::id::{DeviceId, OperatorName};
use lazaret_protocol::operator::DeviceView;
use lazaret_server_domain::quarantine;
use lazaret_server_store::Committed;

use super::context::App;
use super::error::AppError;

/// Puts `device` in quarantine. From the commit on the server refuses it all but evidence and cure,
/// on open connections too, because the registry is asked on every request.
///
/// # Errors
/// As the domain says; or the store.
pub(crate) async fn quarantine(
    app: &App,
    by: &OperatorName,
    device: &DeviceId,
    reason: &str,
) -> Result<Committed<DeviceView>, AppError> {
    let committed = app
        .decide(|| async {
            let found = app.store.find(device.as_str()).await?;
            Ok(quarantine::quarantine(&found, reason, (by, app.now()))?)
        })
        .await?;
    app.wake();
    Ok(committed.map(|device| device.view()))
}
