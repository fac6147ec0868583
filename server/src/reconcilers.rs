//! What brings the world in line with the records: idempotent, without arguments, each run again
//! for ever. A failure is logged and tried again at the next activation, never inside one.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::app::context::App;
use crate::app::error::AppError;
use crate::telemetry;

pub(crate) mod advance_rollouts;
pub(crate) mod carry_out_containment;
pub(crate) mod deliver_webhooks;
pub(crate) mod keep_evidence;
pub(crate) mod keep_fleet_table;
pub(crate) mod make_deltas;
pub(crate) mod refresh_timestamp;
pub(crate) mod sequence_audit;
pub(crate) mod watch_anomalies;
pub(crate) mod watch_expiry;
pub(crate) mod watch_incidents;

/// Between being woken and looking.
const WAKE_PAUSE: Duration = Duration::from_millis(100);

/// One reconciler: its name, how often it runs at least, and what it does.
pub(crate) struct Reconciler {
    /// For logs.
    pub(crate) name: &'static str,
    /// Longest pause between two activations.
    pub(crate) period: Duration,
    /// Whether a change of records activates it early.
    pub(crate) wakes: Wakes,
    /// One activation.
    pub(crate) activate: fn(Arc<App>) -> BoxFuture<'static, Result<(), AppError>>,
}

/// What activates a reconciler besides its period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wakes {
    /// Nothing.
    OnPeriod,
    /// A change of records.
    OnChange,
}

/// Every reconciler.
pub(crate) const RECONCILERS: &[Reconciler] = &[
    refresh_timestamp::RECONCILER,
    watch_expiry::RECONCILER,
    advance_rollouts::RECONCILER,
    make_deltas::RECONCILER,
    deliver_webhooks::RECONCILER,
    sequence_audit::RECONCILER,
    keep_evidence::RECONCILER,
    keep_fleet_table::RECONCILER,
    watch_incidents::RECONCILER,
    watch_anomalies::RECONCILER,
    carry_out_containment::RECONCILER,
];

/// Runs one reconciler until `stop` says so.
pub(crate) async fn run(reconciler: &Reconciler, app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let mut changed = app.changed.subscribe();
    loop {
        changed.borrow_and_update();
        if let Err(err) = (reconciler.activate)(Arc::clone(&app)).await {
            let error = telemetry::chain(&err);
            tracing::error!(
                reconciler = reconciler.name,
                error,
                "reconciler failed, will run again"
            );
        }
        let woken = async {
            match reconciler.wakes {
                Wakes::OnChange if changed.changed().await.is_ok() => {}
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            () = tokio::time::sleep(reconciler.period) => {}
            // A thousand reports at once are one activation, not a thousand.
            () = woken => tokio::time::sleep(WAKE_PAUSE).await,
            _ = stop.changed() => return,
        }
    }
}
