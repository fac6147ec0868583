//! Third parties: whether what a request is about lies within their scope.

use lazaret_protocol::id::{BundleId, DeviceId, ModelName};
use lazaret_protocol::operator::Scope;
use lazaret_protocol::refusal::RefusalCode;
use lazaret_server_domain::access;
use lazaret_server_domain::bundle::Bundle;
use lazaret_server_domain::device::Device;
use lazaret_server_domain::record::Found;
use lazaret_server_domain::refused::Refused;

use super::context::App;
use super::error::AppError;

/// What a request is about, as far as a scope can say something of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A device.
    Device(DeviceId),
    /// The device that a bundle came from.
    Bundle(BundleId),
    /// A hardware model.
    Model(ModelName),
    /// Nothing that is anybody's: health, the interface's own description, oneself.
    Nothing,
}

/// Refuses what is not within all of `scopes`. What does not exist looks the same.
///
/// # Errors
/// Not within; or the store.
pub(crate) async fn check(
    app: &App,
    scopes: &[Scope],
    subject: Option<&Subject>,
) -> Result<(), AppError> {
    if scopes.is_empty() {
        return Ok(());
    }
    let within = match subject {
        None => false,
        Some(Subject::Nothing) => true,
        Some(Subject::Model(model)) => {
            // A scope of groups or of an incident says nothing of a model as a whole.
            let names = |scope: &Scope| {
                scope.models.contains(model) && scope.groups.is_empty() && scope.incident.is_none()
            };
            scopes.iter().all(names)
        }
        Some(Subject::Device(device)) => covers(app, scopes, device).await?,
        Some(Subject::Bundle(bundle)) => {
            let found: Found<Bundle> = app.store.find(bundle.as_str()).await?;
            match found.value {
                Some(bundle) => covers(app, scopes, &bundle.device).await?,
                None => false,
            }
        }
    };
    if within { Ok(()) } else { Err(outside().into()) }
}

/// Whether all of `scopes` have a device; no scope at all has every one.
pub(crate) fn all_cover(scopes: &[Scope], device: &Device) -> bool {
    scopes.iter().all(|scope| access::covers(scope, device))
}

async fn covers(app: &App, scopes: &[Scope], device: &DeviceId) -> Result<bool, AppError> {
    let found: Found<Device> = app.store.find(device.as_str()).await?;
    Ok(found.value.is_some_and(|device| all_cover(scopes, &device)))
}

fn outside() -> Refused {
    let why = "this is outside the scope that was agreed with you";
    Refused::because(RefusalCode::Forbidden, why)
}
