//! A route as one row of a table: method, path, who may call, what the body may be, what answers
//! it, and what stands about it in the OpenAPI document. No row is made elsewhere than in
//! [`super::device`], [`super::est`] and [`super::operator`].

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use lazaret_protocol::operator::Role;
use lazaret_protocol::signed::DevicePeer;
use lazaret_server_store::Committed;
use serde::Serialize;
use serde::de::DeserializeOwned;
use warp::reply::Response;

use super::conditions::Conditions;
use super::listener::Peer;
use super::{body, reply};
use crate::app::context::App;
use crate::app::error::AppError;
use crate::app::repository::Content;
use crate::identity::device::Access;
use crate::identity::operator::Operator;

/// What a handler comes to.
pub(crate) type Answer = BoxFuture<'static, Response>;

/// Describes a type of the interface: its name and its schema, with those that it refers to.
pub(crate) type Describe = fn(&mut super::openapi::Schemas) -> super::openapi::Shape;

/// A method of HTTP that some route takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// Looks.
    Get,
    /// Acts.
    Post,
    /// Brings bytes.
    Put,
}

impl Method {
    /// As it travels.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }
}

/// Who may call a route, and what then answers: a handler that needs a proof of who is calling
/// cannot stand in a row that does not ask for it.
#[derive(Clone, Copy)]
pub(crate) enum Handler {
    /// Anybody; the route has a credential or a limit of its own.
    Open(fn(Call) -> Answer),
    /// A device that the registry lets have this access at this moment.
    Device(Access, fn(Call, DevicePeer) -> Answer),
    /// An operator with at least one of these roles; an empty list asks for any role at all.
    Operator(&'static [Role], fn(Call, Operator) -> Answer),
}

/// How a route stands to a third party, who has a scope. Closed to them where a row says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Within {
    /// Closed.
    Nowhere,
    /// Open where the device in the path, `{device}`, is within.
    Device,
    /// Open where the device that the bundle in the path, `{bundle}`, came from is within.
    Bundle,
    /// Open where the hardware model in the path, `{model}`, is within as a whole.
    Model,
    /// Open: the handler lists only what is within.
    Listed,
    /// Open: it is about nothing that is anybody's.
    Nothing,
}

/// What a request may bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    /// No body; one that comes is not read.
    Nothing,
    /// JSON of at most so many bytes.
    Json(u64),
    /// Bytes, at most so many.
    Raw(u64),
    /// The next piece of something that is sent piece by piece, at most so many bytes: of a piece
    /// that is cut off, the handler gets what came.
    Piece(u64),
}

/// What a success carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gives {
    /// One JSON document.
    Json,
    /// Bytes.
    Raw,
    /// Server-sent events.
    Stream,
}

/// One row.
pub(crate) struct Route {
    /// The method.
    pub(crate) method: Method,
    /// The path; `{name}` stands for one segment, `{name..}` for all the rest.
    pub(crate) path: &'static str,
    /// Who, and what answers.
    pub(crate) handler: Handler,
    /// How it stands to third parties.
    pub(crate) within: Within,
    /// What a request may bring.
    pub(crate) takes: Takes,
    /// What a success carries.
    pub(crate) gives: Gives,
    /// Parameters of the query, each with what it means.
    pub(crate) query: &'static [(&'static str, &'static str)],
    /// What it is for, in one line.
    pub(crate) summary: &'static str,
    /// The message in the body.
    pub(crate) request: Option<Describe>,
    /// The message in the answer.
    pub(crate) reply: Option<Describe>,
}

impl Route {
    const fn new(method: Method, path: &'static str, handler: Handler) -> Self {
        Self {
            method,
            path,
            handler,
            within: Within::Nowhere,
            takes: Takes::Nothing,
            gives: Gives::Json,
            query: &[],
            summary: "",
            request: None,
            reply: None,
        }
    }

    /// A route that looks.
    pub(crate) const fn get(path: &'static str, handler: Handler) -> Self {
        Self::new(Method::Get, path, handler)
    }

    /// A route that acts.
    pub(crate) const fn post(path: &'static str, handler: Handler) -> Self {
        Self::new(Method::Post, path, handler)
    }

    /// A route that brings bytes.
    pub(crate) const fn put(path: &'static str, handler: Handler) -> Self {
        Self::new(Method::Put, path, handler)
    }

    /// What it is for, in one line.
    pub(crate) const fn about(mut self, summary: &'static str) -> Self {
        self.summary = summary;
        self
    }

    /// Is open to third parties so far.
    pub(crate) const fn within(mut self, within: Within) -> Self {
        self.within = within;
        self
    }

    /// Takes this message, of at most so many bytes.
    pub(crate) const fn takes(mut self, bytes_max: u64, message: Describe) -> Self {
        self.takes = Takes::Json(bytes_max);
        self.request = Some(message);
        self
    }

    /// Takes bytes as they are, at most so many.
    pub(crate) const fn takes_raw(mut self, bytes_max: u64) -> Self {
        self.takes = Takes::Raw(bytes_max);
        self
    }

    /// Takes the next piece of something, at most so many bytes; what came of one that is cut off
    /// is kept.
    pub(crate) const fn takes_piece(mut self, bytes_max: u64) -> Self {
        self.takes = Takes::Piece(bytes_max);
        self
    }

    /// Answers with this message.
    pub(crate) const fn gives(mut self, message: Describe) -> Self {
        self.reply = Some(message);
        self
    }

    /// Answers with something that is no JSON document.
    pub(crate) const fn gives_other(mut self, gives: Gives) -> Self {
        self.gives = gives;
        self
    }

    /// Reads these parameters of the query.
    pub(crate) const fn reads(mut self, query: &'static [(&'static str, &'static str)]) -> Self {
        self.query = query;
        self
    }

