//! Evidence: ordered, looked at, pulled.

use lazaret_protocol::operator::{BundleView, CollectionReply};
use lazaret_server_store::Committed;

use super::super::route::Call;
use super::reason;
use crate::app::error::AppError;
use crate::app::repository::Content;
use crate::app::{evidence, listing};
use crate::identity::operator::Operator;

pub(super) async fn order(
    call: Call,
    by: Operator,
) -> Result<Committed<CollectionReply>, AppError> {
    evidence::order(&call.app, by.name(), &call.id("device")?, &reason(&call)?).await
}

pub(super) async fn show(call: Call) -> Result<BundleView, AppError> {
    listing::bundle(&call.app, &call.id("bundle")?).await
}

pub(super) async fn pull(call: Call, by: Operator) -> Result<Content, AppError> {
    evidence::pull(&call.app, by.name(), &call.id("bundle")?).await
}
