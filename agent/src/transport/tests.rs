//! What a server may answer, and how little of it is believed or read.

use super::*;
use crate::test_server::{Answers, Server};

#[test]
fn a_refusal_is_read_with_its_code_and_its_wait() {
    let body = r#"{"code":"quarantined","detail":"evidence and cure only"}"#.to_owned();
    let otherwise = Some((403, "Retry-After: 7\r\n".into(), body));
    let server = Server::start(Answers { otherwise, ..Answers::default() });
    let err = server.source.metadata("timestamp.json", 100).unwrap_err();
    assert_eq!(err.refused_code(), Some("quarantined"));
    assert_eq!(err.retry_after_ms(), 7000);
    assert!(matches!(err, TransportError::Refused { status: 403, .. }));
}

#[test]
fn an_answer_that_is_no_refusal_is_bounded_and_said_to_be_none() {
    let otherwise = Some((500, String::new(), "x".repeat(100_000)));
    let server = Server::start(Answers { otherwise, ..Answers::default() });
    let err = server.transport.health(2000).unwrap_err();
    assert_eq!(err.refused_code(), Some("unsaid"));
}

#[test]
fn an_answer_beyond_its_limit_is_refused() {
    let big = vec![b' '; usize::try_from(SMALL_BYTES_MAX).unwrap() + 1];
    let otherwise = Some((200, String::new(), String::from_utf8(big).unwrap()));
    let server = Server::start(Answers { otherwise, ..Answers::default() });
    let answer = server.transport.post::<_, Offset>(("x", "/v1/x"), &1, 0, SMALL_BYTES_MAX);
    let too_large = matches!(answer, Err(TransportError::TooLarge { max: SMALL_BYTES_MAX, .. }));
    assert!(too_large);
}

#[test]
fn a_redirect_is_not_followed() {
    let otherwise = Some((302, "Location: http://127.0.0.1:1/\r\n".into(), String::new()));
    let server = Server::start(Answers { otherwise, ..Answers::default() });
    let err = server.transport.health(2000).unwrap_err();
    assert!(matches!(err, TransportError::Redirected { to, .. } if to == "http://127.0.0.1:1/"));
}

#[test]
fn a_server_that_is_away_is_unreachable() {
    let err = Transport::plain("http://127.0.0.1:1").health(500).unwrap_err();
    assert!(matches!(err, TransportError::Unreachable { .. }));
}
