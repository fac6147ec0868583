//! The way to the server (docs/PROTOCOL.md): every body has a limit, every wait a time. Nothing
//! here knows what the messages mean, and nothing is retried here; the pace is the core's.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use lazaret_protocol::attested::{AttestedRequest, ChallengeReply, ChallengeRequest};
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::enroll::{EnrollReply, EnrollRequest, RenewRequest};
use lazaret_protocol::id::BundleId;
use lazaret_protocol::limits::{
    ATTESTED_BODY_BYTES_MAX, ENROLL_BODY_BYTES_MAX, POLL_REPLY_BYTES_MAX, REPORT_BODY_BYTES_MAX,
};
use lazaret_protocol::poll::{PollReply, PollRequest};
use lazaret_protocol::refusal::Refusal;
use lazaret_protocol::report::ReportReply;
use lazaret_protocol::signed::Envelope;
use rustls::ClientConfig;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use ureq::http::Response;
use ureq::http::Uri;
use ureq::http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use ureq::unversioned::resolver::{self, DefaultResolver, ResolvedSocketAddrs};
use ureq::unversioned::transport::{Connector as _, NextTimeout, TcpConnector};
use ureq::{Agent, Body, Error};

use crate::clock::Clock;
use crate::containment::Pins;
use crate::source::{Pull, Source};
use crate::tls::TlsConnector;

mod error;

pub use error::TransportError;

/// Largest refusal or small answer that is read, in bytes.
const SMALL_BYTES_MAX: u64 = 16 * 1024;

/// Largest chunk of a bundle in one request, in bytes (docs/PROTOCOL.md).
pub const EVIDENCE_CHUNK_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Largest header section of an answer, in bytes.
const HEADER_BYTES_MAX: usize = 16 * 1024;

/// How long to wait.
#[derive(Debug, Clone, Copy)]
pub struct Waits {
    /// To connect, in milliseconds.
    pub connect_ms: u64,
    /// Without a byte, in milliseconds.
    pub read_ms: u64,
}

/// The way to one server.
#[derive(Debug, Clone)]
pub struct Transport {
    agent: Agent,
    base: String,
    waits: Waits,
}

/// What the server says of a bundle on its way.
#[derive(Debug, Deserialize)]
pub struct Offset {
    /// How much of it has arrived.
    pub offset: u64,
    /// The server's receipt, with the last piece.
    #[serde(default)]
    pub receipt: Option<Envelope>,
}

/// A piece of a bundle.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// Which bundle.
    pub bundle: &'a BundleId,
    /// Where the piece begins.
    pub offset: u64,
    /// Its bytes.
    pub piece: &'a [u8],
    /// The digest of the whole, with the last piece.
    pub sha256: Option<Sha256Digest>,
}

impl Transport {
    /// A way over TLS to `base` (`https://HOST:PORT`).
    #[must_use]
    pub fn new(base: &str, (tls, pins): (Arc<ClientConfig>, Pins), waits: Waits) -> Self {
        Self { agent: agent(tls, pins, waits), base: base.to_owned(), waits }
    }

    /// A way without TLS, for tests of the rooms above against a server in the test itself.
    #[cfg(test)]
    pub(crate) fn plain(base: &str) -> Self {
        let waits = Waits { connect_ms: 2000, read_ms: 2000 };
        let agent =
            Agent::with_parts(settings(waits), TcpConnector::default(), DefaultResolver::default());
        Self { agent, base: base.to_owned(), waits }
    }

    /// Asks whether the server is there, within `timeout_ms`.
    ///
    /// # Errors
    /// It is not.
    pub fn health(&self, timeout_ms: u64) -> Result<(), TransportError> {
        const WHAT: &str = "the health check";
        let response = self
            .agent
            .get(self.url("/v1/health"))
            .config()
            .timeout_global(Some(Duration::from_millis(timeout_ms)))
            .build()
            .call()
            .map_err(unreachable(WHAT))?;
        succeeded(WHAT, response).map(drop)
    }

