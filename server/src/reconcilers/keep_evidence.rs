//! Keeps evidence: what has been here for as long as it is to be kept goes, and what is here is
//! read back, so that a missing or rotten bundle is known before somebody needs it.

use std::time::Duration;

use super::{Reconciler, Wakes};
use crate::app::evidence;

/// Every six hours: reading all evidence back costs the disk more than anybody gains by hurry.
pub(crate) const RECONCILER: Reconciler = Reconciler {
    name: "keep_evidence",
    period: Duration::from_secs(6 * 60 * 60),
    wakes: Wakes::OnPeriod,
    activate: |app| {
        Box::pin(async move {
            if let Some(days) = app.evidence_days {
                evidence::retain(&app, days).await?;
            }
            let scrubbed = evidence::scrub(&app).await?;
            if !scrubbed.damaged.is_empty() {
                tracing::error!(damaged = scrubbed.damaged.len(), "evidence is missing or rotten");
            }
            Ok(())
        })
    },
};
