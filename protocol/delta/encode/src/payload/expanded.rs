//! An image as the matcher reads it: with the chosen parts unpacked. Their content is in memory.

use super::Chosen;
use crate::error::{EncodeError, Side};
use crate::source::{ReadAt, read};
use lazaret_protocol_delta::layout::{Layout, Placed, Segment};
use std::io;

/// An image with unpacked parts.
pub(crate) struct Expanded<'a> {
    image: &'a dyn ReadAt,
    layout: Layout,
    /// The segments; the packed ones with their content.
    pieces: Vec<(Placed, Vec<u8>)>,
    length: u64,
}

impl<'a> Expanded<'a> {
    pub(crate) fn new(
        image: &'a dyn ReadAt,
        side: Side,
        layout: Layout,
        chosen: &[Chosen],
    ) -> Result<Expanded<'a>, EncodeError> {
        let on_disk = image.length().map_err(|source| EncodeError::Read { side, source })?;
        let length = layout.expanded_length(on_disk).ok_or(EncodeError::Layout { side })?;
        let mut chosen = chosen.iter();
        let mut pieces = Vec::new();
        for placed in layout.placed() {
            let mut content = Vec::new();
            if let (Segment::Packed { .. }, Some(Chosen { part, codec })) =
                (placed.segment, chosen.as_slice().first())
            {
                chosen.next();
                let packed = read(image, side, part.offset, part.packed.into())?;
                let unpacked = usize::try_from(part.unpacked).unwrap_or(usize::MAX);
                content = codec.unpack(&packed, unpacked).map_err(EncodeError::Repack)?;
            }
            pieces.push((placed, content));
        }
        Ok(Expanded { image, layout, pieces, length })
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Fills the start of `buf` from one segment, and says with how many bytes.
    fn read_some(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let end = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let after = self.pieces.partition_point(|(placed, _)| placed.expanded_offset <= offset);
        let number = after.checked_sub(1).ok_or_else(end)?;
        let (placed, content) = self.pieces.get(number).ok_or_else(end)?;
        let into = offset - placed.expanded_offset;
        let left = placed.segment.expanded_length().saturating_sub(into);
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        let buf = buf.get_mut(..count).filter(|buf| !buf.is_empty()).ok_or_else(end)?;
        match placed.segment {
            Segment::Plain { .. } => {
                self.image.read_exact_at(placed.packed_offset + into, buf)?;
            }
            Segment::Packed { .. } => {
                let into = usize::try_from(into).map_err(|_| end())?;
                let content = content.get(into..).and_then(|from| from.get(..count));
                buf.copy_from_slice(content.ok_or_else(end)?);
            }
        }
        Ok(count)
    }
}

impl ReadAt for Expanded<'_> {
    fn length(&self) -> io::Result<u64> {
        Ok(self.length)
    }

    fn read_exact_at(&self, mut offset: u64, mut buf: &mut [u8]) -> io::Result<()> {
        if self.pieces.is_empty() {
            return self.image.read_exact_at(offset, buf);
        }
        while !buf.is_empty() {
            let count = self.read_some(offset, buf)?;
            offset += u64::try_from(count).unwrap_or(u64::MAX);
            buf = buf.get_mut(count..).unwrap_or_default();
        }
        Ok(())
    }
}
