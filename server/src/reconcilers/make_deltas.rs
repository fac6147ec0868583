//! Makes the deltas that releases wait for, one at a time: each uses all cores.

use std::time::Duration;

use super::{Reconciler, Wakes};
use crate::app::deltas;

/// Woken by an upload; the period is for what a crash left over.
pub(crate) const RECONCILER: Reconciler = Reconciler {
    name: "make_deltas",
    period: Duration::from_secs(60),
    wakes: Wakes::OnChange,
    activate: |app| {
        Box::pin(async move {
            while deltas::make_one(&app).await? {}
            Ok(())
        })
    },
};
