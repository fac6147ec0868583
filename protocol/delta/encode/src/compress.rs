//! The one place that compresses, with the parameters that keep the decoder inside its memory.

use lazaret_protocol_delta::{StreamMethod, ZSTD_WINDOW_LOG_MAX, push_stream};
use lzma_rust2::{LzmaOptions, LzmaWriter};
use std::io::{self, Write};
use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

/// Literal context, literal position and match position.
type LzmaBits = (u32, u32, u32);

/// Bits of LZMA to try. The first suit text and mixed bytes, the second instructions of four bytes,
/// the third bytes without alignment.
const LZMA_BITS: [LzmaBits; 3] = [(3, 0, 2), (0, 2, 2), (0, 0, 0)];

/// LZMA's presets for finding out which bits suit, and for the stream that is kept. The first is
/// five times as fast, and ranks the bits alike.
const PRESET_TRIAL: u32 = 1;
const PRESET_KEPT: u32 = 9;

/// One zstd frame of all of `bytes`.
pub(crate) fn zstd(bytes: &[u8], level: i32) -> io::Result<Vec<u8>> {
    let mut compressor = Compressor::new(level)?;
    compressor.set_parameter(CParameter::WindowLog(ZSTD_WINDOW_LOG_MAX))?;
    compressor.compress(bytes)
}

/// Appends a stream in its shortest form.
pub(crate) fn push_shortest(payload: &mut Vec<u8>, bytes: &[u8]) -> io::Result<()> {
    let (method, stored) = shortest(bytes)?;
    push_stream(payload, method, bytes.len(), &stored);
    Ok(())
}

/// The shortest form of a stream, and how it is made.
fn shortest(bytes: &[u8]) -> io::Result<(StreamMethod, Vec<u8>)> {
    let stored = (StreamMethod::Stored, bytes.to_vec());
    if bytes.len() < 8 {
        return Ok(stored);
    }
    let mut suitable: Option<(usize, LzmaBits)> = None;
    for bits in LZMA_BITS {
        let length = lzma(bytes, bits, PRESET_TRIAL)?.len();
        if suitable.is_none_or(|(shortest, _)| length < shortest) {
            suitable = Some((length, bits));
        }
    }
    let bits = suitable.map_or(LZMA_BITS[0], |(_, bits)| bits);
    let packed = lzma(bytes, bits, PRESET_KEPT)?;
    Ok(if packed.len() < bytes.len() { (StreamMethod::Lzma, packed) } else { stored })
}

/// One LZMA stream with the bits that suit tables of numbers.
pub(crate) fn lzma_numbers(bytes: &[u8]) -> io::Result<Vec<u8>> {
    lzma(bytes, (0, 0, 0), PRESET_KEPT)
}

/// The byte of properties, then raw LZMA without an end marker.
fn lzma(bytes: &[u8], (lc, lp, pb): LzmaBits, preset: u32) -> io::Result<Vec<u8>> {
    let length = u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let dict_size = length.max(lzma_rust2::DICT_SIZE_MIN);
    // Differences are mostly runs of zeros: matches as long as LZMA allows shorten them by a tenth.
    let nice_len = LzmaOptions::NICE_LEN_MAX;
    let options =
        LzmaOptions { lc, lp, pb, dict_size, nice_len, ..LzmaOptions::with_preset(preset) };
    let mut writer = LzmaWriter::new_no_header(vec![options.get_props()], &options, false)?;
    writer.write_all(bytes)?;
    writer.finish()
}
