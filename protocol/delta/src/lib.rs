//! The delta format `lazaret-delta-1` and its decoder: how a new image is said in terms of one that
//! the device already has. Nothing here reads a file or a network: the caller brings the bytes of
//! the delta, a [`BaseReader`] for the old image, and a place for the result. The encoder is the
//! crate `lazaret-protocol-delta-encode`.
//!
//! A delta is an encoding, never an authority. What it yields is checked against the signed target
//! of the image itself, and every byte of it is treated as hostile until then.
//!
//! # Format
//!
//! All integers are little endian and unsigned; *numbers* are LEB128, signed ones in zigzag form. A
//! delta is one header, then for every section its control block and the payloads of its frames,
//! in order and without gaps.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 16 | magic: `lazaret-delta-1` and a line feed. The digit is the format's version |
//! | 16 | 4 | H, the length of the header with its checksum |
//! | 20 | 4 | N, the number of frames |
//! | 24 | 8 | M, the memory that the decoder needs, in bytes |
//! | 32 | 8 | length of the base on disk |
//! | 40 | 32 | SHA-256 of the base on disk |
//! | 72 | 8 | length of the result on disk |
//! | 80 | 32 | SHA-256 of the result on disk |
//! | 112 | 4 | length of every frame's result but the last one's |
//! | 116 | 20 N | the frame index |
//! | 116 + 20 N | | the tables, as one stream |
//! | H - 32 | 32 | SHA-256 of all bytes of the header before this field |
//!
//! A *stream* is a head and bytes: one byte of method (0 stored, 1 LZMA), the number of bytes of
//! the stream, for LZMA the number of bytes stored, then these. LZMA is one byte of properties
//! (context and position bits of literals add up to at most four), then raw LZMA1 without an end
//! marker.
//!
//! The tables are: the [`layout`]s of base and result; the [`Addresses`]; the number of sections;
//! and for each section its number of frames, its number of instructions, the sum of its columns'
//! lengths, and the length of its control block; and what was left alone ([`LeftAlone`]), which is
//! for people.
//!
//! A frame makes the next piece of the (expanded) result. An entry of the index:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | codec |
//! | 1 | 3 | length of the frame's payload |
//! | 4 | 16 | the first half of the SHA-256 of the frame's result |
//!
//! # Control
//!
//! A section is made by instructions: add to so many bytes of the base, then insert so many literal
//! bytes. The control block has them in four streams, the columns: all lengths added; all lengths
//! inserted; for every instruction that adds, a byte with the age of its displacement (offset in
//! the base less offset in the result) among the last 15 different ones, or 15 for one that is not
//! among them; and those as signed numbers, less the last displacement. All of the last are zero at
//! first.
//!
//! # Codecs
//!
//! | number | codec | payload |
//! |---|---|---|
//! | 0 | stored | the result itself |
//! | 1 | zstd | the result as one zstd frame |
//! | 2 | copy | empty: what the instructions add to is the result, and they insert nothing |
//! | 3 | bsdiff | a window of the base (begin, length: 64 bits each), `bsdiff`'s patch in zstd |
//! | 4 | split | differences and literals as separate streams, see below |
//!
//! A zstd frame here (RFC 8878) has no dictionary, a window of at most [`ZSTD_WINDOW_BYTES_MAX`],
//! and is the only one in its stream; no block regenerates more than 128 KiB of literals. The
//! stream of `bsdiff` is a sequence of instructions until the result is complete. Each is three
//! 8-byte numbers (add, insert, seek; the top bit of the last is its sign), then `add` bytes that
//! are added (modulo 256) to the window's bytes from the current position, then `insert` literal
//! bytes. After that the position moves on by `add + seek`.
//!
//! The payload of `split` begins with one byte: the kind of [`Code`] in the low four bits, by which
//! bytes of the base are rewritten before anything is added to them ([`Predictor`]), and 16 if the
//! differences are sparse. Then come streams. Dense: all differences; sparse: for every difference
//! that is not zero the number of zeros before it, and these differences. Or, with 32 instead of
//! 16, the differences as [`model`] codes them. Last, all literals. Neither the differences, nor
//! both of the sparse streams together, nor the literals are longer than the result.
//!
//! # Resuming
//!
//! Frames do not depend on each other, only on the control block of their section. A device that
//! has made the first `k` frames durable fetches the header, that control block, and then the delta
//! from frame `k` on.
//!
//! # Memory
//!
//! The header says what the decoder needs, [`Header::parse`] refuses a header that says less than
//! its own tables require ([`ram`]), and refuses one that says more than the caller allows, before
//! anything is allocated. The base is read where it is needed, so its length does not count.

#![no_std]
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod address;
mod base;
mod code;
mod codec;
mod control;
mod decode;
mod error;
mod header;
pub mod layout;
mod left;
pub mod model;
mod number;
mod predict;
pub mod ram;
mod stream;
mod unlzma;
mod unzstd;

pub use address::{Addresses, REGIONS_MAX, Region, Shift};
pub use base::{BaseReader, OutsideBase};
pub use code::Code;
pub use codec::Codec;
pub use control::{COLUMNS, CONTROL_BYTES_MAX, Control, Made, OPS_MAX, Op, control_columns};
pub use decode::Decoder;
pub use error::{ControlFault, DeltaError, IndexFault, TableFault};
pub use header::{DecodeLimits, Frame, Header, ImageId, Images, Section, Tables};
pub use left::{LEFT_MAX, LeftAlone};
pub use predict::{Named, Predictor};
pub use stream::{StreamMethod, push_stream};

/// The first bytes of every delta of this version.
pub const MAGIC: [u8; 16] = *b"lazaret-delta-1\n";

/// The length of a header without any frame: the fixed part and the checksum.
pub const HEADER_BYTES_MIN: usize = 148;

/// The length of one entry of the frame index.
pub const FRAME_ENTRY_BYTES: usize = 20;

/// No header is longer. It is enough for 50,000 frames: 48 GiB in frames of 1 MiB.
pub const HEADER_BYTES_MAX: usize = 1 << 20;

/// No frame's result is longer.
pub const FRAME_RESULT_BYTES_MAX: u32 = 1 << 20;

/// No zstd frame asks for a larger window; the encoder sets its window log accordingly.
pub const ZSTD_WINDOW_BYTES_MAX: u64 = 1 << 19;

/// The window log that corresponds to [`ZSTD_WINDOW_BYTES_MAX`].
pub const ZSTD_WINDOW_LOG_MAX: u32 = 19;
