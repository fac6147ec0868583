//! RSA keys (TUF 4.2.2, `rsassa-pss-sha256`), as python-tuf's and other foreign repositories have
//! them. Nothing of ours signs with RSA.

use alloc::vec::Vec;

use rsa::PublicKey;
use rsa::pkcs8::DecodePublicKey as _;
use rsa::pss::{Signature, VerifyingKey};
use rsa::signature::Verifier as _;
use rsa::traits::PublicKeyParts as _;
use serde::Serialize;
use sha2::Sha256;

/// Bytes of a modulus: 2,048 bits is the least that counts as safe (NIST SP 800-131A), and 8,192
/// bounds the time that a check takes.
const MODULUS_BYTES: core::ops::RangeInclusive<usize> = 256..=1024;

/// Bits of an exponent. All in use have 17 at most; the time of a check grows with them.
const EXPONENT_BITS_MAX: u32 = 33;

/// Longest PEM that is read, in bytes. That of the largest modulus has 1,500.
const PEM_BYTES_MAX: usize = 4096;

/// An RSA key, as the two numbers that it is: however its PEM is spelt, it counts once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct RsaKey {
    n: Vec<u8>,
    e: Vec<u8>,
}

impl RsaKey {
    /// Reads a key in PEM (SubjectPublicKeyInfo); none where it is no such key or an unsafe one.
    pub(crate) fn read(pem: &str) -> Option<Self> {
        if pem.len() > PEM_BYTES_MAX {
            return None;
        }
        let key = PublicKey::from_public_key_pem(pem).ok()?;
        let usable =
            MODULUS_BYTES.contains(&key.size()) && key.e().bit_width() <= EXPONENT_BITS_MAX;
        usable.then(|| Self { n: key.n_bytes().into_vec(), e: key.e_bytes().into_vec() })
    }

    /// Whether a signature by this key holds: PSS with SHA-256 in both places, whatever the length
    /// of the salt.
    pub(crate) fn holds(&self, message: &[u8], signature: &[u8]) -> bool {
        let n = rsa::BoxedUint::from_be_slice_vartime(&self.n);
        let e = rsa::BoxedUint::from_be_slice_vartime(&self.e);
        let Ok(key) = PublicKey::new(n, e) else { return false };
        let Ok(signature) = Signature::try_from(signature) else { return false };
        VerifyingKey::<Sha256>::new_with_auto_salt_len(key).verify(message, &signature).is_ok()
    }
}
