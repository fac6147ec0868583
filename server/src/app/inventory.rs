//! An operator lists machines that may enrol.

use hmac::{Hmac, KeyInit as _, Mac as _};
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::{OperatorName, SerialNumber};
use lazaret_protocol::operator::{
    INVENTORY_ITEMS_MAX, InventoryItem, InventoryReply, InventoryRequest, NumberKind,
};
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::time::Timestamp;
use lazaret_server_domain::claim::Claim;
use lazaret_server_domain::device::Device;
use lazaret_server_domain::inventory::{self, Item, Listed};
use lazaret_server_domain::record::Found;
use lazaret_server_domain::refused::Refused;
use lazaret_server_store::Committed;
use sha2::Sha256;

use super::context::App;
use super::error::AppError;

/// Problems that are told at once.
const PROBLEMS_TOLD_MAX: usize = 50;

/// Enters a list, whole or not at all.
///
/// # Errors
/// As the domain says; or the store.
pub(crate) async fn enter(
    app: &App,
    by: &OperatorName,
    request: &InventoryRequest,
) -> Result<Committed<InventoryReply>, AppError> {
    if request.items.len() > INVENTORY_ITEMS_MAX {
        let got = request.items.len();
        let detail = format!("expected at most {INVENTORY_ITEMS_MAX} machines at once, got {got}");
        return Err(Refused::because(RefusalCode::TooLarge, detail).into());
    }
    app.decide(|| async {
        let now = app.now();
        known_factories(app, request)?;
        let items: Vec<Item> =
            request.items.iter().map(|item| hashed(app, item, (by, now))).collect();
        let serials: Vec<String> = items.iter().map(|item| item.serial.to_string()).collect();
        let found: Vec<Found<Item>> = app.store.find_all(&serials).await?;
        let all: Vec<Item> = app.store.list_all("").await?;
        let enrolled = enrolled(app, &items, &serials).await?;
        let listed = Listed { found: &found, all: &all, enrolled: &enrolled };
        Ok(inventory::enter(request, &items, &listed, (by, now))?)
    })
    .await
}

/// A name that the settings do not have would never let its machine in.
fn known_factories(app: &App, request: &InventoryRequest) -> Result<(), Refused> {
    let unknown = |item: &&InventoryItem| {
        item.factory.as_ref().is_some_and(|name| app.factories.named(name).is_none())
    };
    let lines: Vec<String> = request
        .items
        .iter()
        .filter(unknown)
        .take(PROBLEMS_TOLD_MAX)
        .map(|item| {
            let name = item.factory.as_deref().unwrap_or_default();
            format!("line {}: the server's settings have no factory {name}", item.line)
        })
        .collect();
    match lines.is_empty() {
        true => Ok(()),
        false => Err(Refused::because(RefusalCode::BadRequest, lines.join("\n"))),
    }
}

/// Which of these machines have enrolled, or have a claim of their own that was used.
async fn enrolled(
    app: &App,
    items: &[Item],
    serials: &[String],
) -> Result<Vec<SerialNumber>, AppError> {
    let names: Vec<String> = items.iter().map(|item| item.device.to_string()).collect();
    let devices: Vec<Found<Device>> = app.store.find_all(&names).await?;
    let claims: Vec<Found<Claim>> = app.store.find_all(serials).await?;
    let used = |claim: &Found<Claim>| claim.value.as_ref().is_some_and(|it| it.used.is_some());
    let are = items.iter().zip(devices.iter().zip(&claims));
    let are = are.filter(|(_, (device, claim))| device.value.is_some() || used(claim));
    Ok(are.map(|(item, _)| item.serial.clone()).collect())
}

/// The entry of a line: what is secret in it is hashed, and what is private is keyed.
fn hashed(app: &App, line: &InventoryItem, (by, at): (&OperatorName, Timestamp)) -> Item {
    let keyed = |kind: NumberKind, text: &Option<String>| {
        text.as_ref().map(|text| keyed(&app.identifier_key, kind, text))
    };
    Item {
        serial: line.serial.clone(),
        device: line.device.clone(),
        model: line.model.clone(),
        group: line.group.clone(),
        endorsement: line.endorsement.clone(),
        claim: line.claim.as_ref().map(|claim| Sha256Digest::of(claim.as_bytes())),
        imei: keyed(NumberKind::Imei, &line.imei),
        iccid: keyed(NumberKind::Iccid, &line.iccid),
        imsi: keyed(NumberKind::Imsi, &line.imsi),
        factory: line.factory.clone(),
        by: by.clone(),
        at,
    }
}

/// A number of a modem or SIM under the server's own key: there are few enough of them to try all,
/// so that a plain hash would hide nothing.
pub(crate) fn keyed(key: &[u8; 32], kind: NumberKind, text: &str) -> Sha256Digest {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Sha256Digest::of(&[]) };
    mac.update(kind.as_str().as_bytes());
    mac.update(b":");
    mac.update(text.as_bytes());
    Sha256Digest::from_bytes(mac.finalize().into_bytes().into())
}
