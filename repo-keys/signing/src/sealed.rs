//! A holder's private key under a passphrase: Argon2id (RFC 9106) and AES-256-GCM, in one line of
//! JSON that says both. PKCS#8 has no name for Argon2id, so this is a format of our own.

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pkcs8::SecretDocument;
use pkcs8::der::zeroize::Zeroizing;
use serde::{Deserialize, Serialize};

use crate::key::KeyError;
use crate::passphrase::Passphrase;

/// What a file of this kind says it is. Servers look for it where no holder's key may lie.
pub const KIND: &str = "lazaret holder's PRIVATE KEY";

/// Memory of the derivation, in KiB: RFC 9106's second choice, for machines of little memory.
const MEMORY_KIB: u32 = 64 * 1024;

/// Passes over that memory.
const PASSES: u32 = 3;

/// What is still derived when a file asks for it: 1 GiB, and passes for minutes. More is broken or
/// hostile; less than OWASP's minimum of 19 MiB in two passes is no protection.
const MEMORY_KIB_ALLOWED: core::ops::RangeInclusive<u32> = 19 * 1024..=1024 * 1024;
/// See [`MEMORY_KIB_ALLOWED`].
const PASSES_ALLOWED: core::ops::RangeInclusive<u32> = 2..=64;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Header {
    kind: String,
    kdf: String,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: String,
    cipher: String,
    nonce: String,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    #[serde(flatten)]
    header: Header,
    sealed: String,
}

/// Seals a PKCS#8 document.
///
/// # Errors
/// No random numbers, or no memory for the derivation.
pub(crate) fn seal(der: &[u8], passphrase: &Passphrase) -> Result<Zeroizing<String>, KeyError> {
    let (mut salt, mut nonce) = ([0u8; 16], [0u8; 12]);
    getrandom::fill(&mut salt).map_err(KeyError::Random)?;
    getrandom::fill(&mut nonce).map_err(KeyError::Random)?;
    let header = Header {
        kind: KIND.to_owned(),
        kdf: "argon2id".to_owned(),
        memory_kib: MEMORY_KIB,
        passes: PASSES,
        lanes: 1,
        salt: hex::encode(salt),
        cipher: "aes-256-gcm".to_owned(),
        nonce: hex::encode(nonce),
    };
    let cipher = cipher(&header, &salt, passphrase)?;
    let aad = associated(&header)?;
    let payload = Payload { msg: der, aad: &aad };
    let sealed = cipher.encrypt(&Nonce::from(nonce), payload).map_err(|_| KeyError::Encoding)?;
    let sealed = Sealed { header, sealed: STANDARD.encode(sealed) };
    let json = serde_json::to_string(&sealed).map_err(|_| KeyError::Encoding)?;
    Ok(Zeroizing::new(json + "\n"))
}

/// Why a sealed key does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotOpened {
    /// It is not of this form, or asks for what nobody derives.
    Malformed,
    /// The passphrase is another, or the file was changed.
    WrongPassphrase,
}

/// Opens a sealed key.
///
/// # Errors
/// It is malformed or the passphrase is wrong.
pub(crate) fn open(text: &str, passphrase: &Passphrase) -> Result<SecretDocument, NotOpened> {
    let malformed = |_| NotOpened::Malformed;
    let Sealed { header, sealed } = serde_json::from_str(text).map_err(|_| NotOpened::Malformed)?;
    let known = header.kind == KIND && header.kdf == "argon2id" && header.cipher == "aes-256-gcm";
    let bearable = MEMORY_KIB_ALLOWED.contains(&header.memory_kib)
        && PASSES_ALLOWED.contains(&header.passes)
        && (1..=16).contains(&header.lanes);
    if !known || !bearable {
        return Err(NotOpened::Malformed);
    }
    let mut salt = [0u8; 16];
    let mut nonce = [0u8; 12];
    hex::decode_to_slice(&header.salt, &mut salt).map_err(malformed)?;
    hex::decode_to_slice(&header.nonce, &mut nonce).map_err(malformed)?;
    let sealed = STANDARD.decode(sealed).map_err(|_| NotOpened::Malformed)?;
    let cipher = cipher(&header, &salt, passphrase).map_err(|_| NotOpened::Malformed)?;
    let aad = associated(&header).map_err(|_| NotOpened::Malformed)?;
    let payload = Payload { msg: &sealed, aad: &aad };
    let der = cipher.decrypt(&Nonce::from(nonce), payload);
    let der = Zeroizing::new(der.map_err(|_| NotOpened::WrongPassphrase)?);
    SecretDocument::try_from(der.as_slice()).map_err(|_| NotOpened::Malformed)
}

/// The parameters are bound to what they protect, so that nobody makes them weaker unseen.
fn associated(header: &Header) -> Result<Vec<u8>, KeyError> {
    serde_json::to_vec(header).map_err(|_| KeyError::Encoding)
}

fn cipher(
    header: &Header,
    salt: &[u8; 16],
    passphrase: &Passphrase,
) -> Result<Aes256Gcm, KeyError> {
    let params = Params::new(header.memory_kib, header.passes, header.lanes, Some(32))
        .map_err(|_| KeyError::Encoding)?;
    let mut key = Zeroizing::new([0u8; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.as_bytes(), salt, key.as_mut_slice())
        .map_err(|_| KeyError::Encoding)?;
    Ok(Aes256Gcm::new(&Key::<Aes256Gcm>::from(*key)))
}
