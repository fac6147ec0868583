//! Streams inside control blocks and payloads: a head that says how a stream is stored and how long
//! it is, then its bytes.

use crate::error::ControlFault;
use crate::number::{Numbers, push_number};
use crate::unlzma;
use crate::unzstd::Malformed;
use alloc::vec::Vec;

/// How a stream is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamMethod {
    /// As it is.
    Stored,
    /// As LZMA: a byte of properties and a raw stream.
    Lzma,
}

impl StreamMethod {
    /// The number that stands for the method in a stream's head.
    pub fn number(self) -> u8 {
        match self {
            StreamMethod::Stored => 0,
            StreamMethod::Lzma => 1,
        }
    }

    /// The method that a number stands for, if any.
    pub fn from_number(number: u8) -> Option<StreamMethod> {
        [StreamMethod::Stored, StreamMethod::Lzma].into_iter().find(|it| it.number() == number)
    }
}

/// Appends a stream of `length` bytes with its head.
pub fn push_stream(bytes: &mut Vec<u8>, method: StreamMethod, length: usize, stored: &[u8]) {
    bytes.push(method.number());
    push_number(bytes, u64::try_from(length).unwrap_or(u64::MAX));
    if method != StreamMethod::Stored {
        push_number(bytes, u64::try_from(stored.len()).unwrap_or(u64::MAX));
    }
    bytes.extend_from_slice(stored);
}

/// A stream as it lies among others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stream<'a> {
    method: StreamMethod,
    length: usize,
    stored: &'a [u8],
}

impl<'a> Stream<'a> {
    /// Cuts a head and its stream off the front.
    pub(crate) fn cut(rest: &mut &'a [u8]) -> Result<Stream<'a>, ControlFault> {
        let (method, after) = rest.split_first().ok_or(ControlFault::Encoding)?;
        let method = StreamMethod::from_number(*method).ok_or(ControlFault::Encoding)?;
        let mut numbers = Numbers(after);
        let mut next = || numbers.next().and_then(|number| usize::try_from(number).ok());
        let length = next().ok_or(ControlFault::Encoding)?;
        let stored = match method {
            StreamMethod::Stored => length,
            StreamMethod::Lzma => next().ok_or(ControlFault::Encoding)?,
        };
        let (stored, after) = numbers.0.split_at_checked(stored).ok_or(ControlFault::Encoding)?;
        *rest = after;
        Ok(Stream { method, length, stored })
    }

    /// Its length.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// Appends the whole stream to `out`. The caller has checked the length.
    pub(crate) fn read_to(&self, out: &mut Vec<u8>) -> Result<(), Malformed> {
        let start = out.len();
        if self.method == StreamMethod::Stored {
            out.extend_from_slice(self.stored);
            return Ok(());
        }
        out.reserve_exact(self.length);
        out.resize(start.saturating_add(self.length), 0);
        let made = out.get_mut(start..).unwrap_or_default();
        unlzma::decode(self.stored, made)
    }
}
