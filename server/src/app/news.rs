//! What is new in the event log: one task per server reads it from its end on, wakes the held polls
//! that an event concerns, and tells followers how far the log has come. It reads what is
//! committed, by whichever server, so that nothing rests on who committed it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::context::App;
use super::error::AppError;
use super::held::concerned;
use crate::telemetry;

/// Events that are read at once.
const EVENTS_AT_ONCE: usize = 500;

/// Longest time between two looks: what another server has committed is seen after it at the
/// latest.
const LOOK_PERIOD: Duration = Duration::from_millis(500);

/// Shortest time between two looks: a thousand commits at once are one look, not a thousand.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// Reads the log for ever.
pub(crate) async fn follow(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let mut seen = None;
    loop {
        let looked = match seen {
            None => end_of_log(&app).await,
            Some(seen) => look(&app, seen).await,
        };
        match looked {
            Ok(now) => {
                seen = Some(now);
                app.news.send_if_modified(|head| std::mem::replace(head, now) != now);
            }
            Err(err) => {
                tracing::error!(error = telemetry::chain(&err), "event log cannot be read");
            }
        }
        tokio::select! {
            () = app.committed.notified() => {}
            () = tokio::time::sleep(LOOK_PERIOD) => {}
            _ = stop.changed() => return,
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
}

async fn look(app: &App, seen: u64) -> Result<u64, AppError> {
    let mut seen = seen;
    loop {
        let events = app.store.events(seen, EVENTS_AT_ONCE).await?;
        let Some((last, _)) = events.last() else { return Ok(seen) };
        seen = *last;
        for whom in events.iter().filter_map(|(_, event)| concerned(&event.fact)) {
            app.held.wake(&whom);
        }
    }
}

/// The number of the last event, found by halving: the log may hold millions.
async fn end_of_log(app: &App) -> Result<u64, AppError> {
    let (mut known, mut beyond) = (0, u64::MAX);
    while beyond - known > 1 {
        let middle = known + (beyond - known) / 2;
        match app.store.events(middle, 1).await?.last() {
            Some((number, _)) => known = *number,
            None => beyond = middle,
        }
    }
    // `beyond` has nothing behind it, and is itself the last unless it is the first guess.
    match app.store.events(known, 1).await?.last() {
        Some((number, _)) => Ok(*number),
        None => Ok(known),
    }
}
