//! Signs the timestamp, the snapshot and the deltas again before they lapse.

use std::time::Duration;

use super::{Reconciler, Wakes};
use crate::app::publish;

/// DESIGN section 3: the timestamp lives 48 h and is signed again every hour.
pub(crate) const RECONCILER: Reconciler = Reconciler {
    name: "refresh_timestamp",
    period: Duration::from_secs(60),
    wakes: Wakes::OnPeriod,
    activate: |app| {
        Box::pin(async move {
            if publish::resign(&app).await?.into_reply() {
                app.wake();
            }
            Ok(())
        })
    },
};
