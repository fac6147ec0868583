//! The control stream of the codec `split`: instructions as columns of numbers, and their bytes.
//! The streams that they govern are in `decode`.

#[cfg(test)]
mod tests;

use crate::error::ControlFault;
use crate::number::{Numbers, push_number, push_signed};
use alloc::vec::Vec;

/// One step of making a frame: move the position in the window by `shift`, make `add` bytes from
/// the window and the difference stream, then `insert` bytes from the literals. The position moves
/// on by both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// Bytes made from the window.
    pub add: u32,
    /// Bytes made from literals.
    pub insert: u32,
    /// By how much the position moves beforehand.
    pub shift: i64,
}

/// How a stream of the codec `split` is stored in the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamMethod {
    /// As it is.
    Stored,
    /// As one zstd frame.
    Zstd,
    /// As LZMA: a byte of properties and a raw stream.
    Lzma,
}

impl StreamMethod {
    /// The number that stands for the method in a stream's head.
    pub fn number(self) -> u8 {
        match self {
            StreamMethod::Stored => 0,
            StreamMethod::Zstd => 1,
            StreamMethod::Lzma => 2,
        }
    }

    /// The method that a number stands for, if any.
    pub fn from_number(number: u8) -> Option<StreamMethod> {
        [StreamMethod::Stored, StreamMethod::Zstd, StreamMethod::Lzma]
            .into_iter()
            .find(|method| method.number() == number)
    }
}

/// The control stream of these instructions.
pub fn control_bytes(instructions: &[Instruction]) -> Vec<u8> {
    let mut bytes = Vec::new();
    push_number(&mut bytes, u64::try_from(instructions.len()).unwrap_or(u64::MAX));
    for instruction in instructions {
        push_number(&mut bytes, u64::from(instruction.add));
    }
    for instruction in instructions {
        push_number(&mut bytes, u64::from(instruction.insert));
    }
    for instruction in instructions {
        push_signed(&mut bytes, instruction.shift);
    }
    bytes
}

/// Reads instructions back, without memory of its own: it keeps a place in each column.
#[derive(Debug, Clone)]
pub(crate) struct Columns<'a> {
    left: u64,
    add: &'a [u8],
    insert: &'a [u8],
    shift: &'a [u8],
}

impl<'a> Columns<'a> {
    /// Finds the columns. Their numbers are checked while they are read.
    pub(crate) fn new(mut control: &'a [u8]) -> Result<Columns<'a>, ControlFault> {
        let left = number(&mut control)?;
        let add = control;
        skip(&mut control, left)?;
        let insert = control;
        skip(&mut control, left)?;
        let shift = control;
        skip(&mut control, left)?;
        if !control.is_empty() {
            return Err(ControlFault::Encoding);
        }
        Ok(Columns { left, add, insert, shift })
    }

    fn read(&mut self) -> Result<Instruction, ControlFault> {
        let length =
            |column: &mut &[u8]| u32::try_from(number(column)?).map_err(|_| ControlFault::Lengths);
        let add = length(&mut self.add)?;
        let insert = length(&mut self.insert)?;
        let mut shifts = Numbers(self.shift);
        let shift = shifts.next_signed().ok_or(ControlFault::Encoding)?;
        self.shift = shifts.0;
        Ok(Instruction { add, insert, shift })
    }
}

impl Iterator for Columns<'_> {
    type Item = Result<Instruction, ControlFault>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        Some(self.read())
    }
}

/// Passes over `count` numbers; every number takes at least a byte, so it ends with the stream.
fn skip(column: &mut &[u8], count: u64) -> Result<(), ControlFault> {
    for _ in 0..count {
        number(column)?;
    }
    Ok(())
}

/// Reads one number off the front.
fn number(column: &mut &[u8]) -> Result<u64, ControlFault> {
    let mut numbers = Numbers(column);
    let value = numbers.next().ok_or(ControlFault::Encoding)?;
    *column = numbers.0;
    Ok(value)
}
