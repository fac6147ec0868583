//! Devices: claims, lists, containment.

use lazaret_protocol::id::DeviceId;
use lazaret_protocol::operator::{
    ClaimReply, ClaimRequest, DeviceView, InventoryReply, InventoryRequest, LabelRequest, Page,
    QuarantineRequest, WhyView,
};
use lazaret_server_store::Committed;
use serde::Deserialize;

use super::super::page::page;
use super::super::route::Call;
use super::{checked, reason};
use crate::app::error::AppError;
use crate::app::{claim, fleet, inventory, listing, numbers, quarantine, retire};
use crate::identity::operator::Operator;

pub(super) async fn claim(call: Call, by: Operator) -> Result<Committed<ClaimReply>, AppError> {
    let request: ClaimRequest = call.message()?;
    checked(&request.reason)?;
    claim::make(&call.app, by.name(), &request).await
}

pub(super) async fn inventory(
    call: Call,
    by: Operator,
) -> Result<Committed<InventoryReply>, AppError> {
    let request: InventoryRequest = call.message()?;
    checked(&request.reason)?;
    inventory::enter(&call.app, by.name(), &request).await
}

#[derive(Debug, Deserialize)]
struct FilterQuery {
    filter: Option<String>,
}

pub(super) async fn list(call: Call, by: Operator) -> Result<Page<DeviceView>, AppError> {
    let FilterQuery { filter } = call.query()?;
    listing::devices(&call.app, (filter.as_deref(), by.scopes()), &page(&call)?).await
}

pub(super) async fn why(call: Call) -> Result<WhyView, AppError> {
    fleet::why(&call.app, &call.id("device")?).await
}

pub(super) async fn label(call: Call, by: Operator) -> Result<Committed<DeviceView>, AppError> {
    let request: LabelRequest = call.message()?;
    fleet::label(&call.app, by.name(), &call.id("device")?, &request).await
}

pub(super) async fn show(call: Call) -> Result<DeviceView, AppError> {
    listing::device(&call.app, &call.id("device")?).await
}

pub(super) async fn quarantine(
    call: Call,
    by: Operator,
) -> Result<Committed<DeviceView>, AppError> {
    let device: DeviceId = call.id("device")?;
    let request: QuarantineRequest = call.message()?;
    checked(&request.reason)?;
    quarantine::quarantine(&call.app, by.name(), &device, &request).await
}

pub(super) async fn accept_swap(
    call: Call,
    by: Operator,
) -> Result<Committed<DeviceView>, AppError> {
    let device: DeviceId = call.id("device")?;
    numbers::accept(&call.app, by.name(), &device, &reason(&call)?).await
}

pub(super) async fn retire(call: Call, by: Operator) -> Result<Committed<DeviceView>, AppError> {
    let device: DeviceId = call.id("device")?;
    retire::retire(&call.app, by.name(), &device, &reason(&call)?).await
}
