//! Webhooks: made, listed, stopped, and told of events. The cursor of each lies in the store, so
//! that a crash between a delivery and its settlement delivers again and never skips: receivers
//! tell events apart by their sequence.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use lazaret_protocol::id::{ID_BYTES_MAX, OperatorName};
use lazaret_protocol::operator::{
    Delivery, EventView, HEADER_ID, HEADER_SIGNATURE, HEADER_TIMESTAMP, KINDS_MAX, NoticeFormat,
    Page, WEBHOOKS_MAX, WebhookMade, WebhookRequest, WebhookView,
};
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::time::Timestamp;
use lazaret_server_domain::event::{Event, Fact};
use lazaret_server_domain::record::{Decision, Found};
use lazaret_server_domain::refused::Refused;
use lazaret_server_domain::webhook::format::{self, kind};
use lazaret_server_domain::webhook::{self, Delivered, Webhook};
use lazaret_server_store::Committed;
use sha2::Sha256;

use super::context::{App, random};
use super::error::AppError;
use super::listing;
use crate::outgoing::OutgoingError;
use crate::telemetry;

/// Events in one delivery, and events that are looked at for one.
const EVENTS_AT_ONCE: usize = 100;

/// Makes a webhook.
///
/// # Errors
/// An address that may not be called, kinds that are none, or too many webhooks; or the store.
pub(crate) async fn make(
    app: &App,
    by: &OperatorName,
    request: &WebhookRequest,
) -> Result<Committed<WebhookMade>, AppError> {
    app.courier.check(&request.url).map_err(|err| AppError::bad_request(err.to_string()))?;
    check_kinds(&request.kinds)?;
    if request.format == NoticeFormat::Cef && !is_syslog(&request.url) {
        let detail = "expected an address of syslog for the format cef, such as syslog+tls://HOST";
        return Err(AppError::bad_request(detail));
    }
    let all: Vec<Webhook> = app.store.list_all("").await?;
    if all.iter().filter(|webhook| !webhook.stopped).count() >= WEBHOOKS_MAX {
        let detail = format!("expected at most {WEBHOOKS_MAX} webhooks: stop one first");
        return Err(Refused::because(RefusalCode::Conflict, detail).into());
    }
    let secret = random::<32>()?;
    let zero = Timestamp::from_ms(0);
    let webhook = Webhook {
        id: format!("w-{}", hex::encode(random::<4>()?)),
        url: request.url.clone(),
        format: request.format,
        kinds: request.kinds.clone(),
        secret: secret.to_vec(),
        by: by.clone(),
        stopped: false,
        cursor: request.after.unwrap_or_else(|| *app.news.borrow()),
        failures: 0,
        last_error: None,
        next_try: zero,
        leased_until: zero,
        given_up: Vec::new(),
    };
    let fact = Fact::WebhookMade {
        webhook: webhook.id.clone(),
        url: webhook.url.clone(),
        by: by.clone(),
        reason: request.reason.clone(),
    };
    let secret = format!("whsec_{}", STANDARD.encode(secret));
    let made = WebhookMade { webhook: webhook.view(), secret };
    let decision = || {
        let decision = Decision::reply(made.clone()).put(&webhook);
        decision.event(Event { at: app.now(), fact: fact.clone() })
    };
    let committed = app.decide(|| async { Ok(decision()) }).await?;
    app.wake();
    Ok(committed)
}

fn check_kinds(kinds: &[String]) -> Result<(), AppError> {
    let plain = |kind: &String| {
        let known = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
        !kind.is_empty() && kind.len() <= 64 && kind.bytes().all(known)
    };
    match kinds.len() <= KINDS_MAX && kinds.iter().all(plain) {
        true => Ok(()),
        false => Err(AppError::bad_request(format!(
            "expected at most {KINDS_MAX} kinds of events such as rollout-halted"
        ))),
    }
}

/// All webhooks.
///
/// # Errors
/// The store.
pub(crate) async fn list(app: &App) -> Result<Page<WebhookView>, AppError> {
    let all: Vec<Webhook> = app.store.list_all("").await?;
    Ok(Page { items: all.iter().map(Webhook::view).collect(), next: None })
}

/// Stops a webhook. Stopping it twice changes nothing.
///
/// # Errors
/// No such webhook; or the store.
pub(crate) async fn stop(
    app: &App,
    by: &OperatorName,
    id: &str,
    reason: &str,
) -> Result<Committed<WebhookView>, AppError> {
    app.decide(|| async {
        let unknown = || Refused::because(RefusalCode::NotFound, "no such webhook");
        if id.len() > ID_BYTES_MAX {
            return Err(unknown().into());
        }
        let found: Found<Webhook> = app.store.find(id).await?;
        let webhook = found.value.clone().ok_or_else(unknown)?;
        if webhook.stopped {
            return Ok(Decision::reply(webhook.view()));
        }
        let stopped = Webhook { stopped: true, ..webhook };
        let (webhook, by) = (stopped.id.clone(), by.clone());
        let fact = Fact::WebhookStopped { webhook, by, reason: reason.to_owned() };
        let decision = Decision::reply(stopped.view()).replace(&found, &stopped);
        Ok(decision.event(Event { at: app.now(), fact }))
    })
    .await
}

