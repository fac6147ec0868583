//! Evidence: ordered by a responder, sent by the device in pieces, pulled by a responder.

use bytes::Bytes;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::{BundleId, DeviceId, OperatorName};
use lazaret_protocol::limits::BUNDLE_BYTES_MAX;
use lazaret_protocol::operator::CollectionReply;
use lazaret_protocol::signed::DevicePeer;
use lazaret_server_domain::bundle::{self, Bundle};
use lazaret_server_domain::record::Found;
use lazaret_server_store::Committed;

use super::context::App;
use super::error::AppError;
use super::repository::Content;
use super::uploads::{self, Destination};

/// Orders a collection of evidence from `device`.
///
/// # Errors
/// As the domain says; or the store.
pub(crate) async fn order(
    app: &App,
    by: &OperatorName,
    device: &DeviceId,
    reason: &str,
) -> Result<Committed<CollectionReply>, AppError> {
    let committed = app
        .decide(|| async {
            let found = app.store.find(device.as_str()).await?;
            Ok(bundle::order(&found, reason, (by, app.now()))?)
        })
        .await?;
    app.wake();
    Ok(committed.map(|bundle| CollectionReply { bundle: bundle.id }))
}

/// How much of a bundle has arrived, in bytes.
///
/// # Errors
/// Not ordered of this device, or whole already; or the stores.
pub(crate) async fn offset(
    app: &App,
    peer: &DevicePeer,
    bundle: &BundleId,
) -> Result<u64, AppError> {
    let found: Found<Bundle> = app.store.find(bundle.as_str()).await?;
    if let Some(whole) = bundle::whole(&found, peer.device()) {
        return Ok(whole.length);
    }
    bundle::may_send(&found, peer.device())?;
    let of = upload_name(bundle);
    uploads::offset(app, destination(app, &of)).await
}

/// Takes a piece of a bundle in.
///
/// # Errors
/// Not ordered of this device, at another offset, too much; or the stores.
pub(crate) async fn append(
    app: &App,
    (peer, bundle): (&DevicePeer, &BundleId),
    offset: u64,
    chunk: Bytes,
) -> Result<u64, AppError> {
    let found: Found<Bundle> = app.store.find(bundle.as_str()).await?;
    if let Some(whole) = bundle::whole(&found, peer.device())
        && chunk.is_empty()
        && offset == whole.length
    {
        return Ok(offset);
    }
    bundle::may_send(&found, peer.device())?;
    let of = upload_name(bundle);
    uploads::append(app, destination(app, &of), offset, chunk).await
}

/// Ends a bundle: its bytes are checked against the digest that the device says, and it is entered.
///
/// # Errors
/// Another digest; or the stores.
pub(crate) async fn finish(
    app: &App,
    (peer, bundle): (&DevicePeer, &BundleId),
    sha256: Sha256Digest,
) -> Result<Committed<u64>, AppError> {
    let found: Found<Bundle> = app.store.find(bundle.as_str()).await?;
    if bundle::whole(&found, peer.device()).is_none() {
        bundle::may_send(&found, peer.device())?;
    }
    let of = upload_name(bundle);
    let finished = uploads::finish(app, destination(app, &of), sha256).await?;
    let committed = app
        .decide(|| async {
            let found: Found<Bundle> = app.store.find(bundle.as_str()).await?;
            let (device, now) = (peer.device(), app.now());
            Ok(bundle::receive(&found, device, (finished.digest, finished.length), now)?)
        })
        .await?;
    app.wake();
    Ok(committed.map(|bundle| bundle.length))
}

/// Opens a bundle for a responder, once the act is in its custody record.
///
/// # Errors
/// As the domain says; or the stores.
pub(crate) async fn pull(
    app: &App,
    by: &OperatorName,
    bundle: &BundleId,
) -> Result<Content, AppError> {
    let committed = app
        .decide(|| async {
            let found: Found<Bundle> = app.store.find(bundle.as_str()).await?;
            Ok(bundle::pull(&found, (by, app.now()))?)
        })
        .await?;
    let unknown = AppError::CutShort { what: "a bundle without a digest" };
    let digest = committed.into_reply().sha256.ok_or(unknown)?;
    let opened = app.evidence.open(digest).await?;
    let length = opened.length;
    Ok(Content { bytes: opened.bytes, length })
}

fn upload_name(bundle: &BundleId) -> String {
    format!("bundle/{bundle}")
}

fn destination<'a>(app: &'a App, of: &'a str) -> Destination<'a> {
    Destination { blobs: &app.evidence, of, bytes_max: BUNDLE_BYTES_MAX }
}
