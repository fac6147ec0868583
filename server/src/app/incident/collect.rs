//! Evidence of a whole incident: one bundle of each device, ordered once however often somebody
//! asks.

use futures_util::StreamExt as _;
use lazaret_protocol::id::{DeviceId, OperatorName};
use lazaret_protocol::operator::CollectionCount;
use lazaret_protocol::order::Wanted;
use lazaret_server_domain::bundle;
use lazaret_server_domain::device::Device;
use lazaret_server_domain::incident::{Asked, Incident};
use lazaret_server_domain::record::{Decision, Found, Record as _};

use super::super::context::App;
use super::super::error::AppError;
use super::super::evidence::sealing;
use super::members;

/// Orders that are committed side by side: they share one sync.
const AT_ONCE: usize = 64;

/// Asks every device that was not asked. A device that cannot be asked, for too many orders are
/// open or because it is gone, stops no other.
///
/// # Errors
/// The store.
pub(super) async fn all(
    app: &App,
    by: &OperatorName,
    incident: &Incident,
    reason: &str,
) -> Result<CollectionCount, AppError> {
    let devices = members::of(app, incident).await?;
    let asking = devices.into_iter().map(|device| async move {
        let asked = ask(app, by, (incident, &device), reason).await;
        (device, asked)
    });
    let mut asked = futures_util::stream::iter(asking).buffer_unordered(AT_ONCE);
    let mut count = CollectionCount::default();
    while let Some((device, asked)) = asked.next().await {
        match asked {
            Ok(true) => count.ordered = count.ordered.saturating_add(1),
            Ok(false) => count.before = count.before.saturating_add(1),
            Err(AppError::Refused(_)) => count.refused.push(device),
            Err(err) => return Err(err),
        }
    }
    count.refused.sort_unstable();
    Ok(count)
}

/// Asks one device; whether it had not been asked before.
async fn ask(
    app: &App,
    by: &OperatorName,
    (incident, device): (&Incident, &DeviceId),
    reason: &str,
) -> Result<bool, AppError> {
    let name = format!("{}/{device}", incident.id);
    let wanted = Wanted::default();
    let ordered = app
        .decide(|| async {
            let before: Found<Asked> = app.store.find(&name).await?;
            if before.value.is_some() {
                return Ok(Decision::reply(false));
            }
            let found: Found<Device> = app.store.find(device.as_str()).await?;
            let order = bundle::order(&found, (reason, &wanted), (by, app.now()), &sealing(app))?;
            let bundle = order.preview().id.clone();
            let (incident, device) = (incident.id.clone(), device.clone());
            let asked = Asked { incident, device, bundle };
            debug_assert_eq!(asked.name(), name, "asked under another name");
            Ok(order.replace(&before, &asked).with_reply(true))
        })
        .await?;
    Ok(ordered.into_reply())
}
