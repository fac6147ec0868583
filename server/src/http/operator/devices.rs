//! Devices: claims, lists, containment.

use lazaret_protocol::id::DeviceId;
use lazaret_protocol::operator::{ClaimReply, ClaimRequest, DeviceView, Page};
use lazaret_server_store::Committed;

use super::super::page::page;
use super::super::route::Call;
use super::{checked, reason};
use crate::app::error::AppError;
use crate::app::{claim, listing, quarantine};
use crate::identity::operator::Operator;

pub(super) async fn claim(call: Call, by: Operator) -> Result<Committed<ClaimReply>, AppError> {
    let request: ClaimRequest = call.message()?;
    checked(&request.reason)?;
    claim::make(&call.app, by.name(), &request).await
}

pub(super) async fn list(call: Call) -> Result<Page<DeviceView>, AppError> {
    listing::devices(&call.app, &page(&call)?).await
}

pub(super) async fn show(call: Call) -> Result<DeviceView, AppError> {
    listing::device(&call.app, &call.id("device")?).await
}

pub(super) async fn quarantine(
    call: Call,
    by: Operator,
) -> Result<Committed<DeviceView>, AppError> {
    let device: DeviceId = call.id("device")?;
    quarantine::quarantine(&call.app, by.name(), &device, &reason(&call)?).await
}
