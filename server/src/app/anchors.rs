//! The anchors of the repository: their bytes beside the metadata that signs them, and which of the
//! server's order keys they name. What devices do with them is the devices' business.

use lazaret_protocol::anchors::Anchors;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::limits::METADATA_BYTES_MAX;
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::target::ANCHORS_TARGET;
use lazaret_server_domain::record::Found;
use lazaret_server_domain::refused::Refused;
use lazaret_server_domain::repository::{PublishedTarget, RepositoryHead};
use lazaret_server_publish::{self as signing, Files};

use super::context::App;
use super::error::AppError;
use super::publish;

/// Checks that the anchors which `after` signs are those that come with it, or those that are here.
///
/// # Errors
/// Others are signed than come, or new ones are signed and none come.
pub(super) fn check(current: &Files, after: &Files, come: Option<&[u8]>) -> Result<(), AppError> {
    let signed = signing::anchors(after)?;
    let come =
        come.map(|bytes| (Sha256Digest::of(bytes), u64::try_from(bytes.len()).unwrap_or(u64::MAX)));
    if come.is_some() && come != signed {
        let got = come.map(|(sha256, _)| sha256.to_string()).unwrap_or_default();
        let detail = format!("expected the anchors that the targets role signed, got {got}");
        return Err(Refused::because(RefusalCode::MetadataRefused, detail).into());
    }
    let here = if current.0.is_empty() { None } else { signing::anchors(current)? };
    if come.is_none() && signed != here {
        let detail = "targets signs other anchors than are here: hand them in with it";
        return Err(Refused::because(RefusalCode::Conflict, detail).into());
    }
    Ok(())
}

/// Stores the anchors' bytes, and gives the record with which they are served.
///
/// # Errors
/// The blob store.
pub(super) async fn keep(app: &App, bytes: &[u8]) -> Result<PublishedTarget, AppError> {
    let sha256 = Sha256Digest::of(bytes);
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let mut upload = app.images.begin(length).await?;
    upload.write(bytes.to_vec().into()).await?;
    upload.finish(Some(sha256)).await?;
    Ok(PublishedTarget { targets: vec![ANCHORS_TARGET.to_owned()], sha256, length })
}

/// The anchors that are served; none before the first are published.
///
/// # Errors
/// The stores, or they cannot be read.
pub(crate) async fn served(app: &App) -> Result<Option<Anchors>, AppError> {
    let head: Found<RepositoryHead> = app.store.find(RepositoryHead::NAME).await?;
    let files = publish::current(app, &head).await?;
    if files.0.is_empty() {
        return Ok(None);
    }
    let Some((sha256, _)) = signing::anchors(&files)? else { return Ok(None) };
    let bytes = app.images.bytes(sha256, METADATA_BYTES_MAX).await?;
    let anchors = Anchors::parse(&bytes)
        .map_err(|_| AppError::CutShort { what: "reading the anchors that are served" })?;
    Ok(Some(anchors))
}

/// Has orders, and the audit log, signed by the keys that the anchors name first among those that
/// the server holds.
/// Where they name none of them the key stays, and the log says that devices will refuse orders.
///
/// # Errors
/// The stores, or the anchors cannot be read.
pub(crate) async fn choose_order_key(app: &App) -> Result<(), AppError> {
    let Some(anchors) = served(app).await? else { return Ok(()) };
    if !app.keys.choose_orders(&anchors.order_keys) {
        tracing::error!(
            "the anchors list none of the order keys of this server: devices refuse orders"
        );
    }
    if !app.keys.choose_audit(&anchors.audit_keys) {
        tracing::error!(
            "the anchors list none of the audit keys of this server: auditors will not believe \
             its checkpoints"
        );
    }
    Ok(())
}
