//! SSH signatures over messages of ours (OpenSSH `PROTOCOL.sshsig`), as `ssh-keygen -Y sign` makes
//! them: with a key in a file, in ssh-agent or in a FIDO2 token. People sign with ssh-keygen;
//! devices sign the sums of their evidence here, with a key that no file of OpenSSH holds. Devices
//! check signatures too, so this stands on the curves that are here already.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256, Sha512};

use crate::key::{PublicKey, SignatureError};

/// Namespace of an approval of a rollout's plan. It keeps a signature that was made for anything
/// else, such as a commit, from passing for an approval.
pub const NAMESPACE_PLAN: &str = "lazaret-plan@lazaret";

/// Largest armoured signature, in bytes. One of a FIDO2 P-256 key has about 700.
pub const SIGNATURE_BYTES_MAX: usize = 8 * 1024;

/// Longest public key in a line of text, in bytes, its comment included.
pub const KEY_LINE_BYTES_MAX: usize = 1024;

/// What a FIDO2 token says of itself: that somebody touched it (`PROTOCOL.u2f`).
const USER_PRESENT: u8 = 0x01;

/// A key or signature that cannot be used, or that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SshError {
    /// Larger than any of these.
    #[error("expected at most {max} bytes, got {got}")]
    TooLarge {
        /// The limit in bytes.
        max: usize,
        /// The size in bytes.
        got: usize,
    },
    /// Not what it should be.
    #[error("expected {expected}")]
    Malformed {
        /// What was expected.
        expected: &'static str,
    },
    /// A key of an algorithm that is not taken.
    #[error(
        "expected a key of type ssh-ed25519, ecdsa-sha2-nistp256 or a FIDO2 form of them, got \
         {got:?}"
    )]
    Algorithm {
        /// The algorithm, cut after 64 characters.
        got: String,
    },
    /// Made for another purpose.
    #[error("expected a signature in the namespace {expected}, got {got:?}")]
    Namespace {
        /// The namespace wanted.
        expected: String,
        /// The namespace that came, cut after 64 characters.
        got: String,
    },
    /// Made by another key.
    #[error("expected a signature by {expected}, got one by {got}")]
    OtherKey {
        /// The key wanted.
        expected: String,
        /// The key that signed.
        got: String,
    },
    /// A FIDO2 token that signed without a touch.
    #[error("nobody touched the security key")]
    NotTouched,
    /// The signature does not hold.
    #[error("signature does not hold")]
    Signature(#[source] SignatureError),
}

/// A public key as OpenSSH writes it in a line: `ssh-ed25519 AAAA... comment`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SshKey {
    blob: Vec<u8>,
}

/// What a key's bytes say.
struct Parts {
    key: PublicKey,
    /// What a FIDO2 key was made for, `ssh:` mostly; none for a key without a token.
    application: Option<Vec<u8>>,
}

impl SshKey {
    fn from_blob(blob: &[u8]) -> Result<Self, SshError> {
        let key = Self { blob: blob.to_vec() };
        key.parts()?;
        Ok(key)
    }

    /// The form that OpenSSH has of a key of ours.
    #[must_use]
    pub fn of(key: &PublicKey) -> Self {
        let mut blob = Vec::new();
        match key {
            PublicKey::Ed25519(bytes) => {
                push(&mut blob, b"ssh-ed25519");
                push(&mut blob, bytes);
            }
            PublicKey::EcdsaP256(bytes) => {
                push(&mut blob, b"ecdsa-sha2-nistp256");
                push(&mut blob, b"nistp256");
                push(&mut blob, bytes);
            }
        }
        Self { blob }
    }

    /// `SHA256:` and the digest of the key, as `ssh-keygen -l` prints it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        alloc::format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(&self.blob)))
    }

    fn algorithm(&self) -> String {
        let name = Reader(&self.blob).text().unwrap_or_default();
        String::from_utf8_lossy(name).chars().take(64).collect()
    }

    fn parts(&self) -> Result<Parts, SshError> {
        let mut from = Reader(&self.blob);
        let algorithm = from.text()?;
        let token = matches!(
            algorithm,
            b"sk-ssh-ed25519@openssh.com" | b"sk-ecdsa-sha2-nistp256@openssh.com"
        );
        let key = match algorithm {
            b"ssh-ed25519" | b"sk-ssh-ed25519@openssh.com" => {
                PublicKey::Ed25519(from.text()?.to_vec())
            }
            b"ecdsa-sha2-nistp256" | b"sk-ecdsa-sha2-nistp256@openssh.com" => {
                if from.text()? != b"nistp256" {
                    return Err(SshError::Malformed { expected: "a key on nistp256" });
                }
                PublicKey::EcdsaP256(from.text()?.to_vec())
            }
            _ => return Err(SshError::Algorithm { got: self.algorithm() }),
        };
        let application = if token { Some(from.text()?.to_vec()) } else { None };
        from.end()?;
        Ok(Parts { key, application })
    }
}

