//! What happened, as pages and as a stream of server-sent events (WHATWG HTML, 9.2).

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use lazaret_protocol::operator::{EventView, Page};
use serde::Deserialize;
use sync_wrapper::SyncStream;
use warp::Reply as _;
use warp::reply::Response;

use super::super::page::page;
use super::super::reply;
use super::super::route::Call;
use crate::app::error::AppError;
use crate::app::follow::{self, Following, StillLetIn, Told};
use crate::app::listing;
use crate::identity::operator::Operator;

pub(super) async fn list(call: Call) -> Result<Page<EventView>, AppError> {
    listing::events(&call.app, &page(&call)?).await
}

#[derive(Debug, Deserialize)]
struct FollowQuery {
    after: Option<u64>,
}

pub(super) async fn follow(call: Call, by: Operator) -> Result<Response, AppError> {
    let FollowQuery { after } = call.query()?;
    let last = call.last_event.as_deref().map(|text| {
        let refused = |_| reply::bad(format!("expected a number in Last-Event-ID, got {text:?}"));
        text.trim().parse::<u64>().map_err(refused)
    });
    let after = last.transpose()?.or(after);
    let until = by.ends();
    let still_let_in: StillLetIn = Box::new(move |app| {
        let by = by.clone();
        Box::pin(async move { by.again(&app.store, app.now()).await.is_ok() })
    });
    let following = Following { after, until, still_let_in };
    let told = follow::follow(&call.app, following)?;
    let frames = told.map(|told| Ok::<_, std::convert::Infallible>(Bytes::from(frame(&told))));
    // The first bytes go out at once, so that a client knows that it is connected.
    let begun = futures_util::stream::iter([Ok(Bytes::from_static(b"retry: 2000\n\n"))]);
    let body = SyncStream::new(begun.chain(frames));
    let mut response = warp::reply::stream(body).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn frame(told: &Told) -> String {
    match told {
        Told::Heartbeat => ":\n\n".to_owned(),
        Told::Events(events) => events.iter().map(event_frame).collect(),
    }
}

/// JSON is one line, so that one `data` is enough.
fn event_frame(event: &EventView) -> String {
    let data = serde_json::to_string(event).unwrap_or_default();
    format!("id: {}\ndata: {data}\n\n", event.sequence)
}
