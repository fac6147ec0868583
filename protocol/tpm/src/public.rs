//! Public areas (part 2, 12.2.4: TPMT_PUBLIC): what kind of key a TPM says it holds, and its name.

use alloc::vec::Vec;

use lazaret_protocol::key::PublicKey;
use sha2::{Digest as _, Sha256};

use crate::reader::{Reader, TpmError};

const ALG_RSA: u16 = 0x0001;
const ALG_AES: u16 = 0x0006;
const ALG_SHA256: u16 = 0x000b;
const ALG_NULL: u16 = 0x0010;
const ALG_ECDSA: u16 = 0x0018;
const ALG_ECC: u16 = 0x0023;
const ALG_CFB: u16 = 0x0043;
const CURVE_P256: u16 = 0x0003;

/// The exponent that a zero in the structure stands for (part 2, 12.2.3.5).
const RSA_EXPONENT: u32 = 65_537;

/// What a key may do (part 2, 8.3: TPMA_OBJECT).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes(u32);

impl Attributes {
    const FIXED_TPM: u32 = 1 << 1;
    const FIXED_PARENT: u32 = 1 << 4;
    const SENSITIVE_DATA_ORIGIN: u32 = 1 << 5;
    const RESTRICTED: u32 = 1 << 16;
    const DECRYPT: u32 = 1 << 17;
    const SIGN: u32 = 1 << 18;

    const fn has(self, all: u32) -> bool {
        self.0 & all == all
    }

    /// It was made inside a TPM and can never leave it: neither duplicated nor brought in.
    #[must_use]
    pub const fn never_leaves(self) -> bool {
        self.has(Self::FIXED_TPM | Self::FIXED_PARENT | Self::SENSITIVE_DATA_ORIGIN)
    }

    /// It signs only what the TPM itself states (part 1, 27.2: restricted signing key). Any other
    /// key could sign a statement that its owner made up.
    #[must_use]
    pub const fn attests(self) -> bool {
        self.has(Self::RESTRICTED | Self::SIGN) && self.0 & Self::DECRYPT == 0
    }

    /// It opens only what was made for the TPM (part 1, 9.5.3.2: endorsement key).
    #[must_use]
    pub const fn endorses(self) -> bool {
        self.has(Self::RESTRICTED | Self::DECRYPT) && self.0 & Self::SIGN == 0
    }
}

/// The key itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unique {
    /// A point of P-256, uncompressed (SEC 1, 2.3.3): 65 bytes.
    EccP256(Vec<u8>),
    /// An RSA modulus, big-endian, and its exponent.
    Rsa {
        /// 256 bytes for RSA-2048.
        modulus: Vec<u8>,
        /// 65,537 for all but odd keys.
        exponent: u32,
    },
}

/// A public area. Only those with SHA-256 names are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Public {
    /// What it may do.
    pub attributes: Attributes,
    /// The key.
    pub unique: Unique,
    name: [u8; 34],
}

impl Public {
    /// Reads one, as marshalled.
    ///
    /// # Errors
    /// It is anything but a public area of an RSA or P-256 key with a SHA-256 name.
    pub fn parse(bytes: &[u8]) -> Result<Self, TpmError> {
        let mut reader = Reader::new(bytes, "the public area");
        let kind = reader.u16()?;
        reader.expect(ALG_SHA256, "SHA-256 as the algorithm of names")?;
        let attributes = Attributes(reader.u32()?);
        let _policy = reader.buffer()?;
        symmetric(&mut reader)?;
        let unique = match kind {
            ALG_ECC => ecc(&mut reader)?,
            ALG_RSA => rsa(&mut reader)?,
            got => {
                let expected = "an RSA or an elliptic curve key";
                return Err(TpmError::Unexpected { expected, got: got.into() });
            }
        };
        reader.end()?;
        Ok(Self { attributes, unique, name: name(bytes) })
    }

    /// The key's name (part 1, 16: the algorithm, and the digest of the public area): what the TPM
    /// vouches for when it certifies the key.
    #[must_use]
    pub const fn name(&self) -> &[u8; 34] {
        &self.name
    }

    /// Its SubjectPublicKeyInfo in DER (RFC 5280, 4.1.2.7): what certificates and other tools know
    /// the key by.
    #[must_use]
    pub fn spki(&self) -> Vec<u8> {
        // Both algorithms with their parameters (RFC 3279, 2.3.1; RFC 5480, 2.1.1).
        const RSA: &[u8] = &[0x30, 13, 6, 9, 42, 134, 72, 134, 247, 13, 1, 1, 1, 5, 0];
        const P256: &[u8] =
            &[0x30, 19, 6, 7, 42, 134, 72, 206, 61, 2, 1, 6, 8, 42, 134, 72, 206, 61, 3, 1, 7];
        let (algorithm, key) = match &self.unique {
            Unique::EccP256(point) => (P256, point.clone()),
            Unique::Rsa { modulus, exponent } => {
                let numbers = [number(modulus), number(&exponent.to_be_bytes())].concat();
                (RSA, tagged(0x30, &numbers))
            }
        };
        let bits = tagged(0x03, &[&[0], key.as_slice()].concat());
        tagged(0x30, &[algorithm, &bits].concat())
    }

