//! Devices leave quarantine: a statement over them is written, people sign it, the devices are
//! shown it, and what each answers is kept as a receipt. The server can do none of this alone.

use lazaret_protocol::canonical::CanonicalError;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::{DeviceId, OperatorName};
use lazaret_protocol::operator::{LeaveRequestBody, LeaveView, MemberView, Scope};
use lazaret_protocol::order::OrderKind;
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::release::{NAMESPACE_RELEASE, RELEASE_SIGNATURE_BYTES_MAX, ReleaseReceipt};
use lazaret_protocol::report::Report;
use lazaret_protocol::signed::Envelope;
use lazaret_protocol::sshsig::SshSignature;
use lazaret_protocol_evidence::release::ReleaseTree;
use lazaret_server_domain::device::Device;
use lazaret_server_domain::quarantine::leave::{
    self, Known, LeaveReceipt, LeaveRequest, LeaveSignature,
};
use lazaret_server_domain::record::Found;
use lazaret_server_domain::refused::Refused;
use lazaret_server_domain::release::release_name;
use lazaret_server_domain::report::{ReportView, lets_out};

use super::anchors;
use super::context::{App, random};
use super::error::AppError;
use super::quarantine::{counts, resolve};

/// Writes a statement over devices.
///
/// # Errors
/// As the domain says; or the store.
pub(crate) async fn request(
    app: &App,
    (by, scopes): (&OperatorName, &[Scope]),
    body: &LeaveRequestBody,
) -> Result<LeaveView, AppError> {
    let (devices, unknown) = resolve(app, (&body.devices, body.filter.as_deref()), scopes).await?;
    if let Some(first) = unknown.first() {
        return Err(AppError::refused(RefusalCode::NotFound, format!("no device {first}")));
    }
    let names: Vec<String> = devices.iter().map(|device| device.id.to_string()).collect();
    let id = format!("x-{}-{}", app.now().as_ms(), hex::encode(random::<3>()?));
    let written = app
        .decide(|| async {
            let found = app.store.find_all::<Device>(&names).await?;
            Ok(leave::request(id.clone(), &found, &body.reason, (by, app.now()))?)
        })
        .await?;
    view(app, &written.into_reply()).await
}

/// Where a release stands.
///
/// # Errors
/// There is none; or the store.
pub(crate) async fn show(app: &App, id: &str) -> Result<LeaveView, AppError> {
    let found: Found<LeaveRequest> = app.store.find(id).await?;
    view(app, &found.value.ok_or_else(|| unknown(id))?).await
}

fn unknown(id: &str) -> AppError {
    AppError::refused(RefusalCode::NotFound, format!("no release from quarantine {id}"))
}

/// Takes the signature of the operator `by`. With the last one that is needed the devices get
/// their orders.
///
/// # Errors
/// It does not hold, or its key is not theirs in the anchors, or as the domain says; or the store.
pub(crate) async fn sign(
    app: &App,
    by: &OperatorName,
    id: &str,
    armoured: &str,
) -> Result<LeaveView, AppError> {
    let refused = |why: String| AppError::refused(RefusalCode::Forbidden, why);
    if armoured.len() > RELEASE_SIGNATURE_BYTES_MAX {
        let (max, got) = (RELEASE_SIGNATURE_BYTES_MAX, armoured.len());
        let detail = format!("expected a signature of at most {max} bytes, got {got}");
        return Err(AppError::bad_request(detail));
    }
    let found: Found<LeaveRequest> = app.store.find(id).await?;
    let request = found.value.ok_or_else(|| unknown(id))?;
    let signature = SshSignature::parse(armoured)
        .map_err(|err| AppError::bad_request(format!("signature is refused: {err}")))?;
    let approvers = anchors::served(app).await?.and_then(|anchors| anchors.approvers);
    let approvers = approvers.ok_or_else(|| {
        refused("the anchors name nobody who may release: lazaret-keys anchors --approver".into())
    })?;
    let key = signature.claimed_key();
    let is_theirs = approvers.keys.iter().any(|entry| entry.key == *key && entry.name == *by);
    if !is_theirs {
        let fingerprint = key.fingerprint();
        return Err(refused(format!("the anchors do not name {fingerprint} as a key of {by}")));
    }
    let statement = bytes(&request)?;
    signature
        .verify(key, NAMESPACE_RELEASE, &statement)
        .map_err(|err| refused(format!("signature is refused: {err}")))?;
    let signature = LeaveSignature {
        by: by.clone(),
        key: key.fingerprint(),
        signature: armoured.to_owned(),
        at: app.now(),
    };
    let signed = app
        .decide(|| async {
            let found: Found<LeaveRequest> = app.store.find(id).await?;
            Ok(leave::sign(&found, signature.clone(), app.now())?)
        })
        .await?
        .into_reply();
    if people(&signed) >= approvers.threshold && !signed.ordered {
        order_all(app, &signed).await?;
    }
    show(app, id).await
}

