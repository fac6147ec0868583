//! Anomalies: every event is looked at once, in order; what rules make of it is kept with the
//! cursor in one commit, so that a crash neither skips one nor counts it twice.

use lazaret_protocol::id::{DeviceId, OperatorName};
use lazaret_protocol::operator::{AnomalyView, Page};
use lazaret_protocol::order::Wanted;
use lazaret_server_domain::anomaly::{self, Suspicion, Watch, concerned};
use lazaret_server_domain::bundle::{self, Bundle};
use lazaret_server_domain::device::Device;
use lazaret_server_domain::event::Event;
use lazaret_server_domain::record::{Decision, Found};
use lazaret_server_store::Committed;

use super::context::App;
use super::error::AppError;
use super::evidence::sealing;
use super::listing::{self, PageRequest};

/// Events read at once.
const EVENTS_AT_ONCE: usize = 500;

/// What is done about anomalies on this server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Anomalies {
    /// Suspicions that people are told of in a day.
    pub(crate) told_per_day: u64,
    /// Whether a device's evidence is collected when people are told of it.
    pub(crate) collect: bool,
}

/// Looks at what is new in the event log.
///
/// # Errors
/// The store.
pub(crate) async fn watch(app: &App) -> Result<(), AppError> {
    loop {
        let found: Found<Watch> = app.store.find(Watch::NAME).await?;
        let cursor = found.value.as_ref().map_or(0, |watch| watch.cursor);
        let events = app.store.events(cursor, EVENTS_AT_ONCE).await?;
        let Some((last, _)) = events.last() else { return Ok(()) };
        let last = *last;
        for (number, event) in &events {
            hear(app, *number, event).await?;
        }
        // One commit for all of which no rule says anything; but none where there were few, for
        // every commit is an event of its own to somebody.
        if events.len() < EVENTS_AT_ONCE && last.saturating_sub(cursor) < 100 {
            return Ok(());
        }
        let moved = app.decide(|| async {
            let found: Found<Watch> = app.store.find(Watch::NAME).await?;
            let before = found.value.clone().unwrap_or_default();
            let watch = Watch { cursor: before.cursor.max(last), ..before };
            Ok(Decision::reply(()).replace(&found, &watch))
        });
        moved.await?.into_reply();
    }
}

async fn hear(app: &App, number: u64, event: &Event) -> Result<(), AppError> {
    let Some((rule, device, word)) = concerned(event) else { return Ok(()) };
    let told = app
        .decide(|| async {
            let found: Found<Suspicion> = app.store.find(device.as_str()).await?;
            let watch: Found<Watch> = app.store.find(Watch::NAME).await?;
            let per_day = app.anomalies.told_per_day;
            let said = (rule, &device, word.as_str());
            let decision = anomaly::take((&found, &watch), said, (number, event), per_day);
            if !app.anomalies.collect || decision.preview().is_none() {
                return Ok(decision);
            }
            // In one commit: once the cursor has moved on, nobody looks at this event again, and a
            // power cut in between would leave the device uncollected.
            Ok(match collection(app, &device, rule.name).await? {
                Some(ordered) => decision.and(ordered),
                None => decision,
            })
        })
        .await?
        .into_reply();
    if told.is_some() && app.anomalies.collect {
        app.wake();
    }
    Ok(())
}

/// A small collection, and nothing else, may follow by itself; none where the device is gone, or
/// busy, and what is suspected stays.
async fn collection(
    app: &App,
    device: &DeviceId,
    rule: &str,
) -> Result<Option<Decision<Bundle>>, AppError> {
    let Ok(by) = "anomaly-rules".parse::<OperatorName>() else { return Ok(None) };
    let (reason, wanted) = (format!("anomaly {rule}"), Wanted::default());
    let found: Found<Device> = app.store.find(device.as_str()).await?;
    match bundle::order(&found, (&reason, &wanted), (&by, app.now()), &sealing(app)) {
        Ok(ordered) => Ok(Some(ordered)),
        Err(refused) => {
            tracing::info!(%device, "{}", refused.detail);
            Ok(None)
        }
    }
}

/// A page of suspicions.
///
/// # Errors
/// The store.
pub(crate) async fn list(app: &App, page: &PageRequest) -> Result<Page<AnomalyView>, AppError> {
    let (items, next) = listing::records::<Suspicion>(app, page).await?;
    Ok(Page { items: items.iter().map(Suspicion::view).collect(), next })
}

/// Dismisses what is suspected of a device.
///
/// # Errors
/// Nothing is; or the store.
pub(crate) async fn dismiss(
    app: &App,
    by: &OperatorName,
    device: &DeviceId,
    reason: &str,
) -> Result<Committed<AnomalyView>, AppError> {
    app.decide(|| async {
        let found: Found<Suspicion> = app.store.find(device.as_str()).await?;
        Ok(anomaly::dismiss(&found, reason, (by, app.now()))?)
    })
    .await
}
