//! The one place that compresses, with the parameters that keep the decoder inside its memory.

use lazaret_protocol_delta::ZSTD_WINDOW_LOG_MAX;
use std::io;
use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

/// One zstd frame of all of `bytes`.
pub(crate) fn zstd(bytes: &[u8], level: i32) -> io::Result<Vec<u8>> {
    let mut compressor = Compressor::new(level)?;
    compressor.set_parameter(CParameter::WindowLog(ZSTD_WINDOW_LOG_MAX))?;
    compressor.compress(bytes)
}
