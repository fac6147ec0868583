//! An operator takes a device out of service for good.

use lazaret_protocol::id::{DeviceId, OperatorName};
use lazaret_protocol::operator::DeviceView;
use lazaret_server_domain::retire;
use lazaret_server_store::Committed;

use super::context::App;
use super::error::AppError;

/// Retires `device`. From the commit on it is refused everything, on open connections too, because
/// the registry is asked on every request.
///
/// # Errors
/// As the domain says; or the store.
pub(crate) async fn retire(
    app: &App,
    by: &OperatorName,
    device: &DeviceId,
    reason: &str,
) -> Result<Committed<DeviceView>, AppError> {
    let committed = app
        .decide(|| async {
            let found = app.store.find(device.as_str()).await?;
            Ok(retire::retire(&found, reason, (by, app.now()))?)
        })
        .await?;
    app.wake();
    Ok(committed.map(|device| device.view()))
}
