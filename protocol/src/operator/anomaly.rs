//! What operators see of anomalies.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::id::DeviceId;
use crate::time::Timestamp;

/// What speaks against one device.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnomalyView {
    /// Which.
    pub device: DeviceId,
    /// The scores of its reasons together, each once.
    pub score: u32,
    /// Why.
    pub reasons: Vec<AnomalyReasonView>,
    /// When people were told last; none where the day's budget kept it back.
    pub told: Option<Timestamp>,
    /// By whom and why it was dismissed.
    pub dismissed: Option<String>,
}

/// What one rule says of it.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnomalyReasonView {
    /// The rule.
    pub rule: String,
    /// How much it speaks against the device, 1 to 100.
    pub score: u32,
    /// The technique of MITRE ATT&CK for ICS that shows so.
    pub technique: Option<String>,
    /// How often it spoke.
    pub count: u64,
    /// When first.
    pub first: Timestamp,
    /// When last.
    pub last: Timestamp,
    /// What it said last.
    pub word: String,
}
