//! The codecs of a frame and their numbers. What each does is in `decode`.

/// How a frame's payload becomes its result. The numbers are in the crate's documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Codec {
    /// The payload is the result.
    Stored,
    /// The payload is the result, compressed by itself.
    Zstd,
    /// The result is what the instructions read.
    Copy,
    /// The stream of the crate `bsdiff`, compressed.
    Bsdiff,
    /// Differences and literals in separately compressed streams.
    Split,
}

impl Codec {
    /// Every codec, in the order of their numbers.
    pub const ALL: [Codec; 5] =
        [Codec::Stored, Codec::Zstd, Codec::Copy, Codec::Bsdiff, Codec::Split];

    /// The number that stands for the codec in the frame index.
    pub fn number(self) -> u8 {
        match self {
            Codec::Stored => 0,
            Codec::Zstd => 1,
            Codec::Copy => 2,
            Codec::Bsdiff => 3,
            Codec::Split => 4,
        }
    }

    /// The codec that a number stands for, if any.
    pub fn from_number(number: u8) -> Option<Codec> {
        Codec::ALL.into_iter().find(|codec| codec.number() == number)
    }
}
