//! The devices' face. Each route says what access it is; the registry is asked about every request.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::enroll::{EnrollRequest, RenewRequest};
use lazaret_protocol::id::BundleId;
use lazaret_protocol::limits::{ENROLL_BODY_BYTES_MAX, POLL_BODY_BYTES_MAX, REPORT_BODY_BYTES_MAX};
use lazaret_protocol::poll::PollRequest;
use lazaret_protocol::signed::{DevicePeer, Envelope};
use serde::{Deserialize, Serialize};
use warp::reply::Response;
use warp::{Filter, Rejection, Reply};

use super::listener::Peer;
use super::{body, reply};
use crate::app::context::App;
use crate::app::error::AppError;
use crate::app::{enroll, evidence, listing, poll, report, repository};
use crate::identity::device::{Access, authenticate};

/// Largest piece of evidence in one request, in bytes.
const EVIDENCE_CHUNK_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// All routes for devices, the hot one first.
pub(crate) fn routes(
    app: &Arc<App>,
) -> impl Filter<Extract = (impl Reply + use<>,), Error = Infallible>
+ Clone
+ Send
+ Sync
+ 'static
+ use<> {
    let v1 = warp::path("v1");
    let polls = v1.and(poll_route(app)).or(v1.and(report_route(app))).unify().boxed();
    let certificates = v1.and(enroll_route(app)).or(v1.and(renew_route(app))).unify().boxed();
    let files = v1.and(metadata_route(app)).or(v1.and(target_route(app))).unify().boxed();
    let evidence =
        v1.and(evidence_offset_route(app)).or(v1.and(evidence_route(app))).unify().boxed();
    let own = v1.and(own_route(app)).boxed();
    let health = v1.and(warp::path!("health")).and(warp::get()).map(health).boxed();
    polls
        .or(files)
        .unify()
        .or(evidence)
        .unify()
        .or(certificates)
        .unify()
        .or(own)
        .unify()
        .or(health)
        .unify()
        .recover(body::unrouted)
        .unify()
}

/// That the server answers. It says nothing else, because nobody has said who they are.
pub(crate) fn health() -> Response {
    reply::viewed(Ok(Health { ok: true }))
}

#[derive(Serialize)]
struct Health {
    ok: bool,
}

#[derive(Serialize)]
struct Offset {
    offset: u64,
}

/// One route, or a group of them.
pub(super) type Route = warp::filters::BoxedFilter<(Response,)>;

/// What every handler gets: the parts of the server, and who is at the other end.
pub(super) fn with(
    app: &Arc<App>,
) -> impl Filter<Extract = (Arc<App>, Peer), Error = Rejection> + Clone + use<> {
    let app = Arc::clone(app);
    warp::any().map(move || Arc::clone(&app)).and(warp::ext::get::<Peer>())
}

async fn device(app: &App, peer: &Peer, access: Access) -> Result<DevicePeer, AppError> {
    Ok(authenticate(&app.store, peer.0.as_ref(), access, app.now()).await?)
}

fn poll_route(app: &Arc<App>) -> Route {
    warp::path!("poll")
        .and(warp::post())
        .and(with(app))
        .and(body::limited(POLL_BODY_BYTES_MAX))
        .then(|app: Arc<App>, peer: Peer, body: Bytes| async move {
            let answer = async {
                let device = device(&app, &peer, Access::Cure).await?;
                poll::poll(&app, &device, body::parse::<PollRequest>(&body)?).await
            };
            reply::committed(answer.await)
        })
        .boxed()
}

fn report_route(app: &Arc<App>) -> Route {
    warp::path!("report")
        .and(warp::post())
        .and(with(app))
        .and(body::limited(REPORT_BODY_BYTES_MAX))
        .then(|app: Arc<App>, peer: Peer, body: Bytes| async move {
            let answer = async {
                let device = device(&app, &peer, Access::Cure).await?;
                report::report(&app, &device, &body::parse::<Envelope>(&body)?).await
            };
            reply::committed(answer.await)
        })
        .boxed()
}

fn enroll_route(app: &Arc<App>) -> Route {
    warp::path!("enroll")
        .and(warp::post())
        .and(with(app))
        .and(body::limited(ENROLL_BODY_BYTES_MAX))
        .then(|app: Arc<App>, _: Peer, body: Bytes| async move {
            let answer =
                async { enroll::enroll(&app, &body::parse::<EnrollRequest>(&body)?).await };
            reply::committed(answer.await)
        })
        .boxed()
}

