//! Counts the results of running rollouts, opens groups, and halts what fails.

use std::time::Duration;

use super::{Reconciler, Wakes};
use crate::app::rollout;

/// Woken by every report; the period is for what a crash left over.
pub(crate) const RECONCILER: Reconciler = Reconciler {
    name: "advance_rollouts",
    period: Duration::from_secs(10),
    wakes: Wakes::OnChange,
    activate: |app| Box::pin(async move { rollout::advance_all(&app).await }),
};
