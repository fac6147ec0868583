//! Evidence: ordered by a responder, sent by the device in pieces, pulled by a responder, held,
//! deleted when its time is up, and read back to see that it is what came.

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use lazaret_protocol::canonical::CanonicalError;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::{BundleId, DeviceId, OperatorName};
use lazaret_protocol::limits::BUNDLE_BYTES_MAX;
use lazaret_protocol::operator::{
    AcceptLogReply, BundleState, BundleView, CollectionReply, CollectionRequest, HoldRequest, Page,
    Scope, ScrubReply,
};
use lazaret_protocol::receipt::Receipt;
use lazaret_protocol::signed::{DevicePeer, Envelope};
use lazaret_protocol_evidence::custody::custody_keys;
use lazaret_protocol_evidence::tlog::note::SignedNote;
use lazaret_server_blobs::blob::BlobError;
use lazaret_server_domain::bundle::{self, Bundle};
use lazaret_server_domain::device::Device;
use lazaret_server_domain::record::Found;
use lazaret_server_domain::witness::{self, Witnessed};
use lazaret_server_store::Committed;
use sha2::{Digest as _, Sha256};

use super::context::App;
use super::error::AppError;
use super::listing::PageRequest;
use super::repository::Content;
use super::uploads::{self, Destination};
use super::within;

/// Orders a collection of evidence from `device`.
///
/// # Errors
/// As the domain says; or the store.
pub(crate) async fn order(
    app: &App,
    by: &OperatorName,
    device: &DeviceId,
    request: &CollectionRequest,
) -> Result<Committed<CollectionReply>, AppError> {
    let what = (request.reason.as_str(), &request.wanted);
    let committed = app
        .decide(|| async {
            let found = app.store.find(device.as_str()).await?;
            Ok(bundle::order(&found, what, (by, app.now()), &sealing(app))?)
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
) -> Result<Committed<Bundle>, AppError> {
    let found: Found<Bundle> = app.store.find(bundle.as_str()).await?;
    if bundle::whole(&found, peer.device()).is_none() {
        bundle::may_send(&found, peer.device())?;
    }
    let of = upload_name(bundle);
    let finished = uploads::finish(app, destination(app, &of), sha256).await?;
    let committed = app
        .decide(|| async {
            let found: Found<Bundle> = app.store.find(bundle.as_str()).await?;
            let receipt = Receipt {
                bundle: bundle.clone(),
                device: peer.device().clone(),
                sha256: finished.digest,
                length: finished.length,
                at: app.now(),
            };
            let signed = signed(app, &receipt)?;
            let seal = sealing(app);
            Ok(bundle::receive(&found, peer.device(), &receipt, (signed, &seal))?)
        })
        .await?;
    app.wake();
    Ok(committed)
}

/// The receipt under the key that signs orders, which devices know from their anchors.
fn signed(app: &App, receipt: &Receipt) -> Result<Envelope, AppError> {
    let keyid = app.keys.orders_public().key_id();
    let sealed =
        Envelope::seal(receipt, keyid, |bytes| Ok::<_, CanonicalError>(app.keys.sign_order(bytes)));
    sealed.map_err(|_| AppError::CutShort { what: "signing a receipt" })
}

/// Signs heads of custody logs.
pub(super) fn sealing(app: &App) -> impl Fn(&str) -> Option<String> {
    move |text: &str| {
        let keys = custody_keys(std::slice::from_ref(&app.keys.orders_public()));
        let key = keys.first()?;
        let signature: [u8; 64] = app.keys.sign_order(&key.message(text, 0)).try_into().ok()?;
        let note = SignedNote::new(text.to_owned(), vec![key.signed(0, &signature)]).ok()?;
        Some(note.to_text())
    }
}

/// Places a legal hold, or lifts one's own.
///
/// # Errors
/// As the domain says; or the store.
pub(crate) async fn hold(
    app: &App,
    by: &OperatorName,
    bundle: &BundleId,
    request: &HoldRequest,
) -> Result<Committed<BundleView>, AppError> {
    let committed = app
        .decide(|| async {
            let found: Found<Bundle> = app.store.find(bundle.as_str()).await?;
            let (who, seal) = ((by, app.now()), sealing(app));
            let HoldRequest { lift, reason } = request;
            Ok(match lift {
                true => bundle::free(&found, reason, who, &seal)?,
                false => bundle::hold(&found, reason, who, &seal)?,
            })
        })
        .await?;
    Ok(committed.map(|bundle| bundle.view()))
}

/// Accepts that the disputed log of a device begins anew.
///
/// # Errors
/// As the domain says; or the store.
pub(crate) async fn accept_log(
    app: &App,
    by: &OperatorName,
    device: &DeviceId,
    reason: &str,
) -> Result<Committed<AcceptLogReply>, AppError> {
    let committed = app
        .decide(|| async {
            let found: Found<Witnessed> = app.store.find(device.as_str()).await?;
            Ok(witness::accept(&found, device, (by, reason, app.now()))?)
        })
        .await?;
    app.wake();
    Ok(committed)
}

/// Bundles by name, a page of them.
const BUNDLES_READ: usize = 500;

/// Deletes what has been here for `kept_days` and is held by nobody. The record is committed before
/// the bytes go; bytes that a crash left behind go at the next time.
///
/// # Errors
/// The stores.
pub(crate) async fn retain(app: &App, kept_days: u64) -> Result<(), AppError> {
    let mut after: Option<String> = None;
    loop {
        let bundles: Vec<Bundle> = app.store.list("", after.as_deref(), BUNDLES_READ).await?;
        let Some(last) = bundles.last() else { return Ok(()) };
        after = Some(last.id.to_string());
        for bundle in &bundles {
            if bundle::is_due(bundle, kept_days, app.now()) {
                delete(app, &bundle.id, kept_days).await?;
            }
            if let (BundleState::Deleted, Some(digest)) = (bundle.state, bundle.sha256) {
                app.evidence.delete(digest).await?;
            }
        }
    }
}

async fn delete(app: &App, bundle: &BundleId, kept_days: u64) -> Result<(), AppError> {
    let committed = app
        .decide(|| async {
            let found: Found<Bundle> = app.store.find(bundle.as_str()).await?;
            Ok(bundle::delete(&found, kept_days, app.now(), &sealing(app))?)
        })
        .await?;
    // Encryption makes every bundle's bytes its own: no other bundle has this digest.
    if let Some(digest) = committed.into_reply().sha256 {
        app.evidence.delete(digest).await?;
    }
    Ok(())
}

/// Reads every bundle back and says which are missing or rotten. What is news is entered into their
/// custody logs.
///
/// # Errors
/// The store of records.
pub(crate) async fn scrub(app: &App) -> Result<ScrubReply, AppError> {
    let mut reply = ScrubReply { read: 0, damaged: Vec::new() };
    let mut after: Option<String> = None;
    loop {
        let bundles: Vec<Bundle> = app.store.list("", after.as_deref(), BUNDLES_READ).await?;
        let Some(last) = bundles.last() else { return Ok(reply) };
        after = Some(last.id.to_string());
        for bundle in &bundles {
            let (BundleState::Received, Some(digest)) = (bundle.state, bundle.sha256) else {
                continue;
            };
            let damage = damage(app, digest, bundle.length).await;
            if damage.is_some() || bundle.damage.is_some() {
                looked_at(app, &bundle.id, damage.as_deref()).await?;
            }
            reply.read = reply.read.saturating_add(1);
            if damage.is_some() {
                reply.damaged.push(Bundle { damage, ..bundle.clone() }.view());
            }
        }
    }
}

async fn looked_at(app: &App, bundle: &BundleId, damage: Option<&str>) -> Result<(), AppError> {
    let committed = app
        .decide(|| async {
            let found: Found<Bundle> = app.store.find(bundle.as_str()).await?;
            Ok(bundle::looked_at(&found, damage, app.now(), &sealing(app))?)
        })
        .await?;
    committed.into_reply();
    Ok(())
}

/// What is wrong with the bytes of a bundle, in words.
async fn damage(app: &App, digest: Sha256Digest, length: u64) -> Option<String> {
    let opened = match app.evidence.open(digest).await {
        Ok(opened) => opened,
        Err(BlobError::NotFound { .. }) => return Some(format!("its bytes {digest} are missing")),
        Err(err) => return Some(format!("its bytes cannot be read: {err}")),
    };
    let (mut hash, mut got, mut bytes) = (Sha256::new(), 0_u64, opened.bytes);
    loop {
        match bytes.try_next().await {
            Ok(Some(piece)) => {
                hash.update(&piece);
                got = got.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
            }
            Ok(None) => break,
            Err(err) => return Some(format!("its bytes cannot be read: {err}")),
        }
    }
    if got != length {
        return Some(format!("expected {length} bytes, found {got}"));
    }
    let found = Sha256Digest::from_bytes(hash.finalize().into());
    (found != digest).then(|| format!("expected bytes with the digest {digest}, found {found}"))
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
            Ok(bundle::pull(&found, (by, app.now()), &sealing(app))?)
        })
        .await?;
    let unknown = AppError::CutShort { what: "a bundle without a digest" };
    let digest = committed.into_reply().sha256.ok_or(unknown)?;
    let opened = app.evidence.open(digest).await?;
    let length = opened.length;
    Ok(Content { bytes: opened.bytes, length })
}

