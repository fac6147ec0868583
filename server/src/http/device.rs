//! The devices' face: the table of its routes, each with the access that it is; the registry is
//! asked about every request.

use bytes::Bytes;
use lazaret_protocol::attested::{AttestedRequest, ChallengeReply, ChallengeRequest};
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::enroll::{EnrollReply, EnrollRequest, RenewRequest};
use lazaret_protocol::limits::{
    ATTESTED_BODY_BYTES_MAX, ENROLL_BODY_BYTES_MAX, POLL_BODY_BYTES_MAX, REPORT_BODY_BYTES_MAX,
};
use lazaret_protocol::operator::DeviceView;
use lazaret_protocol::poll::{PollReply, PollRequest};
use lazaret_protocol::report::ReportReply;
use lazaret_protocol::signed::{DevicePeer, Envelope};
use lazaret_server_store::Committed;
use serde::{Deserialize, Serialize};
use warp::reply::Response;

use super::files;
use super::openapi::{self, describe};
use super::reply;
use super::route::{Answer, Call, Came, Gives, Handler, Route, committed, responded, viewed};
use super::router::Table;
use crate::app::error::AppError;
use crate::app::{attestation, enroll, evidence, listing, poll, report};
use crate::identity::device::Access;

/// Largest piece of evidence in one request, in bytes.
const EVIDENCE_CHUNK_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// All routes for devices, the hot one first.
pub(crate) const ROUTES: Table = &[TALK, FILES, EVIDENCE, ABOUT, super::est::ROUTES];

/// Whether strangers may ask for this path: its route has a credential or a limit of its own.
pub(crate) fn is_open(path: &str) -> bool {
    let mut open = ROUTES.iter().copied().flatten();
    open.any(|route| matches!(route.handler, Handler::Open(_)) && route.matches(path).is_some())
}

const TALK: &[Route] = &[
    Route::post("/v1/poll", Handler::Device(Access::Talk, |c, device| committed(poll(c, device))))
        .about("Say how the device is; held back for up to `hold_ms` while there is nothing to say")
        .takes(POLL_BODY_BYTES_MAX, describe::<PollRequest>)
        .gives(describe::<PollReply>),
    Route::post(
        "/v1/report",
        Handler::Device(Access::Talk, |c, device| committed(report(c, device))),
    )
    .about("Report how an order ended, signed by the device's key")
    .takes(REPORT_BODY_BYTES_MAX, describe::<Envelope>)
    .gives(describe::<ReportReply>),
    Route::post("/v1/enroll", Handler::Open(|c| committed(enroll(c))))
        .about("Enrol with a one-time claim")
        .takes(ENROLL_BODY_BYTES_MAX, describe::<EnrollRequest>)
        .gives(describe::<EnrollReply>),
    Route::post("/v1/enroll/challenge", Handler::Open(|c| committed(challenge(c))))
        .about("Ask for a credential that only the machine's TPM opens")
        .takes(ATTESTED_BODY_BYTES_MAX, describe::<ChallengeRequest>)
        .gives(describe::<ChallengeReply>),
    Route::post("/v1/enroll/attested", Handler::Open(|c| committed(attested(c))))
        .about("Enrol by what the machine's TPM states")
        .takes(ATTESTED_BODY_BYTES_MAX, describe::<AttestedRequest>)
        .gives(describe::<EnrollReply>),
    Route::post(
        "/v1/renew",
        Handler::Device(Access::Cure, |c, device| committed(renew(c, device))),
    )
    .about("Get a new certificate")
    .takes(ENROLL_BODY_BYTES_MAX, describe::<RenewRequest>)
    .gives(describe::<EnrollReply>),
];

const FILES: &[Route] = &[
    Route::get(
        "/v1/repo/metadata/{file}",
        Handler::Device(Access::Cure, |c, _| Box::pin(files::metadata(c))),
    )
    .about("A file of signed metadata")
    .gives(openapi::anything),
    Route::get(
        "/v1/repo/targets/{path..}",
        Handler::Device(Access::Cure, |c, _| Box::pin(files::target(c))),
    )
    .about("A published target `dir/HASH.name`, whole or one range of it")
    .gives_other(Gives::Raw),
];