fn renew_route(app: &Arc<App>) -> Route {
    warp::path!("renew")
        .and(warp::post())
        .and(with(app))
        .and(body::limited(ENROLL_BODY_BYTES_MAX))
        .then(|app: Arc<App>, peer: Peer, body: Bytes| async move {
            let answer = async {
                let device = device(&app, &peer, Access::Cure).await?;
                {
                    let shown = peer.0.as_ref().map(|certificate| certificate.fingerprint);
                    let request: RenewRequest = body::parse(&body)?;
                    enroll::renew(&app, (&device, shown), &request).await
                }
            };
            reply::committed(answer.await)
        })
        .boxed()
}

fn metadata_route(app: &Arc<App>) -> Route {
    warp::path!("repo" / "metadata" / String)
        .and(warp::get())
        .and(with(app))
        .then(|file: String, app: Arc<App>, peer: Peer| async move {
            match device(&app, &peer, Access::Cure).await {
                Ok(_) => reply::metadata(repository::metadata(&app, &file).await),
                Err(err) => reply::failed(&err),
            }
        })
        .boxed()
}

fn target_route(app: &Arc<App>) -> Route {
    warp::path!("repo" / "targets" / ..)
        .and(warp::path::tail())
        .and(warp::get())
        .and(warp::header::optional::<String>("range"))
        .and(with(app))
        .then(
            |path: warp::path::Tail, range: Option<String>, app: Arc<App>, peer: Peer| async move {
                match device(&app, &peer, Access::Cure).await {
                    Ok(_) => {
                        let range = range.as_deref();
                        reply::content(repository::target(&app, path.as_str(), range).await)
                    }
                    Err(err) => reply::failed(&err),
                }
            },
        )
        .boxed()
}

/// What the server knows of the device that asks. Neither evidence nor cure, so that quarantine
/// closes it.
fn own_route(app: &Arc<App>) -> Route {
    warp::path!("device")
        .and(warp::get())
        .and(with(app))
        .then(|app: Arc<App>, peer: Peer| async move {
            let answer = async {
                let device = device(&app, &peer, Access::Other).await?;
                listing::device(&app, device.device()).await
            };
            reply::viewed(answer.await)
        })
        .boxed()
}

fn evidence_offset_route(app: &Arc<App>) -> Route {
    warp::path!("evidence" / String)
        .and(warp::get())
        .and(with(app))
        .then(|bundle: String, app: Arc<App>, peer: Peer| async move {
            let answer = async {
                let device = device(&app, &peer, Access::Evidence).await?;
                let offset = evidence::offset(&app, &device, &bundle_id(&bundle)?).await?;
                Ok(Offset { offset })
            };
            reply::viewed(answer.await)
        })
        .boxed()
}

/// What stands in the query of a piece of evidence.
#[derive(Debug, Deserialize)]
struct Piece {
    offset: u64,
    #[serde(default)]
    last: bool,
    sha256: Option<Sha256Digest>,
}

fn evidence_route(app: &Arc<App>) -> Route {
    warp::path!("evidence" / String)
        .and(warp::put())
        .and(warp::query::<Piece>())
        .and(with(app))
        .and(body::limited(EVIDENCE_CHUNK_BYTES_MAX))
        .then(|bundle: String, piece: Piece, app: Arc<App>, peer: Peer, body: Bytes| async move {
            match take_evidence(&app, &peer, &bundle, (piece, body)).await {
                Ok(response) => response,
                Err(err) => reply::failed(&err),
            }
        })
        .boxed()
}

async fn take_evidence(
    app: &App,
    peer: &Peer,
    bundle: &str,
    (piece, bytes): (Piece, Bytes),
) -> Result<Response, AppError> {
    let device = device(app, peer, Access::Evidence).await?;
    let bundle = bundle_id(bundle)?;
    let offset = evidence::append(app, (&device, &bundle), piece.offset, bytes).await?;
    if !piece.last {
        // The bytes so far are a convenience to whoever resumes: what counts is acknowledged with
        // the last piece.
        return Ok(reply::viewed(Ok(Offset { offset })));
    }
    let sha256 = piece
        .sha256
        .ok_or_else(|| reply::bad("expected sha256 of the whole with the last piece"))?;
    let finished = evidence::finish(app, (&device, &bundle), sha256).await;
    Ok(reply::committed(finished.map(|done| done.map(|offset| Offset { offset }))))
}

fn bundle_id(text: &str) -> Result<BundleId, AppError> {
    text.parse().map_err(|err| reply::bad(format!("{err}")))
}
