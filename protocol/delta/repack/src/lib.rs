//! Compressed parts of images, unpacked and packed again bit for bit: the codecs behind
//! [`Segment::Packed`], a reader that shows a base expanded ([`ExpandedBase`]), and a sink that
//! packs what a delta yields ([`Repacker`]). The encoder and the device run this same code. What is
//! recognised in an image, and what is worth unpacking, is the encoder's; frames and their decoding
//! are `lazaret-protocol-delta`'s.
//!
//! Nothing here is believed. The encoder packs every part once and keeps it only if the bytes are
//! those of the image ([`proves`]); the device checks what it writes against the image's own
//! digest.
//!
//! # Codecs
//!
//! | number | codec | packed form | parameter, from the lowest byte |
//! |---|---|---|---|
//! | 1 | zstd | a frame (RFC 8878) | level; 1 if it has a checksum; version of libzstd, 16 bits |
//! | 2 | deflate | one raw stream (RFC 1951) | level; memory level; zlib's version as 16 bits |
//! | 3 | lz4 | one block | level; binary logarithm of the buffer; 16 bits: version of our packer |
//!
//! A packer's output is fixed only for one version of its library, so the version is part of the
//! parameter, and a device with another one refuses the delta ([`Fault::Version`]) and takes the
//! full image. A base is only unpacked, which no version changes, but follows the same rule.
//!
//! # Memory
//!
//! [`memory_bytes`] says what base and result together take, from their layouts alone and before
//! anything is allocated. The encoder adds it to what the header declares.

mod apply;
mod base;
mod codec;
mod error;
mod memory;
mod repack;

pub use apply::{Application, ApplyError, fitting, needed_bytes};
pub use base::ExpandedBase;
pub use codec::{
    Codec, DEFLATE_VERSION, LZ4_VERSION, Streamed, proves, unpack_unmeasured, zstd_version,
};
pub use error::{BaseError, Fault};
pub use memory::{CACHE_BYTES, WHOLE_BYTES_MAX, memory_bytes, pack_bytes};
pub use repack::Repacker;

pub use lazaret_protocol_delta::layout::{Layout, Placed, Segment};
