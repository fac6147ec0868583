//! Releases: announced, uploaded, looked at.

use lazaret_protocol::operator::{Page, ReleaseRequest, ReleaseView};
use lazaret_server_store::Committed;
use serde::Deserialize;

use super::super::page::page;
use super::super::route::Call;
use crate::app::error::AppError;
use crate::app::{listing, release};
use crate::identity::operator::Operator;

pub(super) async fn announce(call: Call, by: Operator) -> Result<Committed<ReleaseView>, AppError> {
    release::announce(&call.app, by.name(), &call.message::<ReleaseRequest>()?).await
}

pub(super) async fn list(call: Call) -> Result<Page<ReleaseView>, AppError> {
    listing::releases(&call.app, &page(&call)?).await
}

pub(super) async fn show(call: Call) -> Result<ReleaseView, AppError> {
    release::show(&call.app, &call.id("model")?, &call.id("version")?).await
}

#[derive(Debug, Deserialize)]
struct OffsetQuery {
    offset: u64,
}

pub(super) async fn append(call: Call) -> Result<Committed<ReleaseView>, AppError> {
    let at: OffsetQuery = call.query()?;
    let release = (&call.id("model")?, &call.id("version")?);
    release::append(&call.app, release, at.offset, call.body).await
}
