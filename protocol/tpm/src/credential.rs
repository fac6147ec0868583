//! A secret that only one TPM opens, and only if it holds one certain key (part 1, 24: credential
//! protection). Who answers with the secret has both the endorsement key that a maker vouched for
//! and the attestation key of that name, in one TPM.

use alloc::vec::Vec;

use aes::Aes128;
use cfb_mode::BufEncryptor;
use cfb_mode::cipher::KeyIvInit as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use p256::elliptic_curve::Generate as _;
use p256::elliptic_curve::sec1::ToSec1Point as _;
use rand_core::CryptoRng;
use rsa::{BoxedUint, Oaep, PublicKey};
use sha2::{Digest as _, Sha256};

use crate::public::{Public, Unique};
use crate::reader::TpmError;

/// Longest secret: the digest size of the endorsement key's name (part 3, 12.6).
pub const SECRET_BYTES_MAX: usize = 32;

const SEED_BYTES: usize = 32;
const AES_KEY_BITS: u32 = 128;
const HMAC_KEY_BITS: u32 = 256;

/// What a device hands to TPM2_ActivateCredential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The wrapped secret (TPM2B_ID_OBJECT, without its length).
    pub blob: Vec<u8>,
    /// The seed, for the endorsement key (TPM2B_ENCRYPTED_SECRET, without its length).
    pub seed: Vec<u8>,
}

/// Wraps a secret for the TPM with that endorsement key, if it holds a key of that name (part 1,
/// 24.4). The randomness must be that of the system.
///
/// # Errors
/// The endorsement key is none that can be used, or the secret is too long.
pub fn make(
    endorsement: &Public,
    name: &[u8; 34],
    secret: &[u8],
    random: &mut impl CryptoRng,
) -> Result<Credential, TpmError> {
    if !endorsement.attributes.endorses() {
        return Err(TpmError::BadKey { expected: "a restricted decryption key" });
    }
    let length = u16::try_from(secret.len()).ok().filter(|_| secret.len() <= SECRET_BYTES_MAX);
    let length = length.ok_or(TpmError::BadKey { expected: "a secret of at most 32 bytes" })?;
    let (seed, wrapped) = match &endorsement.unique {
        Unique::EccP256(point) => ecc_seed(point, random)?,
        Unique::Rsa { modulus, exponent } => rsa_seed(modulus, *exponent, random)?,
    };
    let mut identity = [&length.to_be_bytes()[..], secret].concat();
    let bad = TpmError::BadKey { expected: "a derived key of the right length" };
    let key = kdfa(&seed, b"STORAGE", name, AES_KEY_BITS);
    let mut cipher =
        BufEncryptor::<Aes128>::new_from_slices(key.get(..16).ok_or(bad.clone())?, &[0; 16])
            .map_err(|_| bad.clone())?;
    cipher.encrypt(&mut identity);
    let key = kdfa(&seed, b"INTEGRITY", &[], HMAC_KEY_BITS);
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).map_err(|_| bad)?;
    mac.update(&identity);
    mac.update(name);
    let mac = mac.finalize().into_bytes();
    // The integrity value is a buffer of its own, of 32 bytes.
    let blob = [&[0, 32][..], &mac, &identity].concat();
    Ok(Credential { blob, seed: wrapped })
}

type Seed = [u8; SEED_BYTES];

/// Part 1, annex B.10.4: OAEP with the label "IDENTITY" and its closing zero.
fn rsa_seed(
    modulus: &[u8],
    exponent: u32,
    random: &mut impl CryptoRng,
) -> Result<(Seed, Vec<u8>), TpmError> {
    let bad = TpmError::BadKey { expected: "an RSA endorsement key" };
    let modulus = BoxedUint::from_be_slice_vartime(modulus);
    let key = PublicKey::new(modulus, BoxedUint::from(exponent)).map_err(|_| bad.clone())?;
    let mut seed = [0; SEED_BYTES];
    random.fill_bytes(&mut seed);
    let padding = Oaep::<Sha256>::new_with_label(*b"IDENTITY\0");
    let wrapped = key.encrypt(random, padding, &seed).map_err(|_| bad)?;
    Ok((seed, wrapped))
}

/// Part 1, annex C.6.1: one-pass Diffie-Hellman with a key made for this once.
fn ecc_seed(point: &[u8], random: &mut impl CryptoRng) -> Result<(Seed, Vec<u8>), TpmError> {
    let bad = TpmError::BadKey { expected: "a P-256 endorsement key" };
    let theirs = p256::PublicKey::from_sec1_bytes(point).map_err(|_| bad.clone())?;
    let ours = p256::SecretKey::generate_from_rng(random);
    let shared = p256::ecdh::diffie_hellman(ours.to_nonzero_scalar(), theirs.as_affine());
    let own = ours.public_key().to_sec1_point(false);
    let coordinates = |point: &[u8]| -> Option<([u8; 32], [u8; 32])> {
        let (x, y) = point.get(1..)?.split_first_chunk::<32>()?;
        Some((*x, y.try_into().ok()?))
    };
    let (x, y) = coordinates(own.as_bytes()).ok_or(bad.clone())?;
    let (their_x, _) = coordinates(point).ok_or(bad)?;
    let mut hash = Sha256::new();
    // KDFe (part 1, 11.4.10.3): one round gives all 256 bits.
    hash.update(1_u32.to_be_bytes());
    hash.update(shared.raw_secret_bytes());
    hash.update(b"IDENTITY\0");
    hash.update(x);
    hash.update(their_x);
    let wrapped = [&[0, 32][..], &x, &[0, 32], &y].concat();
    Ok((hash.finalize().into(), wrapped))
}

/// KDFa (part 1, 11.4.10.2) with HMAC-SHA-256: one round, so at most 256 bits.
fn kdfa(key: &Seed, label: &[u8], context: &[u8], bits: u32) -> [u8; 32] {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 32] };
    mac.update(&1_u32.to_be_bytes());
    mac.update(label);
    mac.update(&[0]);
    mac.update(context);
    mac.update(&bits.to_be_bytes());
    mac.finalize().into_bytes().into()
}