const EVIDENCE: &[Route] = &[
    Route::get(
        "/v1/evidence/{bundle}",
        Handler::Device(Access::Evidence, |c, device| viewed(evidence_offset(c, device))),
    )
    .about("How many bytes of a bundle have arrived")
    .gives(describe::<Offset>),
    Route::put(
        "/v1/evidence/{bundle}",
        Handler::Device(Access::Evidence, |c, device| responded(take_evidence(c, device))),
    )
    .about("Append a piece of a bundle; with the last one its digest is checked")
    .reads(&[
        ("offset", "where the bytes begin"),
        ("last", "whether they are the last"),
        ("sha256", "the digest of the whole, with the last"),
    ])
    .takes_piece(EVIDENCE_CHUNK_BYTES_MAX)
    .gives(describe::<Offset>),
];

const ABOUT: &[Route] = &[
    // Neither evidence nor cure, so that quarantine closes it.
    Route::get("/v1/device", Handler::Device(Access::Other, |c, device| viewed(own(c, device))))
        .about("What the server knows of the device that asks")
        .gives(describe::<DeviceView>),
    Route::get("/v1/health", Handler::Open(|_| health()))
        .about("Whether the server answers")
        .gives(describe::<openapi::Health>),
];

/// That the server answers. It says nothing else, because nobody has said who they are.
pub(super) fn health() -> Answer {
    viewed(async { Ok(openapi::Health { ok: true }) })
}

/// How far a bundle has come.
#[derive(Serialize, utoipa::ToSchema)]
struct Offset {
    /// Bytes that have arrived.
    offset: u64,
    /// The server's signed receipt, once all have.
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<Envelope>,
}

async fn poll(call: Call, device: DevicePeer) -> Result<Committed<PollReply>, AppError> {
    let shown = call.peer.0.as_ref().map(|certificate| certificate.fingerprint);
    poll::poll(&call.app, &device, call.message::<PollRequest>()?, shown).await
}

async fn report(call: Call, device: DevicePeer) -> Result<Committed<ReportReply>, AppError> {
    report::report(&call.app, &device, &call.message::<Envelope>()?).await
}

async fn enroll(call: Call) -> Result<Committed<EnrollReply>, AppError> {
    enroll::enroll(&call.app, &call.message::<EnrollRequest>()?).await
}

async fn challenge(call: Call) -> Result<Committed<ChallengeReply>, AppError> {
    attestation::challenge(&call.app, &call.message()?).await
}

async fn attested(call: Call) -> Result<Committed<EnrollReply>, AppError> {
    attestation::enroll(&call.app, &call.message()?).await
}

async fn renew(call: Call, device: DevicePeer) -> Result<Committed<EnrollReply>, AppError> {
    let shown = call.peer.0.as_ref().map(|certificate| certificate.fingerprint);
    enroll::renew(&call.app, (&device, shown), &call.message::<RenewRequest>()?).await
}

async fn own(call: Call, device: DevicePeer) -> Result<DeviceView, AppError> {
    listing::device(&call.app, device.device()).await
}

async fn evidence_offset(call: Call, device: DevicePeer) -> Result<Offset, AppError> {
    let offset = evidence::offset(&call.app, &device, &call.id("bundle")?).await?;
    Ok(Offset { offset, receipt: None })
}

/// What stands in the query of a piece of evidence.
#[derive(Debug, Deserialize)]
struct Piece {
    offset: u64,
    #[serde(default)]
    last: bool,
    sha256: Option<Sha256Digest>,
}

async fn take_evidence(call: Call, device: DevicePeer) -> Result<Response, AppError> {
    let (piece, bundle) = (call.query::<Piece>()?, call.id("bundle")?);
    let bytes: Bytes = call.body;
    let offset = evidence::append(&call.app, (&device, &bundle), piece.offset, bytes).await?;
    if !piece.last || call.came == Came::Cut {
        // The bytes so far are a convenience to whoever resumes: what counts is acknowledged with
        // the last piece.
        return Ok(reply::viewed(Ok(Offset { offset, receipt: None })));
    }
    let sha256 = piece
        .sha256
        .ok_or_else(|| reply::bad("expected sha256 of the whole with the last piece"))?;
    let finished = evidence::finish(&call.app, (&device, &bundle), sha256).await;
    Ok(reply::committed(
        finished.map(|done| {
            done.map(|bundle| Offset { offset: bundle.length, receipt: bundle.receipt })
        }),
    ))
}
