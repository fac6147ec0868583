//! What a TPM states and signs (part 2, 10.12.12: TPMS_ATTEST): that it holds a key, or what it has
//! measured since it was switched on.

use alloc::vec::Vec;

use crate::public::{Public, signature};
use crate::reader::{Reader, TpmError};

/// TPM_GENERATED: no restricted key signs anything else that begins so.
const MAGIC: u32 = 0xff54_4347;
const ST_CERTIFY: u16 = 0x8017;
const ST_QUOTE: u16 = 0x8018;

/// Banks of registers in one quote.
const SELECTIONS_MAX: u32 = 8;

/// How often a TPM was reset, and for how long it has run. A copy of a TPM shows here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockInfo {
    /// Milliseconds that it has run in all.
    pub clock_ms: u64,
    /// Resets since it was last cleared.
    pub resets: u32,
    /// Suspends and resumes since the last reset.
    pub restarts: u32,
}

/// What was stated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// A key of that name is loaded in this TPM.
    Certified {
        /// The key's name.
        name: Vec<u8>,
    },
    /// The registers chosen have, together, that digest.
    Quoted {
        /// Which registers of the SHA-256 bank, from 0 on.
        registers: Vec<u8>,
        /// The digest over their values (part 3, 18.4).
        digest: Vec<u8>,
    },
}

/// A statement whose signature holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attested {
    /// What the asker wanted in it: the nonce.
    pub nonce: Vec<u8>,
    /// The TPM's clock at that moment.
    pub clock: ClockInfo,
    /// The statement.
    pub statement: Statement,
}

/// Checks a statement with the attestation key's public area, and reads it.
///
/// # Errors
/// The key is not one that signs only a TPM's own statements, the signature does not hold, or the
/// statement has another form.
pub fn verify(statement: &[u8], signed: &[u8], by: &Public) -> Result<Attested, TpmError> {
    let bad = TpmError::BadKey { expected: "a restricted signing key that never leaves its TPM" };
    if !by.attributes.attests() || !by.attributes.never_leaves() {
        return Err(bad);
    }
    let key = by.verifier().ok_or(bad)?;
    let signature = signature(signed)?;
    key.verify(statement, &signature)
        .map_err(|_| TpmError::Signature { what: "the TPM's statement" })?;
    read(statement)
}

fn read(bytes: &[u8]) -> Result<Attested, TpmError> {
    let mut reader = Reader::new(bytes, "the TPM's statement");
    let magic = reader.u32()?;
    if magic != MAGIC {
        let expected = "a statement that a TPM has made itself";
        return Err(TpmError::Unexpected { expected, got: magic.into() });
    }
    let kind = reader.u16()?;
    let _signer = reader.buffer()?;
    let nonce = reader.buffer()?.to_vec();
    let clock =
        ClockInfo { clock_ms: reader.u64()?, resets: reader.u32()?, restarts: reader.u32()? };
    let _safe = reader.u8()?;
    let _firmware = reader.u64()?;
    let statement = match kind {
        ST_CERTIFY => certified(&mut reader)?,
        ST_QUOTE => quoted(&mut reader)?,
        got => {
            let expected = "a certified key or a quote";
            return Err(TpmError::Unexpected { expected, got: got.into() });
        }
    };
    reader.end()?;
    Ok(Attested { nonce, clock, statement })
}

fn certified(reader: &mut Reader<'_>) -> Result<Statement, TpmError> {
    let name = reader.buffer()?.to_vec();
    let _qualified = reader.buffer()?;
    Ok(Statement::Certified { name })
}

fn quoted(reader: &mut Reader<'_>) -> Result<Statement, TpmError> {
    const SHA256_BANK: u16 = 0x000b;
    let banks = reader.u32()?;
    if banks > SELECTIONS_MAX {
        let expected = "at most eight banks of registers";
        return Err(TpmError::Unexpected { expected, got: banks.into() });
    }
    let mut registers = Vec::new();
    for _ in 0..banks {
        let bank = reader.u16()?;
        let length = usize::from(reader.u8()?);
        let chosen = bits(reader.bytes(length)?);
        if bank != SHA256_BANK && !chosen.is_empty() {
            let expected = "registers of the SHA-256 bank";
            return Err(TpmError::Unexpected { expected, got: bank.into() });
        }
        registers.extend(chosen);
    }
    let digest = reader.buffer()?.to_vec();
    Ok(Statement::Quoted { registers, digest })
}

/// The numbers of the bits that are set, the lowest of the first byte being 0.
fn bits(bytes: &[u8]) -> Vec<u8> {
    let numbers = (0..=u8::MAX).zip(bytes.iter().flat_map(|byte| {
        (0..8_u32).map(move |bit| byte.checked_shr(bit).is_some_and(|it| it & 1 == 1))
    }));
    numbers.filter(|(_, set)| *set).map(|(number, _)| number).collect()
}

#[cfg(test)]
mod tests;
