//! Answers: what is committed as a success, what is looked at as a success, and each refusal with
//! its status. One table.

use std::time::Duration;

use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use lazaret_protocol::refusal::{Refusal, RefusalCode};
use lazaret_server_store::Committed;
use serde::Serialize;
use sync_wrapper::SyncStream;
use warp::Reply as _;
use warp::reply::Response;

use crate::app::error::AppError;
use crate::app::repository::Content;
use crate::identity::device::DeviceRefused;
use crate::identity::operator::OperatorRefused;
use crate::telemetry;

impl From<DeviceRefused> for AppError {
    fn from(refused: DeviceRefused) -> Self {
        match refused {
            DeviceRefused::Refused(refused) | DeviceRefused::Superseded { refused, .. } => {
                Self::Refused(refused)
            }
            DeviceRefused::Registry { source } => Self::Store { source },
        }
    }
}

impl From<OperatorRefused> for AppError {
    fn from(refused: OperatorRefused) -> Self {
        match refused {
            OperatorRefused::Refused(refused) => Self::Refused(refused),
            OperatorRefused::Registry { source } => Self::Store { source },
        }
    }
}

/// The answer to a request that changed something: nothing that is not committed gets out.
pub(crate) fn committed<T: Serialize>(result: Result<Committed<T>, AppError>) -> Response {
    result.map_or_else(|err| failed(&err), |committed| json(&committed.into_reply()))
}

/// The answer to a request that only looked.
pub(crate) fn viewed<T: Serialize>(result: Result<T, AppError>) -> Response {
    result.map_or_else(|err| failed(&err), |view| json(&view))
}

/// The answer to a request that did not come to its end. Logged here and nowhere else.
pub(crate) fn failed(err: &AppError) -> Response {
    let (code, refusal) = err.to_wire();
    match code {
        RefusalCode::Unavailable => {
            tracing::error!(error = telemetry::chain(err), "request failed")
        }
        _ => tracing::info!(code = code.as_str(), detail = refusal.detail, "request refused"),
    }
    refused(code, &refusal)
}

/// What a response refuses, for whoever enters it in the audit log.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    /// Which rule.
    pub(crate) code: RefusalCode,
    /// In words.
    pub(crate) detail: String,
}

/// A refusal with its status.
pub(crate) fn refused(code: RefusalCode, refusal: &Refusal) -> Response {
    let mut response = json(refusal);
    response.extensions_mut().insert(Said { code, detail: refusal.detail.clone() });
    let status = StatusCode::from_u16(code.http_status());
    *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if code == RefusalCode::Unavailable {
        response.headers_mut().insert(http::header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}

/// Bytes of a kind.
pub(crate) fn bytes(content: Vec<u8>, content_type: &'static str) -> Response {
    let mut response = Response::new(content.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A stream of bytes of a known length.
pub(crate) fn content(result: Result<Content, AppError>) -> Response {
    let content = match result {
        Ok(content) => content,
        Err(err) => return failed(&err),
    };
    let Content { bytes, length } = content;
    let mut response = warp::reply::stream(SyncStream::new(bytes)).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}

/// The answer to a stranger.
pub(crate) fn unauthenticated(why: &str) -> Response {
    let code = RefusalCode::Unauthenticated;
    refused(code, &code.because(why))
}

/// The answer to a request that comes too soon after others.
pub(crate) fn limited(wait: Duration) -> Response {
    let code = RefusalCode::RateLimited;
    let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1);
    let why = format!("too many requests, come back in {seconds} s");
    let mut response = refused(code, &code.because(why));
    response.headers_mut().insert(http::header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// The answer to a request that did not arrive in time.
pub(crate) fn too_slow() -> Response {
    let code = RefusalCode::BadRequest;
    let mut response = refused(code, &code.because("the request did not arrive in time"));
    // What is left of it must not be taken for another request.
    response.headers_mut().insert(http::header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// A refusal of what cannot be understood.
pub(crate) fn bad(detail: impl Into<String>) -> AppError {
    AppError::bad_request(detail)
}

fn json<T: Serialize + ?Sized>(value: &T) -> Response {
    let Ok(content) = serde_json::to_vec(value) else {
        // Our messages hold no maps with keys other than strings, so this is a bug; it must not
        // look like a success.
        let mut response = bytes(Vec::new(), "application/json");
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        return response;
    };
    bytes(content, "application/json")
}
