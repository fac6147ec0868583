//! Where images come from: anything that can be read at an offset, by several threads at once.

use crate::error::{EncodeError, Side};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// An image that does not change while it is read.
pub trait ReadAt: Sync {
    /// The image's length in bytes.
    ///
    /// # Errors
    /// When the length cannot be found out.
    fn length(&self) -> io::Result<u64>;

    /// Fills `buf` with the bytes from `offset` on.
    ///
    /// # Errors
    /// When fewer bytes than `buf` holds can be read there.
    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;
}

impl ReadAt for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        FileExt::read_exact_at(self, buf, offset)
    }
}

impl ReadAt for [u8] {
    fn length(&self) -> io::Result<u64> {
        u64::try_from(self.len()).map_err(|_| io::ErrorKind::FileTooLarge.into())
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let from = usize::try_from(offset).ok().and_then(|start| self.get(start..));
        let part = from.and_then(|from| from.get(..buf.len()));
        buf.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

impl ReadAt for &[u8] {
    fn length(&self) -> io::Result<u64> {
        (**self).length()
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        (**self).read_exact_at(offset, buf)
    }
}

impl ReadAt for Vec<u8> {
    fn length(&self) -> io::Result<u64> {
        self.as_slice().length()
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.as_slice().read_exact_at(offset, buf)
    }
}

/// Reads `length` bytes of an image into memory.
pub(crate) fn read<S: ReadAt + ?Sized>(
    image: &S,
    side: Side,
    offset: u64,
    length: u64,
) -> Result<Vec<u8>, EncodeError> {
    let failed = |source| EncodeError::Read { side, source };
    let length = usize::try_from(length).map_err(|_| failed(io::ErrorKind::FileTooLarge.into()))?;
    let mut bytes = vec![0; length];
    image.read_exact_at(offset, &mut bytes).map_err(failed)?;
    Ok(bytes)
}
