//! Signed notes: text, and signatures by named keys (c2sp.org/signed-note), among them the
//! timestamped ones of witnesses (c2sp.org/tlog-cosignature). Reads, writes and verifies them; what
//! signs is the caller's, over the bytes that [`VerifierKey::message`] gives.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt::{self, Write as _};
use core::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lazaret_protocol::key::PublicKey;
use sha2::{Digest as _, Sha256};

/// Longest note, in bytes: sixteen post-quantum signatures would still fit.
pub const NOTE_BYTES_MAX: usize = 128 * 1024;

/// Signatures of one note.
pub const SIGNATURES_MAX: usize = 32;

/// Longest name of a key, in bytes.
pub const NAME_BYTES_MAX: usize = 255;

const SIGNATURE_MARK: &str = "\u{2014} ";
const ED25519: u8 = 0x01;
const COSIGNATURE_V1: u8 = 0x04;

/// A note that is none, or that nobody trusted has signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// It is too long.
    #[error("expected a note of at most {NOTE_BYTES_MAX} bytes, got {got}")]
    Long {
        /// Its length.
        got: usize,
    },
    /// It has another form.
    #[error("expected a signed note: {what}")]
    NoNote {
        /// What is wrong with it.
        what: &'static str,
    },
    /// A text that is no verifier key.
    #[error("expected a verifier key <name>+<id>+<base64>: {what}")]
    NoKey {
        /// What is wrong with it.
        what: &'static str,
    },
    /// A signature under a known name and key id does not hold.
    #[error("the signature of {name} does not hold")]
    DoesNotHold {
        /// Whose.
        name: String,
    },
    /// None of the keys that are trusted has signed.
    #[error("expected a signature of {expected}, found {found}")]
    NotSigned {
        /// The names of the keys that would do.
        expected: String,
        /// The names that did sign.
        found: String,
    },
}

/// How a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SignatureType {
    /// Ed25519 over the note's text.
    Ed25519,
    /// A witness' Ed25519 over the time and the text (cosignature/v1).
    CosignatureV1,
}

impl SignatureType {
    const fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => ED25519,
            Self::CosignatureV1 => COSIGNATURE_V1,
        }
    }
}

/// A public key with the name it signs under. As text, a `vkey` (signed-note, Verifier keys):
/// `<name>+<key id in 8 hexadecimal digits>+<base64 of the type byte and the key>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct VerifierKey {
    name: String,
    signature_type: SignatureType,
    public: [u8; 32],
}

impl VerifierKey {
    /// A key under a name.
    ///
    /// # Errors
    /// The name is empty or too long, or has a space, a control character or a plus in it.
    pub fn new(
        name: &str,
        signature_type: SignatureType,
        public: [u8; 32],
    ) -> Result<Self, NoteError> {
        if !is_name(name) {
            return Err(NoteError::NoKey {
                what: "the name is empty, too long, or has a space, a plus or a control character",
            });
        }
        Ok(Self { name: name.to_string(), signature_type, public })
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first four bytes of SHA-256 over name, line feed, type and key.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        let mut hasher = Sha256::new();
        hasher.update(self.name.as_bytes());
        hasher.update([b'\n', self.signature_type.byte()]);
        hasher.update(self.public);
        let digest: [u8; 32] = hasher.finalize().into();
        let [a, b, c, d, ..] = digest;
        [a, b, c, d]
    }

    /// What this key signs for a note of that text. Witnesses sign a time with it, in seconds since
    /// 1970; other keys do not.
    #[must_use]
    pub fn message(&self, text: &str, time: u64) -> Vec<u8> {
        match self.signature_type {
            SignatureType::Ed25519 => text.as_bytes().to_vec(),
            SignatureType::CosignatureV1 => {
                alloc::format!("cosignature/v1\ntime {time}\n{text}").into_bytes()
            }
        }
    }

    /// The line of the signature that was made over [`Self::message`] with the same time.
    #[must_use]
    pub fn signed(&self, time: u64, signature: &[u8; 64]) -> NoteSignature {
        let mut bytes = Vec::new();
        if self.signature_type == SignatureType::CosignatureV1 {
            bytes.extend(time.to_be_bytes());
        }
        bytes.extend(signature);
        NoteSignature { name: self.name.clone(), key_id: self.id(), signature: bytes }
    }

    /// Checks a signature of this key, and returns the time a witness signed with it.
    fn check(&self, text: &str, signature: &[u8]) -> Option<u64> {
        let (time, signature) = match self.signature_type {
            SignatureType::Ed25519 => (0, signature),
            SignatureType::CosignatureV1 => {
                let (time, signature) = signature.split_first_chunk::<8>()?;
                (u64::from_be_bytes(*time), signature)
            }
        };
        let key = PublicKey::Ed25519(self.public.to_vec());
        key.verify(&self.message(text, time), signature).ok()?;
        Some(time)
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = Vec::from([self.signature_type.byte()]);
        key.extend(self.public);
        let id = u32::from_be_bytes(self.id());
        write!(f, "{}+{id:08x}+{}", self.name, STANDARD.encode(key))
    }
}

