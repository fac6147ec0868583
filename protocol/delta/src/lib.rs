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
//! All integers are little endian and unsigned. A delta is one header followed by the payloads of
//! the frames, in the order of the index, without gaps.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 16 | magic: `lazaret-delta-1` and a line feed. The digit is the format's version |
//! | 16 | 4 | H, the length of the header with its checksum: 152 + 44 per frame |
//! | 20 | 4 | number of frames |
//! | 24 | 8 | M, the memory that the decoder needs, in bytes |
//! | 32 | 8 | length of the base |
//! | 40 | 32 | SHA-256 of the base |
//! | 72 | 8 | length of the result |
//! | 80 | 32 | SHA-256 of the result |
//! | 112 | 8 | reserved, zero |
//! | 120 | 44 each | the frame index |
//! | H - 32 | 32 | SHA-256 of all bytes of the header before this field |
//!
//! M counts the index, and the payload, result and work space of the most demanding frame.
//!
//! A frame makes the next piece of the result, so the results' offsets are running sums, and so are
//! the payloads' offsets, which begin at H. An entry of the index:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | where the frame's window of the base begins |
//! | 8 | 8 | length of the window; it lies inside the base |
//! | 16 | 4 | length of the frame's result, 1 to [`FRAME_RESULT_BYTES_MAX`] |
//! | 20 | 4 | length of the frame's payload, at most the length of its result |
//! | 24 | 1 | codec |
//! | 25 | 3 | reserved, zero |
//! | 28 | 16 | the first half of the SHA-256 of the frame's result |
//!
//! # Codecs
//!
//! | number | codec | payload |
//! |---|---|---|
//! | 0 | stored | the result itself |
//! | 1 | zstd | the result as one zstd frame |
//! | 2 | copy | empty: the result is the window, which has the same length |
//! | 3 | bsdiff | one zstd frame of what the crate `bsdiff` 0.2 writes for (window, result) |
//! | 4 | split | the same instructions in separate streams, see below |
//!
//! A zstd frame here (RFC 8878) has no dictionary, a window of at most [`ZSTD_WINDOW_BYTES_MAX`],
//! and is the only one in its stream; no block regenerates more than 128 KiB of literals.
//!
//! The stream of `bsdiff` is a sequence of instructions until the result is complete. Each is three
//! 8-byte numbers (add, insert, seek; the top bit of the last is its sign), then `add` bytes that
//! are added (modulo 256) to the window's bytes from the current position, then `insert` literal
//! bytes. After that the position moves on by `add + seek`.
//!
//! `split` says the same with less. Its payload is a list of three streams (control, difference,
//! literals), each preceded by a head: one byte of method (0 stored, 1 zstd, 2 LZMA), the length of
//! the stream and the length of its stored form, both as 32-bit numbers. Difference bytes and
//! literals are concatenated over all instructions. The control stream is no longer than the
//! result. It holds LEB128 numbers: the number of instructions, then all `add` lengths, then all
//! `insert` lengths, then all shifts in zigzag form. An instruction first moves the position by its
//! shift, then adds, then inserts; the position moves on by `add + insert`, so that a shift is zero
//! as long as bytes are replaced and neither inserted nor removed.
//!
//! A stream stored as LZMA is one byte of properties (its context and position bits of literals add
//! up to at most four), then raw LZMA1 without an end marker. The dictionary is as long as the
//! stream.
//!
//! # Resuming
//!
//! Frames do not depend on each other. A device that has made the first `k` frames durable asks for
//! the delta from `frames()[k].payload_offset` on (an HTTP range request) and goes on from there.
//!
//! # Memory
//!
//! The header says what the decoder needs, [`Header::parse`] refuses a header that says less than
//! its own index requires ([`ram`]), and refuses one that says more than the caller allows, before
//! anything is allocated. The base's windows are read through a buffer of 16 KiB, so neither the
//! length of the base nor that of a window counts.

#![no_std]
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod base;
mod codec;
mod control;
mod decode;
mod error;
mod header;
pub mod layout;
mod number;
pub mod ram;
mod unlzma;
mod unzstd;

pub use base::{BaseReader, OutsideBase};
pub use codec::Codec;
pub use control::{Instruction, StreamMethod, control_bytes};
pub use decode::decode_frame;
pub use error::{ControlFault, DeltaError, IndexFault};
pub use header::{DecodeLimits, Frame, Header, ImageId};

/// The first bytes of every delta of this version.
pub const MAGIC: [u8; 16] = *b"lazaret-delta-1\n";

/// The length of a header without any frame: the fixed part and the checksum.
pub const HEADER_BYTES_MIN: usize = 152;

/// The length of one entry of the frame index.
pub const FRAME_ENTRY_BYTES: usize = 44;

/// No header is longer. It is enough for 23,800 frames: 11 GiB in frames of 512 KiB.
pub const HEADER_BYTES_MAX: usize = 1 << 20;

/// No frame's result is longer.
pub const FRAME_RESULT_BYTES_MAX: u32 = 1 << 20;

/// No zstd frame asks for a larger window; the encoder sets its window log accordingly.
pub const ZSTD_WINDOW_BYTES_MAX: u64 = 1 << 19;

/// The window log that corresponds to [`ZSTD_WINDOW_BYTES_MAX`].
pub const ZSTD_WINDOW_LOG_MAX: u32 = 19;
