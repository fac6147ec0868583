//! The operators' face. Each route says which roles it takes; an empty list takes any.

use std::convert::Infallible;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use lazaret_protocol::id::IdError;
use lazaret_protocol::limits::{METADATA_BYTES_MAX, OPERATOR_BODY_BYTES_MAX};
use lazaret_protocol::operator::{
    ClaimRequest, ReasonRequest, ReleaseRequest, Role, RolloutRequest,
};
use serde::Deserialize;
use warp::{Filter, Reply};

use super::device::{Route, with};
use super::listener::Peer;
use super::{body, device, reply};
use crate::app::context::App;
use crate::app::error::AppError;
use crate::app::listing::{self, PageRequest};
use crate::app::{claim, evidence, publish, quarantine, release, repository, rollout};
use crate::identity::operator::{Operator, authenticate};

/// Largest piece of an image in one request, in bytes.
const IMAGE_CHUNK_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Longest reason, in bytes.
const REASON_BYTES_MAX: usize = 1024;

const ANYBODY: &[Role] = &[];
const OPERATES: &[Role] = &[Role::Operator];
const CONTAINS: &[Role] = &[Role::Operator, Role::IncidentCommander];
const RELEASES: &[Role] = &[Role::ReleaseManager];
const COLLECTS: &[Role] = &[Role::Responder, Role::IncidentCommander];
const SEES_EVIDENCE: &[Role] = &[Role::Responder, Role::IncidentCommander, Role::Auditor];

/// All routes for operators.
pub(crate) fn routes(
    app: &Arc<App>,
) -> impl Filter<Extract = (impl Reply + use<>,), Error = Infallible>
+ Clone
+ Send
+ Sync
+ 'static
+ use<> {
    let v1 = warp::path("v1");
    let devices = device_list(app).or(device_show(app)).unify().or(device_act(app)).unify();
    let devices = devices.or(claims(app)).unify().boxed();
    let releases = release_list(app).or(release_announce(app)).unify();
    let releases = releases.or(image(app)).unify().or(release_show(app)).unify().boxed();
    let rollouts = rollout_list(app).or(rollout_start(app)).unify();
    let rollouts = rollouts.or(rollout_halt(app)).unify().or(rollout_show(app)).unify().boxed();
    let bundles = bundle_content(app).or(bundle_show(app)).unify().boxed();
    let repo = metadata(app).or(target(app)).unify().or(publication(app)).unify().boxed();
    let health = warp::path!("health").and(warp::get()).map(device::health).boxed();
    let all = devices.or(releases).unify().or(rollouts).unify().or(bundles).unify();
    let all = all.or(repo).unify().or(events(app)).unify().or(health).unify().boxed();
    v1.and(all).recover(body::unrouted).unify()
}

fn operator(app: &App, peer: &Peer, roles: &[Role]) -> Result<Operator, AppError> {
    Ok(authenticate(peer.0.as_ref(), roles, app.now())?)
}

fn id<T: FromStr<Err = IdError>>(text: &str) -> Result<T, AppError> {
    text.parse().map_err(|err| reply::bad(format!("{err}")))
}

/// The reason in a body: no act on the fleet goes without one.
fn reason(body: &Bytes) -> Result<String, AppError> {
    let ReasonRequest { reason } = body::parse(body)?;
    checked(&reason)?;
    Ok(reason)
}

fn checked(reason: &str) -> Result<(), AppError> {
    if reason.trim().is_empty() || reason.len() > REASON_BYTES_MAX {
        return Err(reply::bad(format!(
            "expected a reason of 1 to {REASON_BYTES_MAX} bytes, got {} bytes",
            reason.trim().len()
        )));
    }
    Ok(())
}

#[derive(Debug, Deserialize)]
struct PageQuery {
    after: Option<String>,
    limit: Option<usize>,
}

impl From<PageQuery> for PageRequest {
    fn from(query: PageQuery) -> Self {
        Self { after: query.after, limit: query.limit }
    }
}

#[derive(Debug, Deserialize)]
struct OffsetQuery {
    offset: u64,
}

fn claims(app: &Arc<App>) -> Route {
    warp::path!("claims")
        .and(warp::post())
        .and(with(app))
        .and(body::limited(OPERATOR_BODY_BYTES_MAX))
        .then(|app: Arc<App>, peer: Peer, body: Bytes| async move {
            let answer = async {
                let by = operator(&app, &peer, OPERATES)?;
                let request: ClaimRequest = body::parse(&body)?;
                checked(&request.reason)?;
                claim::make(&app, by.name(), &request).await
            };
            reply::committed(answer.await)
        })
        .boxed()
}

