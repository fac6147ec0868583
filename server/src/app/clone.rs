//! Signs of copies that show at the door: a certificate that a newer one has taken the place of,
//! and two connections that speak in turn.

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::DeviceId;
use lazaret_server_domain::clone;
use lazaret_server_domain::device::Device;
use lazaret_server_domain::record::Found;

use super::context::App;
use super::error::AppError;

/// Records that requests of one device came in turn from two addresses over open connections, at
/// most once an hour for a device.
///
/// # Errors
/// The store.
pub(crate) async fn two_live(app: &App, device: &DeviceId, evidence: &str) -> Result<(), AppError> {
    let recorded = app
        .decide(|| async {
            let found: Found<Device> = app.store.find(device.as_str()).await?;
            Ok(clone::two_live(&found, evidence, app.now()))
        })
        .await?;
    recorded.into_reply();
    Ok(())
}

/// Records it, at most once an hour for a device: whoever has the certificate may show it as often
/// as they like.
///
/// # Errors
/// The store.
pub(crate) async fn superseded(
    app: &App,
    device: &DeviceId,
    certificate: &Sha256Digest,
) -> Result<(), AppError> {
    let recorded = app
        .decide(|| async {
            let found: Found<Device> = app.store.find(device.as_str()).await?;
            Ok(clone::superseded(&found, certificate, app.now()))
        })
        .await?;
    recorded.into_reply();
    Ok(())
}
