//! Rollouts: started, looked at, halted.

use lazaret_protocol::operator::{Page, RolloutRequest, RolloutView};
use lazaret_server_store::Committed;

use super::super::page::page;
use super::super::route::Call;
use super::{checked, reason};
use crate::app::error::AppError;
use crate::app::{listing, rollout};
use crate::identity::operator::Operator;

pub(super) async fn start(call: Call, by: Operator) -> Result<Committed<RolloutView>, AppError> {
    let request: RolloutRequest = call.message()?;
    checked(&request.reason)?;
    rollout::start(&call.app, by.name(), &request).await
}

pub(super) async fn list(call: Call) -> Result<Page<RolloutView>, AppError> {
    listing::rollouts(&call.app, &page(&call)?).await
}

pub(super) async fn show(call: Call) -> Result<RolloutView, AppError> {
    rollout::show(&call.app, &call.id("rollout")?).await
}

pub(super) async fn halt(call: Call, by: Operator) -> Result<Committed<RolloutView>, AppError> {
    rollout::halt(&call.app, by.name(), &call.id("rollout")?, &reason(&call)?).await
}