fn device_list(app: &Arc<App>) -> Route {
    warp::path!("devices")
        .and(warp::get())
        .and(warp::query::<PageQuery>())
        .and(with(app))
        .then(|page: PageQuery, app: Arc<App>, peer: Peer| async move {
            let answer = async {
                operator(&app, &peer, ANYBODY)?;
                listing::devices(&app, &page.into()).await
            };
            reply::viewed(answer.await)
        })
        .boxed()
}

fn device_show(app: &Arc<App>) -> Route {
    warp::path!("devices" / String)
        .and(warp::get())
        .and(with(app))
        .then(|device: String, app: Arc<App>, peer: Peer| async move {
            let answer = async {
                operator(&app, &peer, ANYBODY)?;
                listing::device(&app, &id(&device)?).await
            };
            reply::viewed(answer.await)
        })
        .boxed()
}

fn device_act(app: &Arc<App>) -> Route {
    warp::path!("devices" / String / String)
        .and(warp::post())
        .and(with(app))
        .and(body::limited(OPERATOR_BODY_BYTES_MAX))
        .then(async |device: String, act: String, app: Arc<App>, peer: Peer, body: Bytes| match act
            .as_str()
        {
            "quarantine" => reply::committed(
                async {
                    let by = operator(&app, &peer, CONTAINS)?;
                    let (device, reason) = (id(&device)?, reason(&body)?);
                    quarantine::quarantine(&app, by.name(), &device, &reason).await
                }
                .await,
            ),
            "evidence" => reply::committed(
                async {
                    let by = operator(&app, &peer, COLLECTS)?;
                    let (device, reason) = (id(&device)?, reason(&body)?);
                    evidence::order(&app, by.name(), &device, &reason).await
                }
                .await,
            ),
            _ => {
                reply::failed(&reply::bad(format!("expected quarantine or evidence, got {act:?}")))
            }
        })
        .boxed()
}

fn bundle_show(app: &Arc<App>) -> Route {
    warp::path!("bundles" / String)
        .and(warp::get())
        .and(with(app))
        .then(|bundle: String, app: Arc<App>, peer: Peer| async move {
            let answer = async {
                operator(&app, &peer, SEES_EVIDENCE)?;
                listing::bundle(&app, &id(&bundle)?).await
            };
            reply::viewed(answer.await)
        })
        .boxed()
}

fn bundle_content(app: &Arc<App>) -> Route {
    warp::path!("bundles" / String / "content")
        .and(warp::get())
        .and(with(app))
        .then(|bundle: String, app: Arc<App>, peer: Peer| async move {
            let answer = async {
                let by = operator(&app, &peer, COLLECTS)?;
                evidence::pull(&app, by.name(), &id(&bundle)?).await
            };
            reply::content(answer.await)
        })
        .boxed()
}

fn release_announce(app: &Arc<App>) -> Route {
    warp::path!("releases")
        .and(warp::post())
        .and(with(app))
        .and(body::limited(OPERATOR_BODY_BYTES_MAX))
        .then(|app: Arc<App>, peer: Peer, body: Bytes| async move {
            let answer = async {
                let by = operator(&app, &peer, RELEASES)?;
                release::announce(&app, by.name(), &body::parse::<ReleaseRequest>(&body)?).await
            };
            reply::committed(answer.await)
        })
        .boxed()
}

fn release_list(app: &Arc<App>) -> Route {
    warp::path!("releases")
        .and(warp::get())
        .and(warp::query::<PageQuery>())
        .and(with(app))
        .then(|page: PageQuery, app: Arc<App>, peer: Peer| async move {
            let answer = async {
                operator(&app, &peer, ANYBODY)?;
                listing::releases(&app, &page.into()).await
            };
            reply::viewed(answer.await)
        })
        .boxed()
}

fn release_show(app: &Arc<App>) -> Route {
    warp::path!("releases" / String / String)
        .and(warp::get())
        .and(with(app))
        .then(|model: String, version: String, app: Arc<App>, peer: Peer| async move {
            let answer = async {
                operator(&app, &peer, ANYBODY)?;
                release::show(&app, &id(&model)?, &id(&version)?).await
            };
            reply::viewed(answer.await)
        })
        .boxed()
}

