//! Has the table of the fleet made that sweeps are answered from.

use std::time::Duration;

use super::{Reconciler, Wakes};
use crate::app::sweep;

/// At the start, so that nobody waits for it in an incident; again where that did not succeed.
pub(crate) const RECONCILER: Reconciler = Reconciler {
    name: "keep_fleet_table",
    period: Duration::from_secs(60),
    wakes: Wakes::OnPeriod,
    activate: |app| Box::pin(async move { sweep::make(&app).await }),
};
