//! Tells webhooks of events.

use std::time::Duration;

use super::{Reconciler, Wakes};
use crate::app::webhooks;

/// Woken by changes; the period is for deliveries that failed and are tried again.
pub(crate) const RECONCILER: Reconciler = Reconciler {
    name: "deliver_webhooks",
    period: Duration::from_secs(1),
    wakes: Wakes::OnChange,
    activate: |app| Box::pin(async move { webhooks::deliver_all(&app).await }),
};