fn image(app: &Arc<App>) -> Route {
    warp::path!("releases" / String / String / "image")
        .and(warp::put())
        .and(warp::query::<OffsetQuery>())
        .and(with(app))
        .and(body::limited(IMAGE_CHUNK_BYTES_MAX))
        .then(
            |model: String,
             version: String,
             at: OffsetQuery,
             app: Arc<App>,
             peer: Peer,
             chunk: Bytes| async move {
                let answer = async {
                    operator(&app, &peer, RELEASES)?;
                    let release = (&id(&model)?, &id(&version)?);
                    release::append(&app, release, at.offset, chunk).await
                };
                reply::committed(answer.await)
            },
        )
        .boxed()
}

fn metadata(app: &Arc<App>) -> Route {
    warp::path!("repo" / "metadata" / String)
        .and(warp::get())
        .and(with(app))
        .then(|file: String, app: Arc<App>, peer: Peer| async move {
            match operator(&app, &peer, ANYBODY) {
                Ok(_) => reply::metadata(repository::metadata(&app, &file).await),
                Err(err) => reply::failed(&err),
            }
        })
        .boxed()
}

fn target(app: &Arc<App>) -> Route {
    warp::path!("repo" / "targets" / ..)
        .and(warp::path::tail())
        .and(warp::get())
        .and(warp::header::optional::<String>("range"))
        .and(with(app))
        .then(
            |path: warp::path::Tail, range: Option<String>, app: Arc<App>, peer: Peer| async move {
                match operator(&app, &peer, ANYBODY) {
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

fn publication(app: &Arc<App>) -> Route {
    warp::path!("repo" / "metadata" / String)
        .and(warp::post())
        .and(with(app))
        .and(body::limited(METADATA_BYTES_MAX))
        .then(|file: String, app: Arc<App>, peer: Peer, body: Bytes| async move {
            let answer = async {
                let by = operator(&app, &peer, RELEASES)?;
                publish::publish(&app, by.name(), (&file, &body)).await
            };
            reply::committed(answer.await)
        })
        .boxed()
}

fn rollout_start(app: &Arc<App>) -> Route {
    warp::path!("rollouts")
        .and(warp::post())
        .and(with(app))
        .and(body::limited(OPERATOR_BODY_BYTES_MAX))
        .then(|app: Arc<App>, peer: Peer, body: Bytes| async move {
            let answer = async {
                let by = operator(&app, &peer, OPERATES)?;
                let request: RolloutRequest = body::parse(&body)?;
                checked(&request.reason)?;
                rollout::start(&app, by.name(), &request).await
            };
            reply::committed(answer.await)
        })
        .boxed()
}

fn rollout_list(app: &Arc<App>) -> Route {
    warp::path!("rollouts")
        .and(warp::get())
        .and(warp::query::<PageQuery>())
        .and(with(app))
        .then(|page: PageQuery, app: Arc<App>, peer: Peer| async move {
            let answer = async {
                operator(&app, &peer, ANYBODY)?;
                listing::rollouts(&app, &page.into()).await
            };
            reply::viewed(answer.await)
        })
        .boxed()
}

fn rollout_show(app: &Arc<App>) -> Route {
    warp::path!("rollouts" / String)
        .and(warp::get())
        .and(with(app))
        .then(|rollout: String, app: Arc<App>, peer: Peer| async move {
            let answer = async {
                operator(&app, &peer, ANYBODY)?;
                rollout::show(&app, &id(&rollout)?).await
            };
            reply::viewed(answer.await)
        })
        .boxed()
}

fn rollout_halt(app: &Arc<App>) -> Route {
    warp::path!("rollouts" / String / "halt")
        .and(warp::post())
        .and(with(app))
        .and(body::limited(OPERATOR_BODY_BYTES_MAX))
        .then(|rollout: String, app: Arc<App>, peer: Peer, body: Bytes| async move {
            let answer = async {
                let by = operator(&app, &peer, CONTAINS)?;
                rollout::halt(&app, by.name(), &id(&rollout)?, &reason(&body)?).await
            };
            reply::committed(answer.await)
        })
        .boxed()
}

fn events(app: &Arc<App>) -> Route {
    warp::path!("events")
        .and(warp::get())
        .and(warp::query::<PageQuery>())
        .and(with(app))
        .then(|page: PageQuery, app: Arc<App>, peer: Peer| async move {
            let answer = async {
                operator(&app, &peer, ANYBODY)?;
                listing::events(&app, &page.into()).await
            };
            reply::viewed(answer.await)
        })
        .boxed()
}