    /// The key as one that verifies signatures; none for RSA, which we verify nothing with.
    #[must_use]
    pub fn verifier(&self) -> Option<PublicKey> {
        match &self.unique {
            Unique::EccP256(point) => Some(PublicKey::EcdsaP256(point.clone())),
            Unique::Rsa { .. } => None,
        }
    }
}

/// A positive INTEGER of DER.
fn number(bytes: &[u8]) -> Vec<u8> {
    let mut digits: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
    if digits.first().is_none_or(|byte| *byte > 0x7f) {
        digits.insert(0, 0);
    }
    tagged(0x02, &digits)
}

/// A tag of DER with its length, below 64 KiB, and its value.
fn tagged(tag: u8, value: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes();
    let head = match (high, low) {
        (0, low @ ..0x80) => alloc::vec![tag, low],
        (0, low) => alloc::vec![tag, 0x81, low],
        (high, low) => alloc::vec![tag, 0x82, high, low],
    };
    [head, value.to_vec()].concat()
}

fn name(bytes: &[u8]) -> [u8; 34] {
    let mut name = [0; 34];
    let (algorithm, digest) = name.split_at_mut(2);
    algorithm.copy_from_slice(&ALG_SHA256.to_be_bytes());
    digest.copy_from_slice(&Sha256::digest(bytes));
    name
}

/// The cipher of a storage or endorsement key; none in a signing key (part 2, 11.1.7).
fn symmetric(reader: &mut Reader<'_>) -> Result<(), TpmError> {
    match reader.u16()? {
        ALG_NULL => Ok(()),
        ALG_AES => {
            reader.expect(128, "AES of 128 bits")?;
            reader.expect(ALG_CFB, "AES in CFB mode")
        }
        got => Err(TpmError::Unexpected { expected: "AES or no cipher", got: got.into() }),
    }
}

/// A scheme and, where there is one, its hash (part 2, 11.2.1.5).
fn scheme(reader: &mut Reader<'_>) -> Result<(), TpmError> {
    if reader.u16()? != ALG_NULL {
        reader.u16()?;
    }
    Ok(())
}

fn ecc(reader: &mut Reader<'_>) -> Result<Unique, TpmError> {
    scheme(reader)?;
    reader.expect(CURVE_P256, "the curve P-256")?;
    // The scheme of key derivation.
    scheme(reader)?;
    let (x, y) = (reader.buffer()?, reader.buffer()?);
    let bad = TpmError::BadKey { expected: "a point of P-256" };
    let point = [&[4][..], &padded(x).ok_or(bad.clone())?, &padded(y).ok_or(bad.clone())?].concat();
    p256::PublicKey::from_sec1_bytes(&point).map_err(|_| bad)?;
    Ok(Unique::EccP256(point))
}

/// A number in 32 bytes: a TPM may leave leading zeroes out.
pub(crate) fn padded(number: &[u8]) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let from = bytes.len().checked_sub(number.len())?;
    bytes.get_mut(from..)?.copy_from_slice(number);
    Some(bytes)
}

fn rsa(reader: &mut Reader<'_>) -> Result<Unique, TpmError> {
    scheme(reader)?;
    let bits = reader.u16()?;
    let exponent = match reader.u32()? {
        0 => RSA_EXPONENT,
        exponent => exponent,
    };
    let modulus = reader.buffer()?;
    let whole = usize::from(bits) == modulus.len().saturating_mul(8);
    if !whole || !(2048..=4096).contains(&bits) {
        return Err(TpmError::BadKey { expected: "an RSA key of 2048 to 4096 bits" });
    }
    Ok(Unique::Rsa { modulus: modulus.to_vec(), exponent })
}

/// An ECDSA signature with SHA-256 as a TPM writes it (part 2, 11.3.4: TPMT_SIGNATURE), in DER.
pub(crate) fn signature(bytes: &[u8]) -> Result<Vec<u8>, TpmError> {
    let mut reader = Reader::new(bytes, "the signature");
    reader.expect(ALG_ECDSA, "an ECDSA signature")?;
    reader.expect(ALG_SHA256, "a signature over a SHA-256 digest")?;
    let halves = (padded(reader.buffer()?), padded(reader.buffer()?));
    reader.end()?;
    let bad = TpmError::BadKey { expected: "two numbers of at most 32 bytes" };
    let (Some(r), Some(s)) = halves else { return Err(bad) };
    let signature = p256::ecdsa::Signature::from_scalars(r, s).map_err(|_| bad)?;
    Ok(signature.to_der().as_bytes().to_vec())
}

#[cfg(test)]
pub(crate) mod tests;