impl FromStr for SshKey {
    type Err = SshError;
    fn from_str(line: &str) -> Result<Self, SshError> {
        if line.len() > KEY_LINE_BYTES_MAX {
            return Err(SshError::TooLarge { max: KEY_LINE_BYTES_MAX, got: line.len() });
        }
        let malformed = || SshError::Malformed {
            expected: "a public key in one line, such as ssh-ed25519 AAAA...",
        };
        let mut words = line.split_ascii_whitespace();
        let (algorithm, blob) = words.next().zip(words.next()).ok_or_else(malformed)?;
        let blob = STANDARD.decode(blob).map_err(|_| malformed())?;
        let key = Self::from_blob(&blob)?;
        if key.algorithm() != algorithm {
            return Err(malformed());
        }
        Ok(key)
    }
}

impl TryFrom<String> for SshKey {
    type Error = SshError;
    fn try_from(line: String) -> Result<Self, SshError> {
        line.parse()
    }
}

impl From<SshKey> for String {
    fn from(key: SshKey) -> Self {
        key.to_string()
    }
}

impl fmt::Display for SshKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.algorithm(), STANDARD.encode(&self.blob))
    }
}

impl fmt::Debug for SshKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SshKey({})", self.fingerprint())
    }
}

/// A signature that was read and not yet checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshSignature {
    key: SshKey,
    namespace: Vec<u8>,
    reserved: Vec<u8>,
    hash: Hash,
    signature: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hash {
    Sha256,
    Sha512,
}

impl SshSignature {
    /// Reads the armoured form, `-----BEGIN SSH SIGNATURE-----` and so on.
    ///
    /// # Errors
    /// Too large, no signature, or by a key of an algorithm that is not taken.
    pub fn parse(armoured: &str) -> Result<Self, SshError> {
        if armoured.len() > SIGNATURE_BYTES_MAX {
            return Err(SshError::TooLarge { max: SIGNATURE_BYTES_MAX, got: armoured.len() });
        }
        let malformed = || SshError::Malformed {
            expected: "a signature between -----BEGIN SSH SIGNATURE----- and -----END SSH \
                       SIGNATURE-----, as ssh-keygen -Y sign writes it",
        };
        let body = armoured
            .trim()
            .strip_prefix("-----BEGIN SSH SIGNATURE-----")
            .and_then(|rest| rest.strip_suffix("-----END SSH SIGNATURE-----"))
            .ok_or_else(malformed)?;
        let body: String = body.split_ascii_whitespace().collect();
        let bytes = STANDARD.decode(body).map_err(|_| malformed())?;
        Self::parse_blob(&bytes)
    }

    fn parse_blob(bytes: &[u8]) -> Result<Self, SshError> {
        let rest = bytes.strip_prefix(b"SSHSIG\0\0\0\x01");
        let rest = rest.ok_or(SshError::Malformed { expected: "SSHSIG of version 1" })?;
        let mut from = Reader(rest);
        let key = SshKey::from_blob(from.text()?)?;
        let namespace = from.text()?.to_vec();
        let reserved = from.text()?.to_vec();
        let hash = match from.text()? {
            b"sha256" => Hash::Sha256,
            b"sha512" => Hash::Sha512,
            _ => return Err(SshError::Malformed { expected: "the hash sha256 or sha512" }),
        };
        let signature = from.text()?.to_vec();
        from.end()?;
        Ok(Self { key, namespace, reserved, hash, signature })
    }

    /// Signs `message` in `namespace` with a key that is at hand: `sign` makes what
    /// [`PublicKey::verify`] takes, over the bytes that it is given. The armoured form.
    ///
    /// # Errors
    /// `sign` failed, or made no signature of the key's algorithm.
    pub fn sign<E: From<SshError>>(
        key: &PublicKey,
        namespace: &str,
        message: &[u8],
        sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
    ) -> Result<String, E> {
        let mut unsigned = Self {
            key: SshKey::of(key),
            namespace: namespace.as_bytes().to_vec(),
            reserved: Vec::new(),
            hash: Hash::Sha512,
            signature: Vec::new(),
        };
        let raw = sign(&unsigned.signed(message))?;
        let raw = match key {
            PublicKey::Ed25519(_) => raw,
            PublicKey::EcdsaP256(_) => numbers(&raw)?,
        };
        push(&mut unsigned.signature, unsigned.key.algorithm().as_bytes());
        push(&mut unsigned.signature, &raw);
        Ok(unsigned.armoured())
    }

    fn armoured(&self) -> String {
        let mut blob = b"SSHSIG\0\0\0\x01".to_vec();
        let hash: &[u8] = match self.hash {
            Hash::Sha256 => b"sha256",
            Hash::Sha512 => b"sha512",
        };
        let parts =
            [&self.key.blob, &self.namespace, &self.reserved, hash, self.signature.as_slice()];
        for part in parts {
            push(&mut blob, part);
        }
        let mut text = String::from("-----BEGIN SSH SIGNATURE-----\n");
        let body = STANDARD.encode(blob);
        for line in body.as_bytes().chunks(70) {
            text.push_str(core::str::from_utf8(line).unwrap_or_default());
            text.push('\n');
        }
        text.push_str("-----END SSH SIGNATURE-----\n");
        text
    }

