//! Why a layout, a part or a read is refused. Whoever meets one takes the full image.

use thiserror::Error;

/// Why a part cannot be unpacked or packed on this device.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Fault {
    /// The codec's number is unknown.
    #[error("unknown codec {0} of a compressed part")]
    Codec(u8),
    /// The codec's parameter means nothing.
    #[error("codec {codec} cannot be told {parameter:#x}")]
    Parameter {
        /// The codec's number.
        codec: u8,
        /// What it was to be told.
        parameter: u32,
    },
    /// The part was packed with another version of the library.
    #[error("expected {expected} of {name} for compressed parts, this program has {actual}")]
    Version {
        /// The library.
        name: &'static str,
        /// The version in the layout.
        expected: u16,
        /// The version that is linked.
        actual: u16,
    },
    /// The part is longer than the codec can hold in bounded memory.
    #[error("a compressed part of {unpacked} bytes is too long for {name}")]
    TooLong {
        /// The codec.
        name: &'static str,
        /// The part's length, unpacked.
        unpacked: u32,
    },
    /// The packed bytes are malformed, or do not have the length that the layout says.
    #[error("a compressed part is malformed")]
    Malformed,
    /// Packing did not give the length that the layout says.
    #[error("packing gave more or fewer than {expected} bytes")]
    Length {
        /// The length on disk.
        expected: u32,
    },
    /// The bytes need a longer look ahead than the packer's buffer.
    #[error("packing needs a longer buffer")]
    Buffer,
    /// The segments do not add up to the image.
    #[error("compressed parts do not add up to the image")]
    Layout,
    /// More bytes came than the result has.
    #[error("more bytes came than the result has")]
    Overrun,
}

/// Why an expanded base could not be read. `E` is the error of the base on disk.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BaseError<E>
where
    E: core::error::Error + 'static,
{
    /// The base on disk could not be read.
    #[error("failed to read the packed base")]
    Packed(#[source] E),
    /// A part could not be unpacked.
    #[error("failed to unpack a part of the base")]
    Part(#[source] Fault),
    /// The read leaves the expanded base.
    #[error("a read leaves the expanded base")]
    Outside,
    /// The delta makes the device unpack the same parts over and over.
    #[error("base was unpacked for {allowed} bytes, and more is asked for")]
    Effort {
        /// How many bytes may be unpacked for one delta.
        allowed: u64,
    },
}
