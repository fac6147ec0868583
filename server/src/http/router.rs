//! From a request to the row of the table that answers it. In this order: is there such a route,
//! is the body within its limit, who is calling, and only then the body itself.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};
use http::header::{CONTENT_LENGTH, HeaderMap};
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::signed::DevicePeer;
use warp::path::FullPath;
use warp::reply::Response;
use warp::{Filter, Reply as _};

use super::conditions::Conditions;
use super::listener::Peer;
use super::route::{Answer, Call, Handler, Method, Route, Takes};
use super::{body, reply};
use crate::app::context::App;
use crate::app::error::AppError;
use crate::identity::operator::Operator;
use crate::identity::{device, operator};

/// A body that comes to a route that takes none, in bytes.
const UNREAD_BYTES_MAX: u64 = 64 * 1024;

/// A face of the server: its rows, group by group.
pub(crate) type Table = &'static [&'static [Route]];

/// Serves a table.
pub(crate) fn serve(
    app: &Arc<App>,
    table: Table,
) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + 'static + use<>
{
    let app = Arc::clone(app);
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
            async move { answer(app, table, head, peer, body).await }
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
    Operator(fn(Call, Operator) -> Answer, Operator),
}

async fn answer(
    app: Arc<App>,
    table: Table,
    head: Head,
    peer: Peer,
    body: impl Stream<Item = Result<impl Buf, warp::Error>> + Send,
) -> Response {
    let (route, path) = match find(table, &head) {
        Ok(found) => found,
        Err(refused) => return *refused,
    };
    let length = match body_length(route, &head.headers) {
        Ok(length) => length,
        Err(refused) => return *refused,
    };
    let admitted = admit(&app, route, &peer).await;
    // Read even for who is refused: it is within the limit, and an answer in the middle of an
    // upload is lost to most clients.
    let body = match read(body, length).await {
        Ok(body) => body,
        Err(refused) => return *refused,
    };
    let header = |name: &str| Some(head.headers.get(name)?.to_str().ok()?.to_owned());
    let call = Call {
        app,
        peer,
        path,
        query: head.query,
        conditions: Conditions::of(&head.headers),
        authorization: header(super::est::CREDENTIALS.as_str()),
        last_event: header("last-event-id"),
        body,
    };
    match admitted {
        Err(err) => reply::failed(&err),
        Ok(Admitted::Open(handle)) => handle(call).await,
        Ok(Admitted::Device(handle, device)) => handle(call, device).await,
        Ok(Admitted::Operator(handle, by)) => handle(call, by).await,
    }
}

type Places = Vec<(&'static str, String)>;

fn find(table: Table, head: &Head) -> Result<(&'static Route, Places), Box<Response>> {
    let mut other_method = false;
    // HEAD is GET without its body (RFC 9110, 9.3.2), which hyper leaves out by itself.
    let method = match head.method {
        http::Method::HEAD => Method::Get.as_str(),
        _ => head.method.as_str(),
    };
    for route in table.iter().copied().flatten() {
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

async fn admit(app: &App, route: &Route, peer: &Peer) -> Result<Admitted, AppError> {
    let certificate = peer.0.as_ref();
    Ok(match route.handler {
        Handler::Open(handle) => Admitted::Open(handle),
        Handler::Device(access, handle) => Admitted::Device(
            handle,
            device::authenticate(&app.store, certificate, access, app.now()).await?,
        ),
        Handler::Operator(roles, handle) => {
            Admitted::Operator(handle, operator::authenticate(certificate, roles, app.now())?)
        }
    })
}

async fn read(
    body: impl Stream<Item = Result<impl Buf, warp::Error>> + Send,
    length: u64,
) -> Result<Bytes, Box<Response>> {
    if length == 0 {
        return Ok(Bytes::new());
    }
    let mut body = std::pin::pin!(body);
    // What comes first is small for a large body, and most bodies are small: it grows as it comes.
    let mut bytes = BytesMut::new();
    while let Some(chunk) = body.next().await {
        let cut = |_| refused(RefusalCode::BadRequest, "the body ended before its length");
        bytes.extend_from_slice(chunk.map_err(cut)?.chunk());
    }
    Ok(bytes.freeze())
}

fn refused(code: RefusalCode, detail: impl Into<String>) -> Box<Response> {
    Box::new(reply::refused(code, &code.because(detail)).into_response())
}
