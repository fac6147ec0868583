//! What is entered of a request in the audit log: every act of an operator, and every refusal at
//! either face, at the listener too, where nothing was asked yet.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{AUTHORIZATION, HeaderMap};
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::OperatorName;
use lazaret_protocol::operator::{AuditAct, AuditWho, AuditWhoKind};
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::time::Timestamp;
use serde::Deserialize;
use warp::reply::Response;

use super::listener::{Line, Peer};
use super::reply::{self, Said};
use super::route::{Answer, Call, Method, Route, Takes};
use super::{device, sign_in};
use crate::app::audit::{self, Caller};
use crate::app::context::App;
use crate::identity::operator::Operator;

/// A face of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Face {
    /// Where devices connect.
    Devices,
    /// Where operators connect.
    Operators,
    /// Where those connect who have a one-time code or a service token.
    SignIn,
}

impl Face {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Devices => "devices",
            Self::Operators => "operators",
            Self::SignIn => "sign-in",
        }
    }

    /// Who shows this certificate here. The handshake has checked that this face's CA signed it.
    fn who(self, peer: &Peer) -> AuditWho {
        let address = peer.1.to_string();
        let Some(certificate) = &peer.0 else {
            let (kind, name) = (AuditWhoKind::Stranger, "-".to_owned());
            return AuditWho { kind, name, credential: String::new(), address };
        };
        let kind = match self {
            Self::Devices => AuditWhoKind::Device,
            Self::Operators | Self::SignIn => AuditWhoKind::Operator,
        };
        // Names of devices have the same form.
        let named = certificate.common_name.parse::<OperatorName>();
        let name = named.map_or_else(|_| "-".to_owned(), |name| name.to_string());
        AuditWho { kind, name, credential: certificate.fingerprint.to_string(), address }
    }
}

/// A listener's way to the audit log.
#[derive(Clone)]
pub(crate) struct Door {
    app: Arc<App>,
    face: Face,
}

impl Door {
    /// That of a face.
    pub(crate) fn new(app: &Arc<App>, face: Face) -> Self {
        Self { app: Arc::clone(app), face }
    }

    /// The time.
    pub(crate) fn now(&self) -> Timestamp {
        self.app.now()
    }

    /// Notes that a connection is open, for as long as what is returned lives.
    pub(crate) fn opened(&self) -> Opened {
        Opened { number: self.app.live.opened(), app: Arc::clone(&self.app) }
    }

    /// Whether somebody may ask for this at all: whoever has shown a certificate or, where there
    /// are none, a token; or anybody, where a route has a credential or a limit of its own.
    pub(crate) fn lets_ask(&self, peer: &Peer, path: &str, headers: &HeaderMap) -> bool {
        match self.face {
            Face::Devices => peer.0.is_some() || device::is_open(path),
            Face::Operators => peer.0.is_some(),
            Face::SignIn => headers.contains_key(AUTHORIZATION) || sign_in::is_open(path),
        }
    }

    /// What a stranger is told.
    pub(crate) fn turn_away(&self) -> Response {
        reply::unauthenticated(match self.face {
            Face::Devices => "expected a device certificate, none was shown",
            Face::Operators => "expected an operator certificate, none was shown",
            Face::SignIn => "expected a service token as bearer, none was shown",
        })
    }

    /// A handshake was refused: no certificate, one of another CA, an older TLS.
    pub(crate) async fn refused_handshake(&self, address: IpAddr, why: &rustls::Error) {
        let peer = Peer(None, address, Line::default());
        self.refused(&peer, "connect", &format!("{why}")).await;
    }

    /// Somebody without a certificate asked for something.
    pub(crate) async fn refused_stranger(&self, peer: &Peer) {
        self.refused(peer, "ask", "no credential was shown").await;
    }

    async fn refused(&self, peer: &Peer, what: &str, why: &str) {
        let what = format!("{what} {}", self.face.as_str());
        let mut act = audit::act(&self.app, self.face.who(peer), what);
        RefusalCode::Unauthenticated.as_str().clone_into(&mut act.outcome);
        act.detail = audit::cut(why);
        audit::refused(&self.app, act).await;
    }
}

