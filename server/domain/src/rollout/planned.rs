//! What a plan looked like when it was made, kept beside the rollout: it is read by the people who
//! are to approve it, and no decision rests on it.

use alloc::string::String;

use lazaret_protocol::id::RolloutId;
use serde::{Deserialize, Serialize};

use super::preview::Preview;
use crate::record::Record;

/// A preview of one rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// The rollout.
    pub rollout: RolloutId,
    /// What it looked like.
    pub preview: Preview,
}

impl Record for Planned {
    const KIND: &'static str = "planned";
    fn name(&self) -> String {
        alloc::format!("{}", self.rollout)
    }
}
