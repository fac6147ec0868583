//! The codecs by number: what a segment's parameter means, and the one way to pack and to unpack a
//! part. Where parts lie in an image is in `base` and `repack`.

pub(crate) mod deflate;
pub(crate) mod lz4;
pub(crate) mod zstd;

#[cfg(test)]
mod tests;

use crate::error::Fault;

pub use self::deflate::DEFLATE_VERSION;
pub use self::lz4::LZ4_VERSION;
pub use self::zstd::version as zstd_version;

/// Takes packed bytes as they come.
pub(crate) type Out<'a> = &'a mut dyn FnMut(&[u8]);

/// How a part is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// One zstd frame, made in one call.
    Zstd {
        /// 1 to 22.
        level: u8,
        /// Whether the frame ends with a checksum of its content.
        has_checksum: bool,
    },
    /// One raw deflate stream of zlib.
    Deflate {
        /// 1 to 9.
        level: u8,
        /// zlib's memory level, 1 to 9.
        memory_level: u8,
    },
    /// One LZ4 block of the high-compression packer.
    Lz4 {
        /// 3 to 9.
        level: u8,
        /// The binary logarithm of the packer's buffer, 17 to 22.
        buffer_log: u8,
    },
}

impl Codec {
    /// What a segment's numbers stand for.
    ///
    /// # Errors
    /// When they stand for nothing, or for another version of a library than is linked.
    pub fn from_numbers(codec: u8, parameter: u32) -> Result<Codec, Fault> {
        let [level, detail, low, high] = parameter.to_le_bytes();
        let version = u16::from_le_bytes([low, high]);
        let known = match codec {
            1 => Codec::Zstd { level, has_checksum: detail == 1 },
            2 => Codec::Deflate { level, memory_level: detail },
            3 => Codec::Lz4 { level, buffer_log: detail },
            _ => return Err(Fault::Codec(codec)),
        };
        let is_known = match known {
            Codec::Zstd { .. } => (1..=22).contains(&level) && detail <= 1,
            Codec::Deflate { .. } => (1..=9).contains(&level) && (1..=9).contains(&detail),
            Codec::Lz4 { .. } => (3..=9).contains(&level) && lz4::BUFFER_LOGS.contains(&detail),
        };
        if !is_known {
            return Err(Fault::Parameter { codec, parameter });
        }
        if version != known.version() {
            let (name, actual) = (known.name(), known.version());
            return Err(Fault::Version { name, expected: version, actual });
        }
        Ok(known)
    }

    /// The numbers of a segment: codec and parameter.
    pub fn numbers(self) -> (u8, u32) {
        let (number, level, detail) = match self {
            Codec::Zstd { level, has_checksum } => (1, level, u8::from(has_checksum)),
            Codec::Deflate { level, memory_level } => (2, level, memory_level),
            Codec::Lz4 { level, buffer_log } => (3, level, buffer_log),
        };
        let [low, high] = self.version().to_le_bytes();
        (number, u32::from_le_bytes([level, detail, low, high]))
    }

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Codec::Zstd { .. } => "zstd",
            Codec::Deflate { .. } => "deflate",
            Codec::Lz4 { .. } => "lz4",
        }
    }

    /// The version on which the packed bytes depend.
    pub fn version(self) -> u16 {
        match self {
            Codec::Zstd { .. } => zstd::version(),
            Codec::Deflate { .. } => DEFLATE_VERSION,
            Codec::Lz4 { .. } => LZ4_VERSION,
        }
    }

    /// Whether parts that are too long to be held whole can be unpacked piece by piece.
    pub(crate) fn is_streamed(self) -> bool {
        match self {
            Codec::Zstd { .. } => false,
            Codec::Deflate { .. } | Codec::Lz4 { .. } => true,
        }
    }

    /// Unpacks a part that is held whole.
    ///
    /// # Errors
    /// When the packed bytes are malformed or do not make `unpacked` bytes.
    pub fn unpack(self, packed: &[u8], unpacked: usize) -> Result<Vec<u8>, Fault> {
        match self {
            Codec::Zstd { .. } => zstd::unpack(packed, unpacked),
            Codec::Deflate { .. } => deflate::unpack(packed, unpacked),
            Codec::Lz4 { .. } => lz4::unpack(packed, unpacked),
        }
    }
}

/// Packs one part; created afresh for each, so that no part depends on another.
pub(crate) enum Packer {
    Zstd(zstd::Packer),
    Deflate(deflate::Packer),
    Lz4(lz4::Packer),
}

impl Packer {
    /// A packer for a part of `unpacked` bytes.
    pub(crate) fn new(codec: Codec, unpacked: u32) -> Result<Packer, Fault> {
        Ok(match codec {
            Codec::Zstd { level, has_checksum } => {
                Packer::Zstd(zstd::Packer::new(level, has_checksum, unpacked)?)
            }
            Codec::Deflate { level, memory_level } => {
                Packer::Deflate(deflate::Packer::new(level, memory_level))
            }
            Codec::Lz4 { level, buffer_log } => {
                Packer::Lz4(lz4::Packer::new(level, buffer_log, unpacked))
            }
        })
    }

