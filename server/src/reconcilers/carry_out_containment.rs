//! Carries out containment that a server which stopped has left half done.

use std::time::Duration;

use super::{Reconciler, Wakes};
use crate::app::quarantine;

/// A minute: whoever asked waits for it, and mostly it is done within their own request.
pub(crate) const RECONCILER: Reconciler = Reconciler {
    name: "carry_out_containment",
    period: Duration::from_secs(60),
    wakes: Wakes::OnPeriod,
    activate: |app| Box::pin(async move { quarantine::take_up(&app).await }),
};