    /// `POST /v1/enroll`.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub fn enroll(&self, request: &EnrollRequest) -> Result<EnrollReply, TransportError> {
        self.post(("enrolment", "/v1/enroll"), request, 0, ENROLL_BODY_BYTES_MAX)
    }

    /// `POST /v1/enroll/challenge`.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub fn challenge(&self, request: &ChallengeRequest) -> Result<ChallengeReply, TransportError> {
        let what = ("the challenge", "/v1/enroll/challenge");
        self.post(what, request, 0, ATTESTED_BODY_BYTES_MAX)
    }

    /// `POST /v1/enroll/attested`.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub fn enroll_attested(
        &self,
        request: &AttestedRequest,
    ) -> Result<EnrollReply, TransportError> {
        self.post(("enrolment", "/v1/enroll/attested"), request, 0, ENROLL_BODY_BYTES_MAX)
    }

    /// `POST /v1/renew`.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub fn renew(&self, request: &RenewRequest) -> Result<EnrollReply, TransportError> {
        self.post(("renewal", "/v1/renew"), request, 0, ENROLL_BODY_BYTES_MAX)
    }

    /// `POST /v1/poll`. The server may hold the answer back for `request.hold_ms`.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub fn poll(&self, request: &PollRequest) -> Result<PollReply, TransportError> {
        self.post(("the poll", "/v1/poll"), request, request.hold_ms, POLL_REPLY_BYTES_MAX)
    }

    /// `POST /v1/report`.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub fn report(&self, report: &Envelope) -> Result<ReportReply, TransportError> {
        self.post(("the report", "/v1/report"), report, 0, REPORT_BODY_BYTES_MAX)
    }

    /// The server's own repository, over the same connections.
    #[must_use]
    pub fn repository(&self, pull: Pull, clock: &Clock) -> Source {
        let base = format!("{}/v1/repo", self.base);
        Source::over_http("server", (self.agent.clone(), base), pull, clock.clone())
    }

    /// `GET /v1/evidence/BUNDLE`: how much of a bundle the server has.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub fn evidence_offset(&self, bundle: &BundleId) -> Result<u64, TransportError> {
        const WHAT: &str = "the bundle's offset";
        let response = self
            .agent
            .get(self.url(&format!("/v1/evidence/{bundle}")))
            .call()
            .map_err(unreachable(WHAT))?;
        let body = succeeded(WHAT, response)?;
        parse::<Offset>(WHAT, body, SMALL_BYTES_MAX).map(|answer| answer.offset)
    }

    /// `PUT /v1/evidence/BUNDLE`: appends a piece.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub fn evidence_put(&self, evidence: &Evidence<'_>) -> Result<Offset, TransportError> {
        const WHAT: &str = "the bundle";
        let Evidence { bundle, offset, piece, sha256 } = evidence;
        let last = match sha256 {
            Some(sha256) => format!("&last=true&sha256={sha256}"),
            None => "&last=false".to_owned(),
        };
        let response = self
            .agent
            .put(self.url(&format!("/v1/evidence/{bundle}?offset={offset}{last}")))
            .header(CONTENT_TYPE, "application/octet-stream")
            .send(*piece)
            .map_err(unreachable(WHAT))?;
        parse::<Offset>(WHAT, succeeded(WHAT, response)?, SMALL_BYTES_MAX)
    }

    fn post<Q: Serialize, A: DeserializeOwned>(
        &self,
        (what, route): (&'static str, &str),
        request: &Q,
        hold_ms: u64,
        max: u64,
    ) -> Result<A, TransportError> {
        let body = serde_json::to_vec(request)
            .map_err(|err| TransportError::Malformed { what, why: err.to_string() })?;
        let wait = Duration::from_millis(self.waits.read_ms.saturating_add(hold_ms));
        let response = self
            .agent
            .post(self.url(route))
            .header(CONTENT_TYPE, "application/json")
            .config()
            .timeout_recv_response(Some(wait))
            .timeout_per_read(Some(wait))
            .build()
            .send(body.as_slice())
            .map_err(unreachable(what))?;
        parse(what, succeeded(what, response)?, max)
    }

    fn url(&self, route: &str) -> String {
        format!("{}{route}", self.base)
    }
}