impl FromStr for VerifierKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let refused = |what| NoteError::NoKey { what };
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(_), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(refused("it has not three parts"));
        };
        let key = STANDARD.decode(key).map_err(|_| refused("the key is not base64"))?;
        let (signature_type, public) = match key.split_first() {
            Some((&ED25519, public)) => (SignatureType::Ed25519, public),
            Some((&COSIGNATURE_V1, public)) => (SignatureType::CosignatureV1, public),
            _ => return Err(refused("the key is neither Ed25519 nor a cosignature key")),
        };
        let public = public.try_into().map_err(|_| refused("the key has not 32 bytes"))?;
        let key = Self::new(name, signature_type, public)?;
        if key.to_string() == text {
            Ok(key)
        } else {
            Err(refused("the id is not that of the key"))
        }
    }
}

/// One line of signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    name: String,
    key_id: [u8; 4],
    signature: Vec<u8>,
}

/// A key that has signed, and when it says it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedBy<'a> {
    /// The key.
    pub key: &'a VerifierKey,
    /// Seconds since 1970 of a witness' signature; 0 for other keys.
    pub time: u64,
}

/// A text with signatures, none of which is believed before [`SignedNote::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl SignedNote {
    /// A note of that text, which ends with a line feed.
    ///
    /// # Errors
    /// The text does not end so, or has control characters.
    pub fn new(text: String, signatures: Vec<NoteSignature>) -> Result<Self, NoteError> {
        if !text.ends_with('\n') {
            return Err(NoteError::NoNote { what: "the text does not end with a line feed" });
        }
        if text.chars().any(|c| c < ' ' && c != '\n') {
            return Err(NoteError::NoNote { what: "the text has a control character" });
        }
        Ok(Self { text, signatures })
    }

    /// Reads one.
    ///
    /// # Errors
    /// It is too long, or has another form.
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        if note.len() > NOTE_BYTES_MAX {
            return Err(NoteError::Long { got: note.len() });
        }
        let refused = |what| NoteError::NoNote { what };
        let split = note.rfind("\n\n").ok_or(refused("no empty line before the signatures"))?;
        let (text, signatures) = note.split_at(split.saturating_add(1));
        let lines = signatures.strip_prefix('\n').and_then(|rest| rest.strip_suffix('\n'));
        let lines = lines.ok_or(refused("the last signature does not end with a line feed"))?;
        let mut read = Vec::new();
        for line in lines.split('\n') {
            if read.len() == SIGNATURES_MAX {
                return Err(refused("more than 32 signatures"));
            }
            read.push(signature_line(line).ok_or(refused("a line that is no signature"))?);
        }
        Self::new(text.to_string(), read)
    }

    /// The note as it is written.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut note = self.text.clone();
        note.push('\n');
        for line in &self.signatures {
            let bytes: Vec<u8> = line.key_id.iter().chain(&line.signature).copied().collect();
            // Writing to a `String` does not fail.
            let _ = writeln!(note, "{SIGNATURE_MARK}{} {}", line.name, STANDARD.encode(bytes));
        }
        note
    }

    /// The text, believed or not.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Adds a signature, in place of an earlier one of the same key.
    pub fn add(&mut self, signature: NoteSignature) {
        self.signatures.retain(|it| (&it.name, it.key_id) != (&signature.name, signature.key_id));
        self.signatures.push(signature);
    }

    /// Which of these keys have signed, each once. Signatures of other keys are passed over.
    ///
    /// # Errors
    /// A signature of one of them does not hold, or none of them has signed.
    pub fn verify<'a>(&self, keys: &'a [VerifierKey]) -> Result<Vec<SignedBy<'a>>, NoteError> {
        let mut signed: Vec<SignedBy<'a>> = Vec::new();
        for line in &self.signatures {
            let known = keys.iter().find(|key| key.name == line.name && key.id() == line.key_id);
            let Some(key) = known else { continue };
            let time = key
                .check(&self.text, &line.signature)
                .ok_or_else(|| NoteError::DoesNotHold { name: line.name.clone() })?;
            if !signed.iter().any(|by| by.key == key) {
                signed.push(SignedBy { key, time });
            }
        }
        if signed.is_empty() {
            let expected: Vec<&str> = keys.iter().map(VerifierKey::name).collect();
            let found: Vec<&str> = self.signatures.iter().map(|it| it.name.as_str()).collect();
            let (expected, found) = (expected.join(", "), found.join(", "));
            return Err(NoteError::NotSigned { expected, found });
        }
        Ok(signed)
    }
}

fn signature_line(line: &str) -> Option<NoteSignature> {
    let (name, signature) = line.strip_prefix(SIGNATURE_MARK)?.split_once(' ')?;
    let bytes = STANDARD.decode(signature).ok()?;
    let (key_id, signature) = bytes.split_first_chunk::<4>()?;
    let named = is_name(name) && !signature.is_empty();
    named.then(|| NoteSignature {
        name: name.to_string(),
        key_id: *key_id,
        signature: signature.to_vec(),
    })
}

fn is_name(name: &str) -> bool {
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && c != '+';
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.chars().all(plain)
}

#[cfg(test)]
mod tests;
