//! What is said of webhooks: whom to tell of events, and how that goes. A delivery is a `POST` of
//! [`Delivery`] with the headers of the Standard Webhooks specification 1.0.0.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::EventView;
use crate::id::OperatorName;
use crate::time::Timestamp;

/// Longest address, in bytes.
pub const URL_BYTES_MAX: usize = 2048;

/// Kinds of events that one webhook may name.
pub const KINDS_MAX: usize = 64;

/// Webhooks of one server.
pub const WEBHOOKS_MAX: usize = 64;

/// The header with the name of the delivery: the webhook, its first and its last event. One that is
/// tried again may have grown, and then has another name; events are told apart by their sequence.
pub const HEADER_ID: &str = "webhook-id";
/// The header with the time in seconds since 1970: the receiver refuses what is old.
pub const HEADER_TIMESTAMP: &str = "webhook-timestamp";
/// The header with `v1,` and the base64 of HMAC-SHA256 over `ID.TIMESTAMP.BODY`.
pub const HEADER_SIGNATURE: &str = "webhook-signature";

/// What an event is written as.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum NoticeFormat {
    /// As `GET /v1/events` has it.
    #[default]
    Json,
    /// Common Event Format, version 0; only to syslog.
    Cef,
    /// Open Cybersecurity Schema Framework, 1.3.
    Ocsf,
}

impl NoticeFormat {
    /// Whether it is the usual one.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

/// `POST /v1/webhooks`.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookRequest {
    /// Where to: `https://...`, or a collector of syslog: `syslog://`, `syslog+tcp://`,
    /// `syslog+tls://`.
    pub url: String,
    /// What events are written as.
    #[serde(default, skip_serializing_if = "NoticeFormat::is_usual")]
    pub format: NoticeFormat,
    /// Only events of these kinds, such as `rollout-halted`; all where it is empty.
    #[serde(default)]
    pub kinds: Vec<String>,
    /// Begin behind this event; none for those to come.
    #[serde(default)]
    pub after: Option<u64>,
    /// Why.
    pub reason: String,
}

/// A webhook that was made. The secret is shown once.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookMade {
    /// The webhook.
    pub webhook: WebhookView,
    /// `whsec_` and the base64 of 32 bytes: the key of its signatures.
    pub secret: String,
}

/// A webhook, as `GET /v1/webhooks` lists it.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookView {
    /// Its name.
    pub id: String,
    /// Where to.
    pub url: String,
    /// What events are written as.
    #[serde(default, skip_serializing_if = "NoticeFormat::is_usual")]
    pub format: NoticeFormat,
    /// Which kinds of events; all where it is empty.
    pub kinds: Vec<String>,
    /// Who made it.
    pub by: OperatorName,
    /// Whether it is stopped.
    pub stopped: bool,
    /// Every event up to this number was delivered, was of another kind, or was given up.
    pub delivered_up_to: u64,
    /// How often the delivery that is due has failed.
    pub failures: u64,
    /// Why it failed last.
    pub last_error: Option<String>,
    /// When it is tried next; none where nothing has failed.
    pub next_try: Option<Timestamp>,
    /// Deliveries that were given up, the newest last, at most 20.
    pub given_up: Vec<GivenUp>,
}

/// A delivery that was given up after every try.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenUp {
    /// Its first event.
    pub first: u64,
    /// Its last event.
    pub last: u64,
    /// Why the last try failed.
    pub why: String,
    /// When.
    pub at: Timestamp,
}

/// What is delivered.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The webhook.
    pub webhook: String,
    /// What happened, in order, at least one.
    pub events: Vec<EventView>,
}
