//! From a request to the row of the table that answers it. In this order: is there such a route,
//! is the body within its limit, who is calling, and only then the body itself.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};
use http::header::{CONTENT_LENGTH, HeaderMap};
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::signed::DevicePeer;
use warp::path::FullPath;
use warp::reply::Response;
use warp::{Filter, Reply as _};

use super::conditions::Conditions;
use super::door::{self, Face};
use super::listener::Peer;
use super::rates::{Key, Rates};
use super::route::{Answer, Call, Came, Handler, Method, Route, Takes, Within};
use super::{body, reply};
use crate::app::clone;
use crate::app::context::App;
use crate::app::error::AppError;
use crate::app::tokens;
use crate::app::within::{self, Subject};
use crate::identity::device::DeviceRefused;
use crate::identity::operator::Operator;
use crate::identity::{device, operator};

/// A body that comes to a route that takes none, in bytes.
const UNREAD_BYTES_MAX: u64 = 64 * 1024;

/// Rows, group by group.
pub(crate) type Table = &'static [&'static [Route]];

/// What holds at a face.
pub(crate) struct Rules {
    /// Which.
    pub(crate) face: Face,
    /// Its routes.
    pub(crate) tables: &'static [Table],
    /// How often somebody may ask.
    pub(crate) rates: Rates,
    /// How fast a body has to come.
    pub(crate) body_pace: BodyPace,
}

/// How fast a body has to come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyPace {
    /// Longest silence within it.
    pub(crate) silence_max: Duration,
    /// Bytes a second once so long a silence is over.
    pub(crate) bytes_per_second_min: u64,
}

impl BodyPace {
    /// How long after its begin a body of which `got` bytes are here may take for the next ones,
    /// where the last ones came after `elapsed`.
    fn deadline(self, elapsed: Duration, got: usize) -> Duration {
        let got = u64::try_from(got).unwrap_or(u64::MAX);
        let earned = got.saturating_mul(1000) / self.bytes_per_second_min.max(1);
        let paced = self.silence_max.saturating_add(Duration::from_millis(earned));
        paced.min(elapsed.saturating_add(self.silence_max))
    }
}

/// Serves a face.
pub(crate) fn serve(
    app: &Arc<App>,
    rules: Rules,
) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + 'static + use<>
{
    let (app, rules) = (Arc::clone(app), Arc::new(rules));
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    warp::any()
        .map(move || Arc::clone(&app))
        .and(warp::method())
        .and(warp::path::full())
        .and(query)
        .and(warp::header::headers_cloned())
        .and(warp::ext::get::<Peer>())
        .and(warp::body::stream())
        .then(move |app, method: http::Method, path: FullPath, query, headers, peer, body| {
            let head = Head { method, path, query, headers };
            let rules = Arc::clone(&rules);
            async move { answer(app, rules, (head, peer), body).await }
        })
        .recover(body::unrouted)
        .unify()
}

/// What is known of a request before its body is read.
struct Head {
    method: http::Method,
    path: FullPath,
    query: String,
    headers: HeaderMap,
}

/// Who is calling, and what is to answer.
enum Admitted {
    Open(fn(Call) -> Answer),
    Device(fn(Call, DevicePeer) -> Answer, DevicePeer),
    Operator(fn(Call, Operator) -> Answer, Box<Operator>),
}

/// A request that there is a route for.
struct Found {
    route: &'static Route,
    path: Places,
    /// Of its body, in bytes.
    length: u64,
    head: Head,
    peer: Peer,
}

async fn answer(
    app: Arc<App>,
    rules: Arc<Rules>,
    (head, peer): (Head, Peer),
    body: impl Stream<Item = Result<impl Buf + Send + 'static, warp::Error>> + Send + 'static,
) -> Response {
    let (route, path) = match find(rules.tables, &head) {
        Ok(found) => found,
        Err(refused) => return *refused,
    };
    let length = match body_length(route, &head.headers) {
        Ok(length) => length,
        Err(refused) => return *refused,
    };
    let answered = answered(app, rules, Found { route, path, length, head, peer }, body);
    if !matches!(route.takes, Takes::Piece(_)) {
        return answered.await;
    }
    // This request goes with its connection; what came of the piece until then stays.
    let cut_short = |_| reply::failed(&AppError::CutShort { what: "taking in a piece" });
    tokio::spawn(answered).await.unwrap_or_else(cut_short)
}

