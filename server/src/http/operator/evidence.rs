//! Evidence: ordered, listed, looked at, pulled, held, read back.

use lazaret_protocol::operator::{
    AcceptLogReply, BundleView, CollectionReply, CollectionRequest, HoldRequest, Page, ScrubReply,
};
use lazaret_server_store::Committed;

use super::super::page::page;
use super::super::route::Call;
use crate::app::error::AppError;
use crate::app::repository::Content;
use crate::app::{evidence, listing};
use crate::identity::operator::Operator;

pub(super) async fn order(
    call: Call,
    by: Operator,
) -> Result<Committed<CollectionReply>, AppError> {
    let request: CollectionRequest = call.message()?;
    super::checked(&request.reason)?;
    evidence::order(&call.app, by.name(), &call.id("device")?, &request).await
}

pub(super) async fn list(call: Call, by: Operator) -> Result<Page<BundleView>, AppError> {
    if by.scopes().is_empty() {
        return listing::bundles(&call.app, &page(&call)?).await;
    }
    evidence::within_scopes(&call.app, (by.name(), by.scopes()), &page(&call)?).await
}

pub(super) async fn hold(call: Call, by: Operator) -> Result<Committed<BundleView>, AppError> {
    let request: HoldRequest = call.message()?;
    super::checked(&request.reason)?;
    evidence::hold(&call.app, by.name(), &call.id("bundle")?, &request).await
}

pub(super) async fn scrub(call: Call) -> Result<ScrubReply, AppError> {
    evidence::scrub(&call.app).await
}

pub(super) async fn show(call: Call, by: Operator) -> Result<BundleView, AppError> {
    if !by.scopes().is_empty() {
        return evidence::look(&call.app, by.name(), &call.id("bundle")?).await;
    }
    listing::bundle(&call.app, &call.id("bundle")?).await
}

pub(super) async fn pull(call: Call, by: Operator) -> Result<Content, AppError> {
    evidence::pull(&call.app, by.name(), &call.id("bundle")?).await
}

pub(super) async fn accept_log(
    call: Call,
    by: Operator,
) -> Result<Committed<AcceptLogReply>, AppError> {
    evidence::accept_log(&call.app, by.name(), &call.id("device")?, &super::reason(&call)?).await
}