/// Delivers what is due, each webhook for itself, so that a slow receiver keeps no other waiting.
///
/// # Errors
/// The store.
pub(crate) async fn deliver_all(app: &Arc<App>) -> Result<(), AppError> {
    let all: Vec<Webhook> = app.store.list_all("").await?;
    let due = all.into_iter().filter(|webhook| webhook.is_due(app.now()));
    let each = due.map(|webhook| deliver(Arc::clone(app), webhook.id));
    for delivered in futures_util::future::join_all(each).await {
        delivered?;
    }
    Ok(())
}

async fn deliver(app: Arc<App>, id: String) -> Result<(), AppError> {
    while deliver_one(&app, &id).await? {}
    Ok(())
}

/// One delivery; whether there may be another.
async fn deliver_one(app: &App, id: &str) -> Result<bool, AppError> {
    let found: Found<Webhook> = app.store.find(id).await?;
    let Some(before) = found.value.filter(|webhook| webhook.is_due(app.now())) else {
        return Ok(false);
    };
    let events = listing::events_after(app, before.cursor, EVENTS_AT_ONCE).await?;
    let Some(last) = events.last().map(|event| event.sequence) else { return Ok(false) };
    let full = events.len() >= EVENTS_AT_ONCE;
    let wanted: Vec<EventView> =
        events.into_iter().filter(|event| before.wants(kind(event))).collect();
    if wanted.is_empty() && !full {
        // Looked at again with what comes: a commit for each event that nobody wants is too dear.
        return Ok(false);
    }
    let leased = app
        .decide(|| async {
            let found: Found<Webhook> = app.store.find(id).await?;
            Ok(webhook::lease(&found, app.now()))
        })
        .await?;
    let Some(webhook) = leased.into_reply().filter(|leased| leased.cursor == before.cursor) else {
        return Ok(false);
    };
    let delivered = match wanted.is_empty() {
        true => Delivered::Taken,
        false => send(app, &webhook, wanted, last).await,
    };
    let settled = app
        .decide(|| async {
            let found: Found<Webhook> = app.store.find(id).await?;
            let range = (before.cursor.saturating_add(1), last);
            Ok(webhook::settle(&found, range, &delivered, app.now()))
        })
        .await?;
    settled.into_reply();
    Ok(delivered == Delivered::Taken && full)
}

fn is_syslog(url: &str) -> bool {
    url.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("syslog"))
}

async fn send(app: &App, webhook: &Webhook, events: Vec<EventView>, last: u64) -> Delivered {
    if is_syslog(&webhook.url) {
        return send_syslog(app, webhook, &events).await;
    }
    let failed = |why: String| Delivered::Failed { why };
    let first = events.first().map_or(last, |event| event.sequence);
    let body = match webhook.format {
        NoticeFormat::Ocsf => {
            let events: Vec<serde_json::Value> = events.iter().map(format::ocsf).collect();
            serde_json::to_vec(&events)
        }
        _ => serde_json::to_vec(&Delivery { webhook: webhook.id.clone(), events }),
    };
    let Ok(body) = body else {
        return failed("the events cannot be written".to_owned());
    };
    let id = format!("{}_{first}_{last}", webhook.id);
    let seconds = (app.now().as_ms() / 1000).to_string();
    let signature = sign(&webhook.secret, (&id, &seconds), &body);
    let (courier, url) = (app.courier.clone(), webhook.url.clone());
    let posted = tokio::task::spawn_blocking(move || {
        let headers = [(HEADER_ID, id), (HEADER_TIMESTAMP, seconds), (HEADER_SIGNATURE, signature)];
        courier.post(&url, &headers, &body)
    });
    settled(webhook, posted.await)
}

async fn send_syslog(app: &App, webhook: &Webhook, events: &[EventView]) -> Delivered {
    let host = host_name();
    let messages: Vec<String> =
        events.iter().map(|event| format::syslog(event, &host, webhook.format)).collect();
    let (courier, url) = (app.courier.clone(), webhook.url.clone());
    let sent = tokio::task::spawn_blocking(move || courier.syslog(&url, &messages));
    settled(webhook, sent.await)
}

/// What the machine is called, for whoever collects from many.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

fn settled(
    webhook: &Webhook,
    sent: Result<Result<(), OutgoingError>, tokio::task::JoinError>,
) -> Delivered {
    let failed = |why: String| Delivered::Failed { why };
    match sent {
        Ok(Ok(())) => Delivered::Taken,
        Ok(Err(err)) => {
            let why = telemetry::chain(&err);
            tracing::info!(webhook = webhook.id, why, "a delivery failed");
            failed(why)
        }
        Err(_) => failed("the delivery was cut short".to_owned()),
    }
}

/// The signature of the Standard Webhooks specification: `v1,` and the base64 of HMAC-SHA256 over
/// `ID.TIMESTAMP.BODY`.
fn sign(secret: &[u8], (id, seconds): (&str, &str), body: &[u8]) -> String {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return String::new() };
    mac.update(format!("{id}.{seconds}.").as_bytes());
    mac.update(body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_specification() {
        // The example of the Standard Webhooks specification, 1.0.0.
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed = sign(
            &secret,
            ("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330"),
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
