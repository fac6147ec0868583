//! Passphrases and PINs: checked once when made, wiped when dropped, never printed.

use core::fmt;

use pkcs8::der::zeroize::Zeroizing;

mod guesses;

/// Shortest passphrase, in characters. Twelve random characters outlast Argon2id at our cost.
pub const PASSPHRASE_CHARS_MIN: usize = 12;

/// Longest passphrase, in bytes: more is a wrong file.
pub const PASSPHRASE_BYTES_MAX: usize = 1024;

/// A passphrase of an allowed length.
pub struct Passphrase(Zeroizing<String>);

/// A passphrase that is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PassphraseError {
    /// Fewer than [`PASSPHRASE_CHARS_MIN`].
    #[error("expected a passphrase of at least {PASSPHRASE_CHARS_MIN} characters, got {got}")]
    TooShort {
        /// Characters that came.
        got: usize,
    },
    /// Among those that are guessed first.
    #[error(
        "expected a passphrase that is not among the first guesses: this one is of common words, \
         runs of keys or repetitions; four words of your own that do not belong together will do"
    )]
    Common,
    /// No PIN at all.
    #[error("expected a PIN, got an empty line")]
    NoPin,
    /// More than [`PASSPHRASE_BYTES_MAX`].
    #[error("expected a passphrase of at most {PASSPHRASE_BYTES_MAX} bytes, got {got}")]
    TooLong {
        /// Bytes that came.
        got: usize,
    },
}

impl Passphrase {
    /// Takes `text` as it is; the caller strips a line's end.
    ///
    /// # Errors
    /// Too short or too long. What a passphrase opens was made before, perhaps under other rules,
    /// so that only its length counts here.
    pub fn new(text: String) -> Result<Self, PassphraseError> {
        let text = Zeroizing::new(text);
        if text.len() > PASSPHRASE_BYTES_MAX {
            return Err(PassphraseError::TooLong { got: text.len() });
        }
        let chars = text.chars().count();
        if chars < PASSPHRASE_CHARS_MIN {
            return Err(PassphraseError::TooShort { got: chars });
        }
        Ok(Self(text))
    }

    /// Takes a passphrase that is to protect a key.
    ///
    /// # Errors
    /// As [`Self::new`], or among those that are guessed first.
    pub fn choose(text: String) -> Result<Self, PassphraseError> {
        let chosen = Self::new(text)?;
        if guesses::is_common(&chosen.0) { Err(PassphraseError::Common) } else { Ok(chosen) }
    }

    /// The bytes for key derivation.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// The PIN of a token. How long it must be is the token's business, which also counts the tries.
pub struct Pin(
    #[cfg_attr(not(feature = "pkcs11"), expect(dead_code, reason = "only tokens read it"))]
    Zeroizing<String>,
);

impl Pin {
    /// Takes `text` as it is; the caller strips a line's end.
    ///
    /// # Errors
    /// Empty or too long.
    pub fn new(text: String) -> Result<Self, PassphraseError> {
        let text = Zeroizing::new(text);
        match text.len() {
            0 => Err(PassphraseError::NoPin),
            got if got > PASSPHRASE_BYTES_MAX => Err(PassphraseError::TooLong { got }),
            _ => Ok(Self(text)),
        }
    }

    /// The PIN itself, for the token.
    #[cfg(feature = "pkcs11")]
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(..)")
    }
}

impl PartialEq for Passphrase {
    fn eq(&self, other: &Self) -> bool {
        *self.0 == *other.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}