/// A client over TLS 1.3, and over nothing where an address says `http`.
pub(crate) fn agent(tls: Arc<ClientConfig>, pins: Pins, waits: Waits) -> Agent {
    let connector = ().chain(TcpConnector::default()).chain(TlsConnector { config: tls });
    let resolver = Resolver { pins, usual: DefaultResolver::default() };
    Agent::with_parts(settings(waits), connector, resolver)
}

/// Looks names up as usual, but while the network is closed: then they stand for the addresses of
/// the order. Who answers there is proved by TLS and by signatures, as ever.
#[derive(Debug)]
struct Resolver {
    pins: Pins,
    usual: DefaultResolver,
}

impl resolver::Resolver for Resolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let secure = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let Some(pinned) = self.pins.of_port(port) else {
            return self.usual.resolve(uri, config, timeout);
        };
        let mut addresses = self.empty();
        // As many as it takes.
        pinned.into_iter().take(16).for_each(|address| addresses.push(address));
        if addresses.is_empty() { Err(Error::HostNotFound) } else { Ok(addresses) }
    }
}

fn settings(waits: Waits) -> ureq::config::Config {
    let read = Some(Duration::from_millis(waits.read_ms));
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        // Settings come from the configuration file, never from the environment.
        .proxy(None)
        .user_agent(concat!("lazaret-agent/", env!("CARGO_PKG_VERSION")))
        .accept_encoding("")
        .max_response_header_size(HEADER_BYTES_MAX)
        .timeout_resolve(Some(Duration::from_millis(waits.connect_ms)))
        .timeout_connect(Some(Duration::from_millis(waits.connect_ms)))
        .timeout_recv_response(read)
        .timeout_per_read(read)
        .timeout_per_write(read)
        .build()
}

pub(crate) fn unreachable(what: &'static str) -> impl FnOnce(Error) -> TransportError {
    move |source| TransportError::Unreachable { what, source: Box::new(source) }
}

/// The body of a success; anything else becomes a refusal.
pub(crate) fn succeeded(
    what: &'static str,
    response: Response<Body>,
) -> Result<Body, TransportError> {
    if response.status().is_success() {
        return Ok(response.into_body());
    }
    if response.status().is_redirection() {
        let to = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let to = to.unwrap_or("nowhere").chars().filter(|c| !c.is_control()).take(200).collect();
        return Err(TransportError::Redirected { what, to });
    }
    let status = response.status().as_u16();
    let retry_after_ms = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok())
        .map_or(0, |seconds| seconds.saturating_mul(1000));
    let unsaid = || Refusal { code: "unsaid".into(), detail: "the answer is no refusal".into() };
    let refusal = bounded(what, response.into_body(), SMALL_BYTES_MAX)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Refusal>(&bytes).ok())
        .map_or_else(unsaid, |refusal| Refusal {
            code: refusal.code.chars().filter(|c| !c.is_control()).take(64).collect(),
            detail: refusal.detail.chars().filter(|c| !c.is_control()).take(512).collect(),
        });
    Err(TransportError::Refused { what, status, refusal, retry_after_ms })
}

fn parse<T: DeserializeOwned>(
    what: &'static str,
    body: Body,
    max: u64,
) -> Result<T, TransportError> {
    let bytes = bounded(what, body, max)?;
    serde_json::from_slice(&bytes)
        .map_err(|err| TransportError::Malformed { what, why: err.to_string() })
}

fn bounded(what: &'static str, body: Body, max: u64) -> Result<Vec<u8>, TransportError> {
    let mut bytes = Vec::new();
    body.into_reader()
        .take(max.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|err| unreachable(what)(err.into()))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > max {
        return Err(TransportError::TooLarge { what, max });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
