//! Reads structures front to back. Nothing is allocated before its length is known to be there.

/// Bytes that are not the structure they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TpmError {
    /// They end too early.
    #[error("{what} ends too early")]
    Short {
        /// Which structure.
        what: &'static str,
    },
    /// Something follows.
    #[error("something follows {what}")]
    Long {
        /// Which structure.
        what: &'static str,
    },
    /// A value that is not taken here.
    #[error("expected {expected}, got {got:#x}")]
    Unexpected {
        /// What would do.
        expected: &'static str,
        /// What came.
        got: u64,
    },
    /// A key that is no key.
    #[error("expected {expected}")]
    BadKey {
        /// What would do.
        expected: &'static str,
    },
    /// A signature that does not hold.
    #[error("the signature over {what} does not hold")]
    Signature {
        /// Over what.
        what: &'static str,
    },
}

/// What is left of a structure.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { rest: bytes, what }
    }

    const fn short(&self) -> TpmError {
        TpmError::Short { what: self.what }
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Result<&'a [u8], TpmError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(self.short())?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], TpmError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(self.short())?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, TpmError> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub(crate) fn u16(&mut self) -> Result<u16, TpmError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, TpmError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, TpmError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// A buffer behind its length of 16 bits (part 2, 10.4: TPM2B).
    pub(crate) fn buffer(&mut self) -> Result<&'a [u8], TpmError> {
        let length = self.u16()?;
        self.bytes(usize::from(length))
    }

    /// The next number must be this one.
    pub(crate) fn expect(&mut self, value: u16, expected: &'static str) -> Result<(), TpmError> {
        let got = self.u16()?;
        if got == value { Ok(()) } else { Err(TpmError::Unexpected { expected, got: got.into() }) }
    }

    /// There must be nothing left.
    pub(crate) const fn end(self) -> Result<(), TpmError> {
        if self.rest.is_empty() { Ok(()) } else { Err(TpmError::Long { what: self.what }) }
    }
}
