//! Bodies are parsed into the message that the route takes, or refused with what was expected.

use bytes::Bytes;
use lazaret_protocol::limits::JSON_DEPTH_MAX;
use lazaret_protocol::refusal::RefusalCode;
use serde::de::DeserializeOwned;
use warp::Reply as _;
use warp::reject::Rejection;
use warp::reply::Response;

use super::reply;
use crate::app::error::AppError;

/// The message in a body.
///
/// # Errors
/// Not JSON, nested too deep, or not this message: what the parser says, with line and column.
pub(crate) fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, AppError> {
    // serde_json stops at 128 levels by itself; ours is the tighter limit, checked on the raw
    // bytes.
    let mut depth = 0usize;
    for byte in body {
        match byte {
            b'{' | b'[' => depth = depth.saturating_add(1),
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        // Braces inside strings count too: no honest message of ours has that many of those either.
        if depth > JSON_DEPTH_MAX {
            return Err(reply::bad(format!("expected at most {JSON_DEPTH_MAX} levels of nesting")));
        }
    }
    serde_json::from_slice(body)
        .map_err(|err| reply::bad(format!("body is not what this route takes: {err}")))
}

/// Answers what no route took.
///
/// # Errors
/// None; the type is warp's.
pub(crate) async fn unrouted(rejection: Rejection) -> Result<Response, std::convert::Infallible> {
    let (code, detail) = if rejection.is_not_found() {
        (RefusalCode::NotFound, "there is no such route".to_owned())
    } else if rejection.find::<warp::reject::PayloadTooLarge>().is_some() {
        (RefusalCode::TooLarge, "the body is larger than this route takes".to_owned())
    } else if rejection.find::<warp::reject::LengthRequired>().is_some() {
        (RefusalCode::BadRequest, "expected a body with a Content-Length".to_owned())
    } else if rejection.find::<warp::reject::MethodNotAllowed>().is_some() {
        (RefusalCode::NotFound, "this route does not take this method".to_owned())
    } else {
        (RefusalCode::BadRequest, format!("request is not as expected: {rejection:?}"))
    };
    Ok(reply::refused(code, &code.because(detail)).into_response())
}