async fn answered(
    app: Arc<App>,
    rules: Arc<Rules>,
    request: Found,
    body: impl Stream<Item = Result<impl Buf + Send + 'static, warp::Error>> + Send + 'static,
) -> Response {
    let Found { route, path, length, head, peer } = request;
    let face = rules.face;
    if let Err(wait) = rules.rates.take(key(&peer)) {
        let response = reply::limited(wait);
        let what = format!("{} {}", route.method.as_str(), route.path);
        door::limited(&app, (face, &peer), what, &response).await;
        return response;
    }
    let header = |name: &str| Some(head.headers.get(name)?.to_str().ok()?.to_owned());
    let authorization = header(super::est::CREDENTIALS.as_str());
    let shown = Shown { face, peer: &peer, authorization: authorization.as_deref() };
    let admitted = admit(&app, (route, &path), &shown).await;
    // Read even for who is refused: it is within the limit, and an answer in the middle of an
    // upload is lost to most clients.
    let (body, came, cut) = match read(body, length, rules.body_pace).await {
        Ok(body) => (body, Came::Whole, None),
        Err(Cut { response, .. }) if !matches!(route.takes, Takes::Piece(_)) => return *response,
        Err(Cut { got, response }) => (got, Came::Cut, Some(response)),
    };
    let call = Call {
        app,
        peer: peer.clone(),
        path,
        query: head.query,
        conditions: Conditions::of(&head.headers),
        authorization,
        last_event: header("last-event-id"),
        body,
        came,
    };
    if let Some(response) = cut {
        if let Ok(Admitted::Device(handle, device)) = admitted {
            // What it answers has nobody to go to.
            handle(call, device).await;
        }
        return *response;
    }
    let app = Arc::clone(&call.app);
    let response = match admitted {
        Ok(Admitted::Operator(handle, by)) => {
            let act = door::act_of_operator(face, route, (&call, head.path.as_str()), &by);
            return door::carried_out(&app, route.method, act, handle(call, *by)).await;
        }
        // Whoever has a one-time code is about to be an operator.
        Ok(Admitted::Open(handle)) if face == Face::SignIn => {
            let act = door::act_of(face, route, &call, head.path.as_str());
            return door::carried_out(&app, route.method, act, handle(call)).await;
        }
        Ok(Admitted::Open(handle)) => handle(call).await,
        Ok(Admitted::Device(handle, device)) => handle(call, device).await,
        Err(err) => reply::failed(&err),
    };
    door::turned_away(&app, (face, &peer), (route, head.path.as_str()), &response).await;
    response
}

type Places = Vec<(&'static str, String)>;

fn find(table: &'static [Table], head: &Head) -> Result<(&'static Route, Places), Box<Response>> {
    let mut other_method = false;
    // HEAD is GET without its body (RFC 9110, 9.3.2), which hyper leaves out by itself.
    let method = match head.method {
        http::Method::HEAD => Method::Get.as_str(),
        _ => head.method.as_str(),
    };
    for route in table.iter().copied().flatten().copied().flatten() {
        let Some(places) = route.matches(head.path.as_str()) else { continue };
        if route.method.as_str() == method {
            let owned = places.into_iter().map(|(name, value)| (name, value.to_owned()));
            return Ok((route, owned.collect()));
        }
        other_method = true;
    }
    let detail = match other_method {
        true => "this route does not take this method",
        false => "there is no such route",
    };
    Err(refused(RefusalCode::NotFound, detail))
}

/// The length of the body that is to be read, checked before any of it is.
fn body_length(route: &Route, headers: &HeaderMap) -> Result<u64, Box<Response>> {
    let length: Option<u64> =
        headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if route.takes == Takes::Nothing {
        // Small bodies are forgiven to clients that always send one.
        return match length {
            Some(length) if length > UNREAD_BYTES_MAX => {
                let detail = format!("expected no body, got {length} bytes");
                Err(refused(RefusalCode::TooLarge, detail))
            }
            _ => Ok(0),
        };
    }
    let missing = || refused(RefusalCode::BadRequest, "expected a body with a Content-Length");
    let length = length.ok_or_else(missing)?;
    let max = route.body_bytes_max();
    if length > max {
        let detail = format!("expected a body of at most {max} bytes, got {length}");
        return Err(refused(RefusalCode::TooLarge, detail));
    }
    Ok(length)
}

/// Whose bucket of requests it is: the name in the certificate, or else the network address.
fn key(peer: &Peer) -> Key {
    match &peer.0 {
        Some(certificate) => Key::Named(certificate.common_name.clone()),
        None => Key::at(peer.1),
    }
}

/// What somebody shows of who they are.
struct Shown<'a> {
    face: Face,
    peer: &'a Peer,
    authorization: Option<&'a str>,
}

