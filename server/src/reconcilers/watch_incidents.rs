//! Warns of an incident's clocks and steps before they run out, and when they have.

use std::time::Duration;

use super::{Reconciler, Wakes};
use crate::app::incident;

/// Every minute: the shortest warning is of six hours, the shortest step may be of minutes.
pub(crate) const RECONCILER: Reconciler = Reconciler {
    name: "watch_incidents",
    period: Duration::from_secs(60),
    wakes: Wakes::OnChange,
    activate: |app| Box::pin(async move { incident::watch(&app).await }),
};