    /// Takes the next bytes of the part.
    pub(crate) fn push(&mut self, bytes: &[u8], out: Out<'_>) -> Result<(), Fault> {
        match self {
            Packer::Zstd(packer) => packer.push(bytes),
            Packer::Deflate(packer) => packer.push(bytes, out),
            Packer::Lz4(packer) => packer.push(bytes, out),
        }
    }

    /// Ends the part: all its bytes have been pushed.
    pub(crate) fn finish(self, out: Out<'_>) -> Result<(), Fault> {
        match self {
            Packer::Zstd(packer) => packer.finish(out),
            Packer::Deflate(packer) => packer.finish(out),
            Packer::Lz4(packer) => packer.finish(out),
        }
    }
}

/// Whether packing `unpacked` gives exactly `packed`: what the encoder asks before it unpacks a
/// part of a result.
pub fn proves(codec: Codec, packed: &[u8], unpacked: &[u8]) -> bool {
    let Ok(length) = u32::try_from(unpacked.len()) else { return false };
    let Ok(mut packer) = Packer::new(codec, length) else { return false };
    let mut comparison = Comparison { rest: packed, is_equal: true };
    for piece in unpacked.chunks(crate::memory::PIECE_BYTES) {
        if packer.push(piece, &mut |bytes| comparison.take(bytes)).is_err() {
            return false;
        }
        if !comparison.is_equal {
            return false;
        }
    }
    packer.finish(&mut |bytes| comparison.take(bytes)).is_ok()
        && comparison.is_equal
        && comparison.rest.is_empty()
}

/// The codecs whose parts end of themselves, or with their input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Streamed {
    /// A raw deflate stream.
    Deflate,
    /// An LZ4 block.
    Lz4,
}

/// Unpacks a part whose length is not known: how many packed bytes it has, and its content. `read`
/// gives the packed bytes from an offset in the part on, as many as it likes, and none at the end.
/// `None` if the part is malformed or its content is longer than `unpacked_max`.
pub fn unpack_unmeasured(
    codec: Streamed,
    unpacked_max: usize,
    mut read: impl FnMut(u64) -> Vec<u8>,
) -> Option<(u64, Vec<u8>)> {
    let mut unpacker = match codec {
        Streamed::Deflate => Unpacker::Deflate(deflate::Unpacker::new()),
        Streamed::Lz4 => Unpacker::Lz4(lz4::Unpacker::new()),
    };
    let (mut content, mut length, mut taken) = (Vec::new(), 0usize, 0u64);
    let (mut input, mut at) = (read(0), 0usize);
    loop {
        if at >= input.len() && at > 0 {
            (input, at) = (read(taken), 0);
        }
        content.resize(length.checked_add(crate::memory::PIECE_BYTES)?, 0);
        let (used, made) =
            unpacker.next(input.get(at..).unwrap_or_default(), content.get_mut(length..)?).ok()?;
        (at, length) = (at + used, length + made);
        taken += u64::try_from(used).ok()?;
        if length > unpacked_max {
            return None;
        }
        if unpacker.is_done(input.is_empty()) {
            content.truncate(length);
            return Some((taken, content));
        }
        if used == 0 && made == 0 && (input.is_empty() || at < input.len()) {
            return None;
        }
    }
}

/// Unpacks piece by piece; a copy of it goes on from the same place.
#[derive(Clone)]
pub(crate) enum Unpacker {
    Deflate(deflate::Unpacker),
    Lz4(lz4::Unpacker),
}

impl Unpacker {
    /// Hands out the next bytes: how many of `input` were used, and how many of `out` were filled.
    pub(crate) fn next(&mut self, input: &[u8], out: &mut [u8]) -> Result<(usize, usize), Fault> {
        match self {
            Unpacker::Deflate(unpacker) => unpacker.next(input, out),
            Unpacker::Lz4(unpacker) => unpacker.next(input, out),
        }
    }

    /// Whether the part may end here, if its input does.
    fn is_done(&self, is_at_end: bool) -> bool {
        match self {
            Unpacker::Deflate(unpacker) => unpacker.is_done(),
            Unpacker::Lz4(unpacker) => is_at_end && unpacker.is_between(),
        }
    }
}

/// Compares what comes with what is expected, without keeping it.
struct Comparison<'a> {
    rest: &'a [u8],
    is_equal: bool,
}

impl Comparison<'_> {
    fn take(&mut self, bytes: &[u8]) {
        match self.rest.split_at_checked(bytes.len()) {
            Some((same, rest)) if same == bytes => self.rest = rest,
            _ => self.is_equal = false,
        }
    }
}