async fn admit(
    app: &App,
    (route, path): (&Route, &Places),
    shown: &Shown<'_>,
) -> Result<Admitted, AppError> {
    let certificate = shown.peer.0.as_ref();
    Ok(match route.handler {
        Handler::Open(handle) => Admitted::Open(handle),
        Handler::Device(access, handle) => {
            let checked = device::authenticate(&app.store, certificate, access, app.now()).await;
            if let (Err(DeviceRefused::Superseded { device, .. }), Some(shown)) =
                (&checked, certificate)
            {
                clone::superseded(app, device, &shown.fingerprint).await?;
            }
            let device = checked?;
            let line = (shown.peer.2.connection, shown.peer.1);
            if let Some(evidence) = app.live.spoke(device.device(), line.0, line.1) {
                clone::two_live(app, device.device(), &evidence).await?;
            }
            Admitted::Device(handle, device)
        }
        Handler::Operator(roles, handle) => {
            let by = match shown.face {
                Face::SignIn => {
                    let by = operator::by_token(&app.store, shown.authorization, app.now()).await?;
                    if let Some(token) = by.shown_token() {
                        tokens::note_use(app, token).await;
                    }
                    by
                }
                _ => operator::by_certificate(&app.store, certificate, app.now()).await?,
            };
            by.require(roles)?;
            let subject = subject(route.within, path)?;
            within::check(app, by.scopes(), subject.as_ref()).await?;
            Admitted::Operator(handle, Box::new(by))
        }
    })
}

/// What a third party's scope is held against.
fn subject(within: Within, path: &Places) -> Result<Option<Subject>, AppError> {
    let place = |name: &str| {
        let found = path.iter().find(|(place, _)| *place == name);
        found.map_or("", |(_, value)| value.as_str())
    };
    let bad = |err: lazaret_protocol::id::IdError| reply::bad(err.to_string());
    Ok(match within {
        Within::Nowhere => None,
        Within::Nothing | Within::Listed => Some(Subject::Nothing),
        Within::Device => Some(Subject::Device(place("device").parse().map_err(bad)?)),
        Within::Bundle => Some(Subject::Bundle(place("bundle").parse().map_err(bad)?)),
        Within::Model => Some(Subject::Model(place("model").parse().map_err(bad)?)),
    })
}

/// A body that did not come whole.
#[derive(Debug)]
struct Cut {
    /// What came.
    got: Bytes,
    /// What is answered.
    response: Box<Response>,
}

async fn read(
    body: impl Stream<Item = Result<impl Buf, warp::Error>> + Send,
    length: u64,
    pace: BodyPace,
) -> Result<Bytes, Cut> {
    if length == 0 {
        return Ok(Bytes::new());
    }
    let mut body = std::pin::pin!(body);
    // What comes first is small for a large body, and most bodies are small: it grows as it comes.
    let mut bytes = BytesMut::new();
    let begun = tokio::time::Instant::now();
    loop {
        let deadline = begun + pace.deadline(begun.elapsed(), bytes.len());
        let chunk = tokio::time::timeout_at(deadline, body.next()).await;
        match chunk {
            Ok(Some(Ok(chunk))) => bytes.extend_from_slice(chunk.chunk()),
            Ok(None) if u64::try_from(bytes.len()).is_ok_and(|got| got >= length) => {
                return Ok(bytes.freeze());
            }
            Ok(None | Some(Err(_))) => {
                let response = refused(RefusalCode::BadRequest, "the body ended before its length");
                return Err(Cut { got: bytes.freeze(), response });
            }
            Err(_) => {
                let response = Box::new(reply::too_slow());
                return Err(Cut { got: bytes.freeze(), response });
            }
        }
    }
}

fn refused(code: RefusalCode, detail: impl Into<String>) -> Box<Response> {
    Box::new(reply::refused(code, &code.because(detail)).into_response())
}

#[cfg(test)]
mod tests;