    /// The values of the path's placeholders, where this route's path is `path`.
    pub(crate) fn matches<'a>(&self, path: &'a str) -> Option<Vec<(&'static str, &'a str)>> {
        let mut found = Vec::new();
        let mut rest = path.strip_prefix('/')?;
        let mut template = self.path.strip_prefix('/')?;
        loop {
            let (wanted, after) = template.split_once('/').unwrap_or((template, ""));
            let placeholder = wanted.strip_prefix('{').and_then(|name| name.strip_suffix('}'));
            if let Some(name) = placeholder.and_then(|name| name.strip_suffix("..")) {
                found.push((name, rest));
                return Some(found);
            }
            let (segment, tail) = rest.split_once('/').map_or((rest, None), |(s, t)| (s, Some(t)));
            match placeholder {
                Some(_) if segment.is_empty() => return None,
                Some(name) => found.push((name, segment)),
                None if segment != wanted => return None,
                None => {}
            }
            match (after.is_empty(), tail) {
                (true, None) => return Some(found),
                (false, Some(tail)) => (template, rest) = (after, tail),
                _ => return None,
            }
        }
    }

    /// Most bytes that a body may have.
    pub(crate) const fn body_bytes_max(&self) -> u64 {
        match self.takes {
            Takes::Nothing => 0,
            Takes::Json(max) | Takes::Raw(max) | Takes::Piece(max) => max,
        }
    }
}

/// One request, its body read and within the route's limit.
pub(crate) struct Call {
    /// The parts of the server.
    pub(crate) app: Arc<App>,
    /// The certificate at the other end.
    pub(crate) peer: Peer,
    /// The values of the path's placeholders.
    pub(crate) path: Vec<(&'static str, String)>,
    /// The query, without its question mark.
    pub(crate) query: String,
    /// What a reader of files asks for beside the file.
    pub(crate) conditions: Conditions,
    /// The `Authorization` header.
    pub(crate) authorization: Option<String>,
    /// The `Last-Event-ID` header.
    pub(crate) last_event: Option<String>,
    /// The body.
    pub(crate) body: Bytes,
    /// Whether that is all of it.
    pub(crate) came: Came,
}

/// How much of a body came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    /// All.
    Whole,
    /// Its beginning, and whoever sent it is gone. Only of [`Takes::Piece`].
    Cut,
}

impl Call {
    /// What stands in the path in the place of `{name}`; empty where the row has no such place.
    pub(crate) fn segment(&self, name: &str) -> &str {
        let found = self.path.iter().find(|(place, _)| *place == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    /// The identifier in the path in the place of `{name}`.
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn id<T>(&self, name: &str) -> Result<T, AppError>
    where
        T: std::str::FromStr,
        T::Err: std::fmt::Display,
    {
        self.segment(name).parse().map_err(|err| reply::bad(format!("{err}")))
    }

    /// The query as `T`.
    ///
    /// # Errors
    /// A parameter is missing or is not what it should be.
    pub(crate) fn query<T: DeserializeOwned>(&self) -> Result<T, AppError> {
        serde_urlencoded::from_str(&self.query)
            .map_err(|err| reply::bad(format!("query is not what this route takes: {err}")))
    }

    /// The message in the body.
    ///
    /// # Errors
    /// It is another.
    pub(crate) fn message<T: DeserializeOwned>(&self) -> Result<T, AppError> {
        body::parse(&self.body)
    }
}

/// The answer to a request that only looked.
pub(crate) fn viewed<T: Serialize + 'static>(
    answer: impl Future<Output = Result<T, AppError>> + Send + 'static,
) -> Answer {
    Box::pin(async move { reply::viewed(answer.await) })
}

/// The answer to a request that changed something: nothing that is not committed gets out.
pub(crate) fn committed<T: Serialize + 'static>(
    answer: impl Future<Output = Result<Committed<T>, AppError>> + Send + 'static,
) -> Answer {
    Box::pin(async move { reply::committed(answer.await) })
}

/// Bytes of a known length.
pub(crate) fn content(
    answer: impl Future<Output = Result<Content, AppError>> + Send + 'static,
) -> Answer {
    Box::pin(async move { reply::content(answer.await) })
}

/// An answer that was put together by hand.
pub(crate) fn responded(
    answer: impl Future<Output = Result<Response, AppError>> + Send + 'static,
) -> Answer {
    Box::pin(async move { answer.await.unwrap_or_else(|err| reply::failed(&err)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(template: &'static str, path: &str) -> Option<Vec<(&'static str, String)>> {
        let handler = Handler::Open(|_| Box::pin(async { reply::unauthenticated("") }));
        let found = Route::get(template, handler).matches(path)?;
        Some(found.into_iter().map(|(name, value)| (name, value.to_owned())).collect())
    }

    #[test]
    fn a_path_matches_segment_by_segment() {
        assert_eq!(matched("/v1/a", "/v1/a"), Some(vec![]));
        assert_eq!(matched("/v1/a/{x}", "/v1/a/b"), Some(vec![("x", "b".to_owned())]));
        let two = Some(vec![("x", "b".to_owned()), ("y", "d".to_owned())]);
        assert_eq!(matched("/v1/{x}/c/{y}", "/v1/b/c/d"), two);
        let rest = Some(vec![("rest", "b/c".to_owned())]);
        assert_eq!(matched("/v1/a/{rest..}", "/v1/a/b/c"), rest);
        for other in ["/v1/a", "/v1/a/", "/v1/a/b/", "/v1/a/b/c", "/v2/a/b", "/v1/a//", "", "/"] {
            assert_eq!(matched("/v1/a/{x}", other), None, "{other:?}");
        }
    }
}