/// One bundle as a third party sees it, once that is in its custody log.
///
/// # Errors
/// As the domain says; or the store.
pub(crate) async fn look(
    app: &App,
    by: &OperatorName,
    bundle: &BundleId,
) -> Result<BundleView, AppError> {
    let committed = app
        .decide(|| async {
            let found: Found<Bundle> = app.store.find(bundle.as_str()).await?;
            Ok(bundle::view(&found, (by, app.now()), &sealing(app))?)
        })
        .await?;
    Ok(committed.into_reply().view())
}

/// A page of the bundles of devices that lie within a third party's scopes, each once that is in
/// its custody log. Looking is bounded: a page may hold few or none and still have a next.
///
/// # Errors
/// As the domain says; or the stores.
pub(crate) async fn within_scopes(
    app: &App,
    (by, scopes): (&OperatorName, &[Scope]),
    page: &PageRequest,
) -> Result<Page<BundleView>, AppError> {
    let bundles: Vec<Bundle> = app.store.list("", page.after.as_deref(), BUNDLES_READ).await?;
    let next = bundles.last().filter(|_| bundles.len() >= BUNDLES_READ);
    let mut last = next.map(|bundle| bundle.id.to_string());
    let mut items = Vec::new();
    for bundle in &bundles {
        let device: Found<Device> = app.store.find(bundle.device.as_str()).await?;
        if device.value.is_none_or(|device| !within::all_cover(scopes, &device)) {
            continue;
        }
        items.push(look(app, by, &bundle.id).await?);
        if items.len() >= page.limit.unwrap_or(BUNDLES_READ).clamp(1, BUNDLES_READ) {
            last = Some(bundle.id.to_string());
            break;
        }
    }
    Ok(Page { items, next: last })
}

fn upload_name(bundle: &BundleId) -> String {
    format!("bundle/{bundle}")
}

fn destination<'a>(app: &'a App, of: &'a str) -> Destination<'a> {
    Destination { blobs: &app.evidence, of, bytes_max: BUNDLE_BYTES_MAX }
}
