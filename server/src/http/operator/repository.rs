//! Publication: what ceremonies signed comes in. What is served stands in `super::super::files`.

use lazaret_protocol::operator::{PublicationRequest, PublishReply};
use lazaret_server_store::Committed;

use super::super::route::Call;
use crate::app::error::AppError;
use crate::app::publish::{self, Publication};
use crate::identity::operator::Operator;

pub(super) async fn publish(call: Call, by: Operator) -> Result<Committed<PublishReply>, AppError> {
    publish::publish(&call.app, by.name(), (call.segment("file"), &call.body)).await
}

pub(super) async fn publish_all(
    call: Call,
    by: Operator,
) -> Result<Committed<PublishReply>, AppError> {
    publish::publish_all(&call.app, by.name(), &publication(&call)?).await
}

pub(super) async fn rehearse(call: Call, by: Operator) -> Result<PublishReply, AppError> {
    publish::rehearse(&call.app, by.name(), &publication(&call)?).await
}

fn publication(call: &Call) -> Result<Publication, AppError> {
    let request: PublicationRequest = call.message()?;
    let files = request.files.into_iter();
    Ok(Publication {
        files: files.map(|(name, text)| (name, text.into_bytes())).collect(),
        anchors: request.anchors.map(String::into_bytes),
    })
}