    /// Whose signature it says it is. Nothing is proved before [`verify`](Self::verify).
    #[must_use]
    pub const fn claimed_key(&self) -> &SshKey {
        &self.key
    }

    /// Checks that `key` signed `message` in `namespace`; a FIDO2 key must have been touched.
    ///
    /// # Errors
    /// Another namespace, another key, no touch, or a signature that does not hold.
    pub fn verify(&self, key: &SshKey, namespace: &str, message: &[u8]) -> Result<(), SshError> {
        if self.namespace != namespace.as_bytes() {
            let got = String::from_utf8_lossy(&self.namespace).chars().take(64).collect();
            return Err(SshError::Namespace { expected: namespace.into(), got });
        }
        if self.key != *key {
            let (expected, got) = (key.fingerprint(), self.key.fingerprint());
            return Err(SshError::OtherKey { expected, got });
        }
        let parts = key.parts()?;
        let mut from = Reader(&self.signature);
        if from.text()? != key.algorithm().as_bytes() {
            return Err(SshError::Malformed { expected: "a signature of the key's algorithm" });
        }
        let raw = from.text()?;
        let mut signed = self.signed(message);
        if let Some(application) = &parts.application {
            let (flags, counter) = (from.byte()?, from.take(4)?);
            if flags & USER_PRESENT == 0 {
                return Err(SshError::NotTouched);
            }
            // PROTOCOL.u2f: the token hashes what it is told to sign, and adds what it saw.
            let mut said = Sha256::digest(application).to_vec();
            said.push(flags);
            said.extend_from_slice(counter);
            said.extend_from_slice(&Sha256::digest(&signed));
            signed = said;
        }
        from.end()?;
        let raw = match parts.key {
            PublicKey::EcdsaP256(_) => der(raw)?,
            PublicKey::Ed25519(_) => raw.to_vec(),
        };
        parts.key.verify(&signed, &raw).map_err(SshError::Signature)
    }

    fn signed(&self, message: &[u8]) -> Vec<u8> {
        let (name, digest): (&[u8], Vec<u8>) = match self.hash {
            Hash::Sha256 => (b"sha256", Sha256::digest(message).to_vec()),
            Hash::Sha512 => (b"sha512", Sha512::digest(message).to_vec()),
        };
        let mut signed = b"SSHSIG".to_vec();
        for part in [&self.namespace, &self.reserved, name, digest.as_slice()] {
            let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
            signed.extend_from_slice(&length.to_be_bytes());
            signed.extend_from_slice(part);
        }
        signed
    }
}

/// ECDSA's `r` and `s` from SSH's two numbers (RFC 5656, 3.1.2) as DER, which both write alike but
/// for the frame.
fn der(raw: &[u8]) -> Result<Vec<u8>, SshError> {
    let mut from = Reader(raw);
    let (r, s) = (from.text()?, from.text()?);
    from.end()?;
    let mut numbers = Vec::new();
    for number in [r, s] {
        // 32 bytes and a sign: short enough for DER's one-byte lengths.
        let length = u8::try_from(number.len()).ok().filter(|&length| length <= 33);
        let length = length.ok_or(SshError::Malformed { expected: "numbers of P-256" })?;
        numbers.extend_from_slice(&[0x02, length]);
        numbers.extend_from_slice(number);
    }
    let length = u8::try_from(numbers.len()).unwrap_or(u8::MAX);
    let mut der = alloc::vec![0x30, length];
    der.extend_from_slice(&numbers);
    Ok(der)
}

/// ECDSA's `r` and `s` from DER as SSH's two numbers; the inverse of [`der`].
fn numbers(der: &[u8]) -> Result<Vec<u8>, SshError> {
    let malformed = || SshError::Malformed { expected: "an ECDSA signature in DER" };
    let mut from = Reader(der);
    if from.byte()? != 0x30 || usize::from(from.byte()?) != from.0.len() {
        return Err(malformed());
    }
    let mut numbers = Vec::new();
    for _ in 0..2 {
        if from.byte()? != 0x02 {
            return Err(malformed());
        }
        let length = usize::from(from.byte()?);
        push(&mut numbers, from.take(length)?);
    }
    from.end()?;
    Ok(numbers)
}

/// Appends a string as SSH writes it (RFC 4251, 5).
fn push(to: &mut Vec<u8>, text: &[u8]) {
    to.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
    to.extend_from_slice(text);
}

/// SSH's strings (RFC 4251, 5) one after the other.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], SshError> {
        let cut = SshError::Malformed { expected: "more bytes" };
        let (taken, rest) = self.0.split_at_checked(count).ok_or(cut)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, SshError> {
        Ok(self.take(1)?.first().copied().unwrap_or_default())
    }

    fn text(&mut self) -> Result<&'a [u8], SshError> {
        let length = self.take(4)?.try_into().map(u32::from_be_bytes).unwrap_or(u32::MAX);
        self.take(usize::try_from(length).unwrap_or(usize::MAX))
    }

    const fn end(&self) -> Result<(), SshError> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(SshError::Malformed { expected: "nothing behind the end" }),
        }
    }
}

#[cfg(test)]
mod tests;
