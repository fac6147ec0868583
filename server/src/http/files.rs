//! The repository's files as readers and caches between them and us want them: a strong tag, how
//! long a copy is good, a part, a smaller encoding. What is served never changes but the timestamp,
//! so nearly all of it may be kept for ever.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    ETAG, HeaderValue, VARY,
};
use http::{HeaderMap, StatusCode};
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::refusal::RefusalCode;
use sync_wrapper::SyncStream;
use warp::Reply as _;
use warp::reply::Response;

use super::conditions::{Conditions, Part};
use super::reply;
use super::route::Call;
use crate::app::context::App;
use crate::app::error::AppError;
use crate::app::repository::{self, TargetFile};

/// For files whose name says their version or digest: a year, the longest that caches keep
/// anything, and no question in between (RFC 8246).
const IMMUTABLE: HeaderValue =
    HeaderValue::from_static("public, max-age=31536000, immutable, no-transform");

/// For the timestamp: seconds, so that a cache takes the load of a fleet and still tells news at
/// once. Devices take an older timestamp for a stale mirror, not for an attack.
const SHORT: HeaderValue = HeaderValue::from_static("public, max-age=10, must-revalidate");

/// For what is not there: the next root is asked for by every device and may come at any moment.
const ABSENT: HeaderValue = HeaderValue::from_static("public, max-age=10");

/// For every other answer.
const NEVER: HeaderValue = HeaderValue::from_static("no-store");

/// Smallest file that is compressed, in bytes: below, gzip's own head eats what it saves.
const GZIP_BYTES_MIN: usize = 256;

/// A metadata file.
pub(crate) async fn metadata(call: Call) -> Response {
    let file = call.segment("file");
    match repository::metadata(&call.app, file).await {
        Ok(bytes) => of_metadata(file, bytes, &call.conditions),
        Err(err) => failed(&err),
    }
}

/// A target, or a part of one.
pub(crate) async fn target(call: Call) -> Response {
    match repository::target(&call.app, call.segment("path")).await {
        Ok(file) => match of_target(&call.app, file, &call.conditions).await {
            Ok(response) => response,
            Err(err) => failed(&err),
        },
        Err(err) => failed(&err),
    }
}

fn of_metadata(file: &str, bytes: Vec<u8>, conditions: &Conditions) -> Response {
    let digest = Sha256Digest::of(&bytes);
    let (plain, packed) = (format!("\"{digest}\""), format!("\"{digest}-gzip\""));
    let age = if file == "timestamp.json" { SHORT } else { IMMUTABLE };
    let gzip = match conditions.takes_gzip() && bytes.len() >= GZIP_BYTES_MIN {
        true => gzip(&bytes).filter(|gzip| gzip.len() < bytes.len()),
        false => None,
    };
    let tag = if gzip.is_some() { &packed } else { &plain };
    let mut headers = headers(tag, age, "application/json");
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if conditions.has(&[plain.as_str(), packed.as_str()]) {
        return not_modified(headers);
    }
    if let Some(gzip) = gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        return with(StatusCode::OK, headers, gzip);
    }
    let total = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    match conditions.part(&plain, total) {
        Part::Whole => with(StatusCode::OK, headers, bytes),
        Part::Unsatisfiable => unsatisfiable(total),
        Part::Range { offset, length } => {
            let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
            let part = place(offset)..place(offset.saturating_add(length));
            let Some(part) = bytes.get(part) else { return unsatisfiable(total) };
            content_range(&mut headers, (offset, length), total);
            with(StatusCode::PARTIAL_CONTENT, headers, part.to_vec())
        }
    }
}

async fn of_target(
    app: &App,
    file: TargetFile,
    conditions: &Conditions,
) -> Result<Response, AppError> {
    let tag = format!("\"{}\"", file.digest);
    let mut headers = headers(&tag, IMMUTABLE, "application/octet-stream");
    if conditions.has(&[tag.as_str()]) {
        return Ok(not_modified(headers));
    }
    let (status, offset, length) = match conditions.part(&tag, file.length) {
        Part::Unsatisfiable => return Ok(unsatisfiable(file.length)),
        Part::Whole => (StatusCode::OK, 0, file.length),
        Part::Range { offset, length } => {
            content_range(&mut headers, (offset, length), file.length);
            (StatusCode::PARTIAL_CONTENT, offset, length)
        }
    };
    let bytes = app.images.read_range(file.digest, offset, length).await?;
    let mut response = warp::reply::stream(SyncStream::new(bytes)).into_response();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    *response.status_mut() = status;
    response.headers_mut().extend(headers);
    Ok(response)
}

fn gzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}

fn headers(tag: &str, age: HeaderValue, kind: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Ok(tag) = HeaderValue::from_str(tag) {
        headers.insert(ETAG, tag);
    }
    headers.insert(CACHE_CONTROL, age);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers
}

fn content_range(headers: &mut HeaderMap, (offset, length): (u64, u64), total: u64) {
    let last = offset.saturating_add(length).saturating_sub(1);
    if let Ok(value) = HeaderValue::from_str(&format!("bytes {offset}-{last}/{total}")) {
        headers.insert(CONTENT_RANGE, value);
    }
}

fn with(status: StatusCode, headers: HeaderMap, bytes: Vec<u8>) -> Response {
    // Set here, so that the answer to HEAD says it too.
    let length = HeaderValue::from(bytes.len());
    let mut response = Response::new(bytes.into());
    *response.status_mut() = status;
    response.headers_mut().extend(headers);
    response.headers_mut().insert(CONTENT_LENGTH, length);
    response
}

fn not_modified(mut headers: HeaderMap) -> Response {
    headers.remove(CONTENT_TYPE);
    let mut response = Response::new(Vec::new().into());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    response.headers_mut().extend(headers);
    response
}

/// RFC 9110, 15.5.17: says how long the file is.
fn unsatisfiable(total: u64) -> Response {
    let code = RefusalCode::BadRequest;
    let detail = format!("expected a range within {total} bytes");
    let mut response = reply::refused(code, &code.because(detail));
    *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
    if let Ok(value) = HeaderValue::from_str(&format!("bytes */{total}")) {
        response.headers_mut().insert(CONTENT_RANGE, value);
    }
    response.headers_mut().insert(CACHE_CONTROL, NEVER);
    response
}

/// Absent is what is not there, and only that; a store that fails is no 404, which a device would
/// take for "no newer root".
fn failed(err: &AppError) -> Response {
    let mut response = reply::failed(err);
    let absent = response.status() == StatusCode::NOT_FOUND;
    let age = if absent { ABSENT } else { NEVER };
    response.headers_mut().insert(CACHE_CONTROL, age);
    response
}
