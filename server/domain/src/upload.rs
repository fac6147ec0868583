//! Which unfinished upload in the blob store belongs to what, so that it can be taken up again
//! after a restart.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::record::Record;

/// An upload that has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnfinishedUpload {
    /// What it will be: `image/MODEL/VERSION` or `bundle/ID`.
    pub of: String,
    /// The blob store's name for it.
    pub upload: String,
}

impl Record for UnfinishedUpload {
    const KIND: &'static str = "upload";
    fn name(&self) -> String {
        self.of.clone()
    }
}
