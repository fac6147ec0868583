//! The event log as a stream without end, for whoever follows it. It is read from the store by
//! number, so that a slow follower costs no memory, and one that comes back has missed nothing.

use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use futures_util::future::BoxFuture;
use lazaret_protocol::operator::EventView;
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::time::Timestamp;
use lazaret_server_domain::refused::Refused;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::context::App;
use super::error::AppError;
use super::listing;
use crate::telemetry;

/// Followers at once.
pub(crate) const FOLLOWERS_MAX: usize = 256;

/// Events on one page.
const EVENTS_AT_ONCE: usize = 200;

/// How often a follower hears something where there is nothing to tell: often enough that
/// middleboxes keep the connection, and that either end notices that the other is gone.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Whether whoever follows is still let in.
pub(crate) type StillLetIn =
    Box<dyn Fn(Arc<App>) -> BoxFuture<'static, bool> + Send + Sync + 'static>;

/// Whom a stream is for.
pub(crate) struct Following {
    /// Events above this number; none for those to come.
    pub(crate) after: Option<u64>,
    /// When the follower's certificate ends, and the stream with it.
    pub(crate) until: Timestamp,
    /// Asked before anything is told: who was disabled hears no more.
    pub(crate) still_let_in: StillLetIn,
}

/// What a follower is told.
#[derive(Debug)]
pub(crate) enum Told {
    /// What happened, at least one.
    Events(Vec<EventView>),
    /// Nothing yet.
    Heartbeat,
}

struct Follower {
    app: Arc<App>,
    after: u64,
    until: Timestamp,
    still_let_in: StillLetIn,
    news: watch::Receiver<u64>,
    doors: watch::Receiver<u64>,
    stopping: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
}

/// The stream.
///
/// # Errors
/// Too many followers.
pub(crate) fn follow(
    app: &Arc<App>,
    following: Following,
) -> Result<impl Stream<Item = Told> + Send + use<>, AppError> {
    let place = Arc::clone(&app.followers).try_acquire_owned().map_err(|_| {
        let detail = format!("{FOLLOWERS_MAX} streams of events are open, which is the most");
        Refused::because(RefusalCode::Unavailable, detail)
    })?;
    let news = app.news.subscribe();
    let after = following.after.unwrap_or_else(|| *news.borrow());
    let follower = Follower {
        app: Arc::clone(app),
        after,
        until: following.until,
        still_let_in: following.still_let_in,
        news,
        doors: app.doors.subscribe(),
        stopping: app.stopping.subscribe(),
        _place: place,
    };
    Ok(futures_util::stream::unfold(follower, |mut follower| async move {
        let told = follower.next().await?;
        Some((told, follower))
    }))
}

impl Follower {
    async fn next(&mut self) -> Option<Told> {
        loop {
            if *self.stopping.borrow() || self.app.now() >= self.until {
                return None;
            }
            self.news.borrow_and_update();
            self.doors.borrow_and_update();
            if !(self.still_let_in)(Arc::clone(&self.app)).await {
                return None;
            }
            match listing::events_after(&self.app, self.after, EVENTS_AT_ONCE).await {
                Err(err) => {
                    // The follower comes back with the number of the last event that it has.
                    tracing::error!(error = telemetry::chain(&err), "a stream of events is cut");
                    return None;
                }
                Ok(events) => {
                    if let Some(last) = events.last() {
                        self.after = last.sequence;
                        return Some(Told::Events(events));
                    }
                }
            }
            // Nobody hears anything once what they showed has run out.
            let left = Duration::from_millis(self.until.since_ms(self.app.now()));
            tokio::select! {
                _ = self.news.changed() => {}
                _ = self.doors.changed() => {}
                _ = self.stopping.changed() => return None,
                () = tokio::time::sleep(HEARTBEAT.min(left)) => return Some(Told::Heartbeat),
            }
        }
    }
}
