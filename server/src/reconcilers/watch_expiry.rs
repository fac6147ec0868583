//! Warns of roles that expire, people's and the server's own.

use std::time::Duration;

use super::{Reconciler, Wakes};
use crate::app::expiry;

/// Every ten minutes: the shortest warning is of half a day.
pub(crate) const RECONCILER: Reconciler = Reconciler {
    name: "watch_expiry",
    period: Duration::from_secs(600),
    wakes: Wakes::OnPeriod,
    activate: |app| {
        Box::pin(async move {
            expiry::watch(&app).await?.into_reply();
            Ok(())
        })
    },
};