fn bytes(request: &LeaveRequest) -> Result<Vec<u8>, AppError> {
    request.statement.to_bytes().map_err(|_| AppError::CutShort { what: "writing a statement" })
}

/// Different people who have signed: a request takes one signature of each.
fn people(request: &LeaveRequest) -> u64 {
    u64::try_from(request.signatures.len()).unwrap_or(u64::MAX)
}

/// Every device is shown the release; with the anchors it judges for itself.
async fn order_all(app: &App, request: &LeaveRequest) -> Result<(), AppError> {
    let tree = ReleaseTree::over(&request.devices);
    for (device, _) in &request.devices {
        let challenge = Sha256Digest::from_bytes(random()?);
        let ordered = app.decide(|| async {
            let found: Found<Device> = app.store.find(device.as_str()).await?;
            Ok(leave::order(&found, request, (&tree, challenge), app.now())?)
        });
        match ordered.await {
            Ok(_) => {}
            Err(AppError::Refused(refused)) => tracing::warn!(%device, "{}", refused.detail),
            Err(err) => return Err(err),
        }
    }
    let ordered = app.decide(|| async {
        let found: Found<LeaveRequest> = app.store.find(&request.id).await?;
        Ok(leave::ordered(&found))
    });
    ordered.await?.into_reply();
    app.wake();
    Ok(())
}

async fn view(app: &App, request: &LeaveRequest) -> Result<LeaveView, AppError> {
    let names: Vec<String> = request.devices.iter().map(|(id, _)| id.to_string()).collect();
    let devices = app.store.find_all::<Device>(&names).await?;
    let statement = bytes(request)?;
    let members = request.devices.iter().zip(devices).map(|((id, nonce), found)| {
        let state = match found.value {
            None => "unknown",
            Some(device) => standing(request, &device, nonce, &statement),
        };
        MemberView { device: id.clone(), state: state.to_owned(), why: None }
    });
    let members: Vec<MemberView> = members.collect();
    let threshold = anchors::served(app).await?.and_then(|anchors| anchors.approvers);
    Ok(LeaveView {
        id: request.id.clone(),
        author: request.statement.author.clone(),
        reason: request.statement.reason.clone(),
        expires: request.statement.expires,
        statement: String::from_utf8_lossy(&statement).into_owned(),
        signed_by: request.signatures.iter().map(|one| one.by.clone()).collect(),
        threshold: threshold.map(|approvers| approvers.threshold),
        ordered: request.ordered,
        devices: request.statement.devices,
        counts: counts(&members),
        members,
    })
}

fn standing(
    request: &LeaveRequest,
    device: &Device,
    nonce: &Sha256Digest,
    statement: &[u8],
) -> &'static str {
    let Some(held) = &device.quarantine else { return "released" };
    let shown = |kind: &OrderKind| match kind {
        OrderKind::Release { proof } => proof.statement == statement,
        _ => false,
    };
    let same = held.word.as_ref().and_then(|word| word.nonce) == Some(*nonce);
    match request.ordered {
        _ if !same => "contained-again",
        false => "waiting",
        true if device.open_orders.iter().any(|open| shown(&open.order.kind)) => "ordered",
        true => "not-released",
    }
}

/// What the answer to an order to leave is held against.
///
/// # Errors
/// The store.
pub(super) async fn known(app: &App, device: &Device, report: &Report) -> Result<Known, AppError> {
    let mut known = Known::default();
    if let Some(running) = &report.running {
        let name = release_name(&device.model, &running.version);
        known.release = Some(app.store.find(&name).await?);
    }
    known.witnessed = Some(app.store.find(device.id.as_str()).await?);
    Ok(known)
}

/// The receipt of a release, where a report is its believed answer.
///
/// # Errors
/// It cannot be sealed.
pub(super) fn receipt(
    app: &App,
    view: &ReportView,
    (report, answer): (&Report, &Envelope),
) -> Result<Option<LeaveReceipt>, AppError> {
    let Some(out) = lets_out(view, report) else { return Ok(None) };
    let (device, key, nonce, proof) = out;
    let receipt =
        ReleaseReceipt { device, key, nonce, proof, answer: answer.clone(), at: app.now() };
    let keyid = app.keys.orders_public().key_id();
    let sealed = Envelope::seal(&receipt, keyid, |bytes| {
        Ok::<_, CanonicalError>(app.keys.sign_order(bytes))
    });
    let sealed = sealed.map_err(|_| AppError::CutShort { what: "sealing a receipt" })?;
    Ok(Some(LeaveReceipt { device: receipt.device, receipt: sealed }))
}

/// The receipt of a device's last release.
///
/// # Errors
/// There is none; or the store.
pub(crate) async fn show_receipt(app: &App, device: &DeviceId) -> Result<Envelope, AppError> {
    let found: Found<LeaveReceipt> = app.store.find(device.as_str()).await?;
    let none =
        || Refused::because(RefusalCode::NotFound, format!("{device} was never let out on proof"));
    Ok(found.value.ok_or_else(none)?.receipt)
}
