//! Looks at events for what speaks against devices.

use std::time::Duration;

use super::{Reconciler, Wakes};
use crate::app::anomaly;

/// Every ten seconds: most indicators are events that wake nobody.
pub(crate) const RECONCILER: Reconciler = Reconciler {
    name: "watch_anomalies",
    period: Duration::from_secs(10),
    wakes: Wakes::OnPeriod,
    activate: |app| Box::pin(async move { anomaly::watch(&app).await }),
};
