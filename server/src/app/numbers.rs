//! An operator accepts that numbers of a device's modem or SIM have changed.

use lazaret_protocol::id::{DeviceId, OperatorName};
use lazaret_protocol::operator::DeviceView;
use lazaret_server_domain::number;
use lazaret_server_store::Committed;

use super::context::App;
use super::error::AppError;

/// Accepts the numbers that `device` says it has: it is held for them no more.
///
/// # Errors
/// As the domain says; or the store.
pub(crate) async fn accept(
    app: &App,
    by: &OperatorName,
    device: &DeviceId,
    reason: &str,
) -> Result<Committed<DeviceView>, AppError> {
    let committed = app
        .decide(|| async {
            let found = app.store.find(device.as_str()).await?;
            Ok(number::accept(&found, reason, (by, app.now()))?)
        })
        .await?;
    app.wake();
    Ok(committed.map(|device| device.view()))
}
