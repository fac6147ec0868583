//! Why a configuration cannot be used.

use std::path::PathBuf;

use super::Problem;
use crate::durable::DurableError;

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("configuration cannot be read")]
    Unreadable(#[source] DurableError),
    /// There is no such file.
    #[error("expected a configuration file at {}", path.display())]
    Missing {
        /// Where.
        path: PathBuf,
    },
    /// Settings are wrong.
    #[error("{} settings are wrong", problems.len())]
    Wrong {
        /// Every one of them.
        problems: Vec<Problem>,
    },
}
