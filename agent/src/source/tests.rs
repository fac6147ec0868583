//! What a mirror may say about a target, and what its lies are called.

use std::sync::Arc;

use lazaret_protocol::time::Timestamp;

use super::*;
use crate::test_server::{Answers, Server};
use crate::transport::Transport;

const PATH: &str = "gw2/1.0/HASH.image";
const WHOLE: &[u8] = b"0123456789";

fn server(answers: Answers) -> Server {
    let files = [(format!("/v1/repo/targets/{PATH}"), WHOLE.to_vec())].into();
    Server::start(Answers { files, ..answers })
}

/// A server whose answers begin with these headers.
fn saying(status: u16, headers: &str) -> Server {
    server(Answers { said: Some((status, headers.to_owned())), ..Answers::default() })
}

fn fetched(server: &Server, from: u64) -> Result<Vec<u8>, TransportError> {
    let length = u64::try_from(WHOLE.len()).unwrap();
    let mut bytes = Vec::new();
    let mut reader = server.source.target(PATH, from, length)?;
    match reader.read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(err) => Err(TransportError::unreadable("a target", err)),
    }
}

fn code(server: &Server, from: u64) -> Option<&'static str> {
    fetched(server, from).unwrap_err().code()
}

#[test]
fn a_part_is_taken_from_where_it_was_asked_for() {
    let server = server(Answers::default());
    assert_eq!(fetched(&server, 0).unwrap(), WHOLE);
    assert_eq!(fetched(&server, 7).unwrap(), b"789");
    assert!(server.source.remarks().is_empty());
}

#[test]
fn a_lying_content_range_is_refused_by_name() {
    for headers in [
        "Content-Range: bytes 0-LAST/10\r\n",
        "Content-Range: bytes 8-LAST/10\r\n",
        "Content-Range: bytes 4-3/10\r\n",
        "Content-Range: bytes 4-10/10\r\n",
        "Content-Range: bytes 4-99999999999999999999/10\r\n",
        "Content-Range: bytes 4-/10\r\n",
        "Content-Range: bytes */10\r\n",
        "Content-Range: 4-9/10\r\n",
        "Content-Range: items 4-9/10\r\n",
        "",
    ] {
        assert_eq!(code(&saying(206, headers), 4), Some("download-wrong-range"), "{headers}");
    }
    assert_eq!(
        fetched(&saying(206, "Content-Range: bytes FROM-LAST/*\r\n"), 4).unwrap(),
        b"456789"
    );
}

#[test]
fn another_length_than_the_signed_one_is_refused_by_name() {
    for (status, headers, from) in [
        (206, "Content-Range: bytes FROM-LAST/11\r\n", 4),
        (206, "Content-Range: bytes FROM-LAST/18446744073709551616\r\n", 0),
        (200, "Content-Length: 11\r\n", 0),
        (200, "Content-Length: 9\r\n", 4),
    ] {
        let code = code(&saying(status, headers), from);
        assert_eq!(code, Some("download-wrong-total"), "{headers}");
    }
}

#[test]
fn a_redirection_is_refused_by_name_and_never_followed() {
    let elsewhere = server(Answers::default());
    let address = elsewhere.source.clone();
    let Way::Http { base, .. } = &address.way else { panic!("{address:?}") };
    let headers = format!("Location: {base}/targets/{PATH}\r\nContent-Length: 0\r\n");
    for status in [301, 302, 303, 307, 308] {
        assert_eq!(code(&saying(status, &headers), 0), Some("download-redirected"));
    }
    assert!(elsewhere.requests().is_empty());
}

#[test]
fn a_server_without_ranges_is_used_all_the_same_and_remarked_on() {
    let server = server(Answers { ignore_ranges: true, ..Answers::default() });
    assert_eq!(fetched(&server, 7).unwrap(), b"789");
    let codes: Vec<_> = server.source.remarks().iter().map(TransportError::code).collect();
    assert_eq!(codes, [Some("download-no-ranges")]);
}

#[test]
fn what_follows_the_signed_length_is_cut_off_and_remarked_on() {
    let headers = "Content-Range: bytes FROM-LAST/*\r\n".to_owned();
    let answers =
        Answers { said: Some((206, headers)), trailer: vec![b'x'; 5000], ..Answers::default() };
    let server = server(answers);
    assert_eq!(fetched(&server, 7).unwrap(), b"789");
    let codes: Vec<_> = server.source.remarks().iter().map(TransportError::code).collect();
    assert_eq!(codes, [Some("download-too-long")]);
    assert!(server.source.remarks().is_empty(), "a remark is made once");
}

#[test]
fn a_transfer_that_trickles_is_given_up_by_name() {
    let server = server(Answers { drip_ms: Some(20), ..Answers::default() });
    let pull = Pull { bytes_per_second_min: 1000, window_ms: 60 };
    let source = Source { pull, ..server.source.clone() };
    let mut reader = source.target(PATH, 0, 10).unwrap();
    let err = reader.read_to_end(&mut Vec::new()).unwrap_err();
    let err = TransportError::unreadable("a target", err);
    assert_eq!(err.code(), Some("download-too-slow"), "{err:?}");
    // The same rate is fast enough for a device that accepts it.
    let pull = Pull { bytes_per_second_min: 1, window_ms: 60 };
    let patient = Source { pull, ..server.source.clone() };
    let mut bytes = Vec::new();
    patient.target(PATH, 0, 10).unwrap().read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, WHOLE);
}

#[test]
fn metadata_is_read_to_one_byte_past_its_limit() {
    let server = Server::with_files(&[("/v1/repo/metadata/1.root.json", &[7; 5000])]);
    let fetched = server.source.metadata("1.root.json", 100).unwrap();
    assert_eq!(fetched, Fetched::Bytes(vec![7; 101]));
    assert_eq!(server.source.metadata("2.root.json", 100).unwrap(), Fetched::Missing);
}

#[test]
fn paths_of_targets_are_percent_encoded() {
    assert_eq!(encoded("gw2/1.0/a b%?#.image"), "gw2/1.0/a%20b%25%3F%23.image");
}

#[test]
fn nothing_but_the_configured_address_is_asked() {
    let source = Transport::plain("http://127.0.0.1:1").repository(
        Pull { bytes_per_second_min: 0, window_ms: 100 },
        &Clock::new(Timestamp::default()),
    );
    assert_eq!(source.name(), "server");
    assert!(Arc::strong_count(&source.remarks) == 1);
    assert!(matches!(
        source.metadata("timestamp.json", 1),
        Err(TransportError::Unreachable { .. })
    ));
}
