//! Why no delta was made.

use lazaret_protocol_delta::{ControlFault, DeltaError};
use std::io;
use thiserror::Error;

/// One of the two images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The old image.
    Base,
    /// The new image.
    Result,
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Side::Base => "base",
            Side::Result => "result",
        })
    }
}

/// Why no delta was made.
#[derive(Debug, Error)]
pub enum EncodeError {
    /// An option is out of its range.
    #[error("expected option {option} from {min} to {max}, got {value}")]
    Option {
        /// The field of [`crate::EncodeOptions`].
        option: &'static str,
        /// The least allowed value.
        min: u64,
        /// The greatest allowed value.
        max: u64,
        /// What was asked for.
        value: u64,
    },
    /// An image could not be read.
    #[error("failed to read the {side}")]
    Read {
        /// Which image.
        side: Side,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The delta grows longer than [`crate::EncodeOptions::delta_bytes_max`].
    #[error("delta grows past {allowed} bytes")]
    SavesTooLittle {
        /// The option's value.
        allowed: u64,
    },
    /// The suffix array could not be made.
    #[error("failed to index the base")]
    Index {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The compressor failed.
    #[error("failed to encode the frame at {offset}")]
    Compress {
        /// Where the frame begins in the result.
        offset: u64,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The instructions that were found break a rule of the format.
    #[error("failed to make a control block")]
    Control(#[source] ControlFault),
    /// A device could not apply the delta in the memory that it may take.
    #[error("delta needs {needed} bytes of memory, at most {allowed} are allowed")]
    Memory {
        /// What it needs.
        needed: u64,
        /// [`crate::EncodeOptions::ram_bytes_max`].
        allowed: u64,
    },
    /// An image's layout does not fit its length.
    #[error("layout of the {side} does not fit its length")]
    Layout {
        /// Which image.
        side: Side,
    },
    /// The header could not be put together.
    #[error("failed to make the header")]
    Header(#[source] DeltaError),
    /// A compressed part cannot be handled after all.
    #[error("failed to unpack a compressed part")]
    Repack(#[source] lazaret_protocol_delta_repack::Fault),
    /// The delta could not be written.
    #[error("failed to write the delta")]
    Write(#[source] io::Error),
}
