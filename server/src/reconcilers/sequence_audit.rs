//! Takes what waits into the audit log and signs it, and enters refusals that were counted.

use std::time::Duration;

use super::{Reconciler, Wakes};
use crate::app::audit::{self, Counts};

/// Every second: acts are on disk already, this gives them their place.
pub(crate) const RECONCILER: Reconciler = Reconciler {
    name: "sequence_audit",
    period: Duration::from_secs(1),
    wakes: Wakes::OnPeriod,
    activate: |app| {
        Box::pin(async move {
            audit::enter_counts(&app, Counts::Due).await?;
            audit::sequence(&app).await
        })
    },
};
