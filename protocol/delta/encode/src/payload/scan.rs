//! Finding compressed parts in an image by their own marks, wherever they lie: nothing here knows a
//! file system, so that it works alike for squashfs, ext4, a kernel and a tar. A mark that stands
//! there by chance is no part, because what follows it does not unpack.

mod formats;

use super::report::Kind;
use crate::error::{EncodeError, Side};
use crate::options::EncodeOptions;
use crate::source::{ReadAt, read};
use formats::Format;

/// How much is searched at a time.
const WINDOW_BYTES: u64 = 4 << 20;

/// The longest mark, and one less than so many bytes overlap.
const MARK_BYTES: usize = 6;

/// Shorter parts are not worth a segment.
const UNPACKED_BYTES_MIN: u32 = 256;

/// A compressed part: what lies between a format's head and tail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) kind: Kind,
    pub(crate) offset: u64,
    pub(crate) packed: u32,
    pub(crate) unpacked: u32,
    /// Whether a zstd frame says that it has a checksum.
    pub(crate) has_checksum: bool,
}

/// An image that is being searched.
pub(crate) struct Image<'a> {
    image: &'a dyn ReadAt,
    side: Side,
    length: u64,
    /// Parts longer than this, unpacked, are not looked at.
    content_max: usize,
}

/// What a format's head turned out to be.
struct Found {
    parts: Vec<Part>,
    /// Where to go on.
    end: u64,
}

/// All parts of an image, in order, and where none is inside another.
///
/// # Errors
/// When the image cannot be read.
pub(crate) fn parts(
    image: &dyn ReadAt,
    side: Side,
    options: &EncodeOptions,
) -> Result<Vec<Part>, EncodeError> {
    let length = image.length().map_err(|source| EncodeError::Read { side, source })?;
    let content_max = usize::try_from(options.window_bytes.saturating_mul(2)).unwrap_or(usize::MAX);
    let image = Image { image, side, length, content_max };
    let mut parts = Vec::new();
    let (mut at, mut window, mut start) = (0, Vec::new(), 0);
    while at < length {
        let into = usize::try_from(at - start).unwrap_or(usize::MAX);
        let rest = window.get(into..).unwrap_or_default();
        let Some((skip, format)) = next_mark(rest) else {
            let searched = rest.len().saturating_sub(MARK_BYTES - 1);
            at += u64::try_from(searched).unwrap_or(0);
            let is_last = start + u64::try_from(window.len()).unwrap_or(0) >= length;
            if is_last && !window.is_empty() {
                break;
            }
            start = at;
            window = image.bytes(at, WINDOW_BYTES)?;
            continue;
        };
        at += u64::try_from(skip).unwrap_or(0);
        let found = format.parts(&image, at)?;
        at = found.as_ref().map_or(at + 1, |found| found.end);
        let found = found.into_iter().flat_map(|found| found.parts);
        parts.extend(found.filter(|part| part.unpacked >= UNPACKED_BYTES_MIN));
        if at >= start + u64::try_from(window.len()).unwrap_or(0) {
            start = at;
            window = image.bytes(at, WINDOW_BYTES)?;
        }
    }
    Ok(parts)
}

/// The first place in `bytes` at which a format may begin; one that is cut is not found.
fn next_mark(bytes: &[u8]) -> Option<(usize, Format)> {
    let windows = bytes.windows(MARK_BYTES).enumerate();
    windows.filter_map(|(at, mark)| Some((at, Format::of(mark)?))).next()
}

impl Image<'_> {
    /// Up to `length` bytes from `offset` on; fewer at the end.
    fn bytes(&self, offset: u64, length: u64) -> Result<Vec<u8>, EncodeError> {
        let left = self.length.saturating_sub(offset);
        read(self.image, self.side, offset, length.min(left))
    }
}
