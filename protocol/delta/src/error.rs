//! Why a delta is refused. Every variant but `Base` means that the delta is not what an encoder
//! makes, or not for this base, or too large for this device: the caller takes the full image.

use core::convert::Infallible;
use thiserror::Error;

/// Why a header or a frame is refused. `E` is the error of the base's reader; what parses only a
/// header has none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DeltaError<E = Infallible>
where
    E: core::error::Error + 'static,
{
    /// The first bytes are not those of this format and version.
    #[error("expected a delta of format lazaret-delta-1")]
    WrongMagic,
    /// Fewer bytes than the header has.
    #[error("expected {needed} bytes of header, got {available}")]
    HeaderIncomplete {
        /// What [`crate::Header::length_needed`] says.
        needed: usize,
        /// How many bytes came.
        available: usize,
    },
    /// The header's length is out of bounds, or does not fit its number of frames.
    #[error("header of {length} bytes does not fit {frames} frames")]
    HeaderLength {
        /// The declared length.
        length: u32,
        /// The declared number of frames.
        frames: u32,
    },
    /// The header's checksum is not that of its bytes.
    #[error("header does not match its checksum")]
    HeaderChecksum,
    /// The decoder would need more memory than the caller allows.
    #[error("delta needs {needed} bytes of memory, at most {allowed} are allowed")]
    Memory {
        /// What the header declares.
        needed: u64,
        /// [`crate::DecodeLimits::ram_bytes_max`].
        allowed: u64,
    },
    /// The header declares less memory than its own index requires.
    #[error("header declares {declared} bytes of memory, its frames need {needed}")]
    MemoryUnderstated {
        /// What the header declares.
        declared: u64,
        /// What its frames need.
        needed: u64,
    },
    /// The result is longer than the caller allows.
    #[error("result has {length} bytes, at most {allowed} are allowed")]
    ResultTooLong {
        /// What the header declares.
        length: u64,
        /// [`crate::DecodeLimits::result_bytes_max`].
        allowed: u64,
    },
    /// An entry of the frame index breaks a rule of the format.
    #[error("entry {frame} of the frame index is malformed: {fault}")]
    Index {
        /// The number of the frame, from zero.
        frame: usize,
        /// The rule.
        fault: IndexFault,
    },
    /// The tables break a rule of the format.
    #[error("tables of the header are malformed: {0}")]
    Tables(TableFault),
    /// The base is not the one that the delta was made from.
    #[error("base is not the one that the delta was made from")]
    WrongBase,
    /// There is no such frame.
    #[error("expected a frame below {frames}, got {frame}")]
    NoSuchFrame {
        /// The number that was asked for.
        frame: usize,
        /// How many frames there are.
        frames: usize,
    },
    /// The payload's length is not the one in the index.
    #[error("expected {expected} bytes of payload for frame {frame}, got {available}")]
    PayloadLength {
        /// The number of the frame.
        frame: usize,
        /// The length in the index.
        expected: u32,
        /// How many bytes came.
        available: usize,
    },
    /// There is no such section.
    #[error("expected a section below {sections}, got {section}")]
    NoSuchSection {
        /// The number that was asked for.
        section: usize,
        /// How many sections there are.
        sections: usize,
    },
    /// The control block of a section breaks a rule, or is not there.
    #[error("control block of section {section} is malformed: {fault}")]
    ControlBlock {
        /// The number of the section, from zero.
        section: usize,
        /// The rule.
        fault: ControlFault,
    },
    /// A compressed stream is not valid zstd within the format's limits, or does not have the
    /// expected length.
    #[error("compressed stream of frame {frame} is malformed")]
    Compression {
        /// The number of the frame.
        frame: usize,
    },
    /// The instructions of a frame break a rule.
    #[error("instructions of frame {frame} are malformed: {fault}")]
    Control {
        /// The number of the frame.
        frame: usize,
        /// The rule.
        fault: ControlFault,
    },
    /// The frame's result is not what the index says: a damaged payload or another base.
    #[error("result of frame {frame} does not match its digest")]
    FrameDigest {
        /// The number of the frame.
        frame: usize,
    },
    /// The base could not be read.
    #[error("failed to read the base")]
    Base(#[source] E),
}

/// The rule of the frame index that an entry breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum IndexFault {
    /// The codec's number is unknown.
    #[error("unknown codec {0}")]
    Codec(u8),
    /// The result is empty, or there are more frames than the result needs.
    #[error("result length out of bounds")]
    ResultLength,
    /// The payload is longer than the result, or does not fit the codec.
    #[error("payload length does not fit the codec")]
    PayloadLength,
}

/// The rule that the tables break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TableFault {
    /// Their stream is malformed, or goes on after them.
    #[error("stream is malformed")]
    Stream,
    /// A layout is malformed, or does not add up to the length of its image.
    #[error("layout does not fit its image")]
    Layout,
    /// A region or a shift is malformed or out of order.
    #[error("addresses are malformed")]
    Addresses,
    /// A section is out of bounds, or the sections' frames do not make the result.
    #[error("sections do not make the result")]
    Sections,
    /// The length of frames is out of bounds.
    #[error("frame length out of bounds")]
    FrameLength,
}

impl<E: core::error::Error + 'static> From<TableFault> for DeltaError<E> {
    fn from(fault: TableFault) -> DeltaError<E> {
        DeltaError::Tables(fault)
    }
}

/// The rule that an instruction breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ControlFault {
    /// The instructions make more or fewer bytes than the frame has.
    #[error("lengths do not add up to the result")]
    Lengths,
    /// There are more instructions than the result has bytes.
    #[error("more instructions than bytes")]
    Count,
    /// An instruction reads outside the base, or outside the frame's window.
    #[error("a read leaves the base")]
    Position,
    /// A stream's head or a number is malformed.
    #[error("a number or a stream's head is malformed")]
    Encoding,
    /// The control block of the frame's section has not been loaded.
    #[error("control block is not loaded")]
    Missing,
    /// A stream is not valid LZMA or has another length.
    #[error("a compressed stream is malformed")]
    Compression,
    /// The payload names a kind of code or of differences that does not exist.
    #[error("unknown kind of payload {0}")]
    Kind(u8),
}
