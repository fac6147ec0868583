//! The port to the old image: reads at an offset. Implementations for real devices live in the
//! agent; only the one for a slice, which tests and small devices use, lives here.

use thiserror::Error;

/// The old image, readable at any offset.
pub trait BaseReader {
    /// Why a read failed.
    type Error: core::error::Error + 'static;

    /// Fills `buf` with the bytes of the base from `offset` on.
    ///
    /// # Errors
    /// When fewer bytes than `buf` holds can be read there.
    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), Self::Error>;
}

/// A read past the end of a base that is a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected {length} bytes of the base at {offset}, but it ends at {end}")]
pub struct OutsideBase {
    /// Where the read began.
    pub offset: u64,
    /// How many bytes were asked for.
    pub length: usize,
    /// The length of the base.
    pub end: usize,
}

impl BaseReader for &[u8] {
    type Error = OutsideBase;

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), OutsideBase> {
        let outside = OutsideBase { offset, length: buf.len(), end: self.len() };
        let start = usize::try_from(offset).map_err(|_| outside)?;
        let end = start.checked_add(buf.len()).ok_or(outside)?;
        buf.copy_from_slice(self.get(start..end).ok_or(outside)?);
        Ok(())
    }
}
