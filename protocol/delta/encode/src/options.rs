//! What can be chosen about an encoding, and the range of each choice.

use crate::error::EncodeError;
use lazaret_protocol_delta::{FRAME_RESULT_BYTES_MAX, ram};
use std::num::NonZero;
use std::thread::available_parallelism;

/// How to encode. All fields but `threads` and `delta_bytes_max` change the bytes of the delta.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodeOptions {
    /// How many bytes of the result one frame makes at most, 4 KiB to 1 MiB. Longer frames compress
    /// a little better, shorter ones lose less to a cut of the power.
    pub frame_bytes: u32,
    /// How many bytes of the base are searched at a time, 64 KiB to 1 GiB. A sixth of the memory
    /// that the encoder takes; a base that is not longer is searched as a whole.
    pub window_bytes: u64,
    /// The level of zstd, 1 to 22, where zstd is tried: on frames that the base does not help, and
    /// on short streams.
    pub zstd_level: i32,
    /// How many threads work; zero stands for one per core.
    pub threads: usize,
    /// The most memory that applying the delta may take, 4 MiB to [`ram::BYTES_MAX`]. Frames and
    /// control blocks are made as short as it takes.
    pub ram_bytes_max: u64,
    /// Encoding stops when the delta grows past this many bytes, as it is not worth making then.
    pub delta_bytes_max: u64,
}

/// What applying a delta takes by default: a program that does so has some more than that, and
/// stays below [`ram::BYTES_MAX`] with it.
const RAM_BYTES_USUAL: u64 = 6912 << 10;

impl Default for EncodeOptions {
    fn default() -> EncodeOptions {
        EncodeOptions {
            frame_bytes: 1 << 20,
            window_bytes: 64 << 20,
            zstd_level: 19,
            threads: 0,
            ram_bytes_max: RAM_BYTES_USUAL,
            delta_bytes_max: 1 << 30,
        }
    }
}

impl EncodeOptions {
    /// Refuses what is out of range.
    pub(crate) fn check(&self) -> Result<(), EncodeError> {
        let frame_max = u64::from(FRAME_RESULT_BYTES_MAX);
        in_range("frame_bytes", self.frame_bytes.into(), 4 << 10, frame_max)?;
        in_range("window_bytes", self.window_bytes, 64 << 10, 1 << 30)?;
        in_range("ram_bytes_max", self.ram_bytes_max, 4 << 20, ram::BYTES_MAX)?;
        in_range("zstd_level", u64::try_from(self.zstd_level).unwrap_or(0), 1, 22)
    }

    /// How many threads to start.
    pub(crate) fn thread_count(&self) -> usize {
        if self.threads > 0 {
            return self.threads;
        }
        available_parallelism().map_or(1, NonZero::get)
    }
}

fn in_range(option: &'static str, value: u64, min: u64, max: u64) -> Result<(), EncodeError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(EncodeError::Option { option, min, max, value })
}
