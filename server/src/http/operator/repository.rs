//! The signed repository as operators read it, and its publication.

use lazaret_protocol::operator::PublishReply;
use lazaret_server_store::Committed;

use super::super::route::Call;
use crate::app::error::AppError;
use crate::app::publish;
use crate::app::repository::{self, Content};
use crate::identity::operator::Operator;

pub(super) async fn metadata(call: Call) -> Result<Vec<u8>, AppError> {
    repository::metadata(&call.app, call.segment("file")).await
}

pub(super) async fn target(call: Call) -> Result<Content, AppError> {
    repository::target(&call.app, call.segment("path"), call.range.as_deref()).await
}

pub(super) async fn publish(call: Call, by: Operator) -> Result<Committed<PublishReply>, AppError> {
    publish::publish(&call.app, by.name(), (call.segment("file"), &call.body)).await
}
