//! Makes deltas of the format `lazaret-delta-1` (described in `lazaret-protocol-delta`): reads the
//! old and the new image, writes the delta. Deciding which deltas are worth making, and signing
//! them, is the publisher's.
//!
//! The same images and options give the same bytes, however many threads work on them.

mod compress;
mod encode;
mod error;
mod frame;
mod matching;
mod ops;
mod options;
mod parallel;
mod payload;
mod plan;
mod prematch;
mod program;
mod sketch;
mod source;
mod text;

pub use encode::{EncodeSummary, Image, encode, encode_images};
pub use error::{EncodeError, Side};
pub use options::EncodeOptions;
pub use payload::{Counts, Kind, PayloadReport};
pub use source::ReadAt;