/// A connection that is open.
pub(crate) struct Opened {
    number: u64,
    app: Arc<App>,
}

impl Opened {
    /// Its number at this server.
    pub(crate) const fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.app.live.closed(self.number);
    }
}

/// The act that a request is, not yet judged.
pub(super) fn act_of(face: Face, route: &Route, call: &Call, path: &str) -> AuditAct {
    let what = format!("{} {}", route.method.as_str(), route.path);
    let mut act = audit::act(&call.app, face.who(&call.peer), what);
    act.target = audit::cut(path);
    if route.takes != Takes::Nothing && !call.body.is_empty() {
        act.request = Some(Sha256Digest::of(&call.body));
    }
    if matches!(route.takes, Takes::Json(_)) {
        act.reason = audit::cut(&reason(&call.body));
    }
    act
}

/// Enters that somebody asks too often.
pub(super) async fn limited(
    app: &App,
    (face, peer): (Face, &Peer),
    what: String,
    response: &Response,
) {
    if let Some(said) = response.extensions().get::<Said>() {
        refused(app, audit::act(app, face.who(peer), what), said).await;
    }
}

/// The act that a request of an operator is.
pub(super) fn act_of_operator(
    face: Face,
    route: &Route,
    (call, path): (&Call, &str),
    by: &Operator,
) -> AuditAct {
    let mut act = act_of(face, route, call, path);
    by.name().as_str().clone_into(&mut act.who.name);
    if let Some(token) = by.token() {
        act.who.kind = AuditWhoKind::Token;
        token.clone_into(&mut act.who.credential);
    }
    act
}

/// The reason that a body gives, or else the name that somebody with a one-time code gives.
fn reason(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Given {
        reason: Option<String>,
        code: Option<serde::de::IgnoredAny>,
        name: Option<String>,
    }
    let given: Option<Given> = serde_json::from_slice(body).ok();
    given
        .and_then(|given| match (given.reason, given.code, given.name) {
            (Some(reason), _, _) => Some(reason),
            (None, Some(_), Some(name)) => Some(format!("with a code, as {name}")),
            _ => None,
        })
        .unwrap_or_default()
}

/// Carries out what an operator asks, and answers only when it is entered.
pub(super) async fn carried_out(
    app: &App,
    method: Method,
    act: AuditAct,
    answer: Answer,
) -> Response {
    let caller = match Caller::new(act.clone()) {
        Ok(caller) => caller,
        Err(err) => return reply::failed(&err),
    };
    let response = audit::on_behalf_of(&caller, answer).await;
    if let Some(said) = response.extensions().get::<Said>().cloned() {
        if method != Method::Get || is_about_authority(said.code) {
            refused(app, act, &said).await;
        }
        return response;
    }
    // Looking is no act, unless it changed something; a piece of an upload is none before the last.
    if method == Method::Post
        && !caller.is_entered()
        && let Err(err) = audit::enter(app, act).await
    {
        return reply::failed(&err);
    }
    response
}

/// Enters that a request was refused before it came to a handler, or by the handler of a face where
/// only that is told.
pub(super) async fn turned_away(
    app: &App,
    (face, peer): (Face, &Peer),
    (route, path): (&Route, &str),
    response: &Response,
) {
    let said = response.extensions().get::<Said>();
    if let Some(said) = said.filter(|said| is_about_authority(said.code)) {
        let what = format!("{} {}", route.method.as_str(), route.path);
        let mut act = audit::act(app, face.who(peer), what);
        act.target = audit::cut(path);
        refused(app, act, said).await;
    }
}

async fn refused(app: &App, mut act: AuditAct, said: &Said) {
    said.code.as_str().clone_into(&mut act.outcome);
    act.detail = audit::cut(&said.detail);
    audit::refused(app, act).await;
}

/// Whether a refusal is about who somebody is and what they may do.
const fn is_about_authority(code: RefusalCode) -> bool {
    matches!(
        code,
        RefusalCode::Unauthenticated
            | RefusalCode::Forbidden
            | RefusalCode::ClaimRefused
            | RefusalCode::ClaimUsed
            | RefusalCode::CodeRefused
    )
}
