//! Private keys in files: made, written, read, and used here, and nowhere shown. The server's are
//! PKCS#8 in the clear, holders' are sealed (`sealed`). The public halves travel as small JSON
//! files.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, KeypairBytes};
use ed25519_dalek::{Signer as _, SigningKey};
use lazaret_protocol::id::HolderName;
use lazaret_protocol::key::PublicKey;
use pkcs8::der::SecretDocument;
use pkcs8::der::pem::{self, PemLabel as _};
use pkcs8::der::zeroize::Zeroizing;
use pkcs8::pkcs5::pbes2;
use pkcs8::{EncryptedPrivateKeyInfoRef, LineEnding, PrivateKeyInfoRef};
use serde::{Deserialize, Serialize};

use crate::durable::{self, Access, FileError};
use crate::passphrase::Passphrase;
use crate::sealed::{self, NotOpened};

/// Largest key file, in bytes. An encrypted Ed25519 key in PEM is about 350.
pub const KEY_FILE_BYTES_MAX: u64 = 16 * 1024;

/// Parallelism of scrypt. OWASP pairs N = 2^14, r = 8 with p = 5; N cannot be larger, because
/// OpenSSL reads at most 32 MiB of scrypt memory and `openssl pkey` must be able to read our files.
const SCRYPT_P: u16 = 5;

/// Largest scrypt cost that is read, as N: 1 GiB of memory at r = 8. A file that asks for more is
/// broken or hostile.
const SCRYPT_N_MAX: u64 = 1 << 20;

/// Why a key could not be made, read or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file could not be read or written.
    #[error("key file cannot be used")]
    File(#[from] FileError),
    /// Others on the machine may read it.
    #[error(
        "expected {} to be readable by its owner alone (chmod 600), its mode is {mode:o}",
        .path.display()
    )]
    Readable {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Encrypted where an online key must not be, which is how holders' keys look.
    #[error("{} is encrypted with a passphrase, as only holders' keys are", .path.display())]
    Encrypted {
        /// The key file.
        path: PathBuf,
    },
    /// Not encrypted where a holder's key must be.
    #[error("expected {} to be encrypted with a passphrase", .path.display())]
    NotEncrypted {
        /// The key file.
        path: PathBuf,
    },
    /// Not an Ed25519 key in a known form.
    #[error("expected an Ed25519 key of `lazaret-keys` or in PKCS#8 PEM in {}", .path.display())]
    Malformed {
        /// The key file.
        path: PathBuf,
    },
    /// The passphrase does not open it.
    #[error("passphrase does not open {}", .path.display())]
    WrongPassphrase {
        /// The key file.
        path: PathBuf,
    },
    /// A file that should not be in the folder of online keys.
    #[error(
        "{} is a private key that does not belong into the folder of online keys",
        .path.display()
    )]
    Unexpected {
        /// The file.
        path: PathBuf,
    },
    /// More files than a folder of online keys can have.
    #[error("expected at most {max} files in {}", .path.display())]
    TooManyFiles {
        /// The folder.
        path: PathBuf,
        /// The limit.
        max: usize,
    },
    /// A key of an offline role in the hands of the server.
    #[error("{} holds a key of an offline role, which must never be on a server", .path.display())]
    OfflineKey {
        /// The file.
        path: PathBuf,
    },
    /// No source of keys has this name.
    #[error("expected a key as a file name, `file:PATH` or a `pkcs11:` URI, got {got:?}")]
    UnknownSource {
        /// What came.
        got: String,
    },
    /// A passphrase where a PIN is wanted, or the other way round.
    #[error("expected a {wanted} to open the key")]
    WrongSecret {
        /// What opens it.
        wanted: &'static str,
    },
    /// A URI that names no key of a token.
    #[error(
        "expected a URI such as pkcs11:token=alice;object=root?module-path=/usr/lib/p11.so: {why}"
    )]
    Uri {
        /// What is wrong with it.
        why: String,
    },
    /// A token, or the library that speaks to it, failed.
    #[error("token cannot {what}: {why}")]
    Token {
        /// What was asked of it.
        what: &'static str,
        /// What it said.
        why: String,
    },
    /// The system gives no random numbers.
    #[error("system gives no random numbers")]
    Random(#[source] getrandom::Error),
    /// PKCS#8 or its encryption failed, which a well-formed key never does.
    #[error("key cannot be written as PKCS#8")]
    Encoding,
}

/// The public half of a holder's key. On disk: `{"holder", "algorithm", "public"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HolderPublic {
    /// Who holds the private half.
    pub holder: HolderName,
    /// The key.
    #[serde(flatten)]
    pub key: PublicKey,
}

/// A private key in memory: wiped when dropped, never printed.
pub(crate) struct PrivateKey(SigningKey);

impl PrivateKey {
    /// A key from the system's random numbers.
    pub(crate) fn generate() -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0u8; 32]);
        getrandom::fill(seed.as_mut_slice()).map_err(KeyError::Random)?;
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    pub(crate) fn public(&self) -> PublicKey {
        PublicKey::Ed25519(self.0.verifying_key().as_bytes().to_vec())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).to_bytes().to_vec()
    }

    /// PKCS#8 v1, without the public key: OpenSSL 3.0 does not read Ed25519 keys of version 2.
    fn to_der(&self) -> Result<SecretDocument, KeyError> {
        let bytes = KeypairBytes { secret_key: self.0.to_bytes(), public_key: None };
        bytes.to_pkcs8_der().map_err(|_| KeyError::Encoding)
    }

    pub(crate) fn to_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        let der = self.to_der()?;
        der.to_pem(PrivateKeyInfoRef::PEM_LABEL, LineEnding::LF).map_err(|_| KeyError::Encoding)
    }

    pub(crate) fn to_sealed(&self, passphrase: &Passphrase) -> Result<Zeroizing<String>, KeyError> {
        sealed::seal(self.to_der()?.as_bytes(), passphrase)
    }

    fn from_der(der: &[u8], path: &Path) -> Result<Self, KeyError> {
        let key = SigningKey::from_pkcs8_der(der);
        key.map(Self).map_err(|_| KeyError::Malformed { path: path.to_path_buf() })
    }

    /// Reads a key that must be in the clear.
    pub(crate) fn read_clear(path: &Path) -> Result<Self, KeyError> {
        match KeyFile::read(path)? {
            KeyFile::Clear(der) => Self::from_der(der.as_bytes(), path),
            KeyFile::Encrypted(_) | KeyFile::Sealed(_) => {
                Err(KeyError::Encrypted { path: path.to_path_buf() })
            }
        }
    }

    /// Reads a key that must be encrypted.
    pub(crate) fn read_encrypted(path: &Path, passphrase: &Passphrase) -> Result<Self, KeyError> {
        match KeyFile::read(path)? {
            KeyFile::Clear(_) => Err(KeyError::NotEncrypted { path: path.to_path_buf() }),
            encrypted @ (KeyFile::Encrypted(_) | KeyFile::Sealed(_)) => {
                let der = encrypted.open(path, Some(passphrase))?;
                Self::from_der(der.as_bytes(), path)
            }
        }
    }
}

/// Encrypts a PKCS#8 document of any algorithm with PBES2 (scrypt, AES-256-CBC) into PEM: for keys
/// of certificate authorities, which stock tools must be able to read. None of them reads Argon2id.
///
/// # Errors
/// No random numbers, or the document cannot be encoded.
pub fn encrypt_pkcs8(der: &[u8], passphrase: &Passphrase) -> Result<Zeroizing<String>, KeyError> {
    let mut parameters = pbes2::Parameters::generate_scrypt(&mut getrandom::SysRng)
        .map_err(|_| KeyError::Encoding)?;
    if let pbes2::Kdf::Scrypt(scrypt) = &mut parameters.kdf {
        scrypt.parallelization = SCRYPT_P;
    }
    let sealed = parameters.encrypt(passphrase.as_bytes(), der).map_err(|_| KeyError::Encoding)?;
    let info = pkcs8::EncryptedPrivateKeyInfoOwned {
        encryption_algorithm: parameters.into(),
        encrypted_data: pkcs8::der::asn1::OctetString::new(sealed)
            .map_err(|_| KeyError::Encoding)?,
    };
    let document = SecretDocument::try_from(info).map_err(|_| KeyError::Encoding)?;
    document
        .to_pem(EncryptedPrivateKeyInfoRef::PEM_LABEL, LineEnding::LF)
        .map_err(|_| KeyError::Encoding)
}

/// What a key file holds before any passphrase is asked for.
#[derive(Debug)]
pub enum KeyFile {
    /// PKCS#8 in the clear.
    Clear(SecretDocument),
    /// PKCS#8 under a passphrase: a CA's key, or a holder's from elsewhere.
    Encrypted(SecretDocument),
    /// A holder's key as this tool makes it.
    Sealed(Zeroizing<String>),
}

impl KeyFile {
    /// Reads a key file that only its owner can read.
    ///
    /// # Errors
    /// Readable by others, too large, or no key of a known form.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let file = File::open(path).map_err(FileError::io("read", path))?;
        let metadata = file.metadata().map_err(FileError::io("read", path))?;
        let mode = metadata.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Readable { path: path.to_path_buf(), mode });
        }
        let bytes = Zeroizing::new(durable::read_open(file, path, KEY_FILE_BYTES_MAX)?);
        let malformed = || KeyError::Malformed { path: path.to_path_buf() };
        let text = std::str::from_utf8(&bytes).map_err(|_| malformed())?;
        if text.starts_with('{') {
            return Ok(Self::Sealed(Zeroizing::new(text.to_owned())));
        }
        let label = pem::decode_label(text.as_bytes()).map_err(|_| malformed())?;
        let encrypted = EncryptedPrivateKeyInfoRef::validate_pem_label(label).is_ok();
        if !encrypted {
            PrivateKeyInfoRef::validate_pem_label(label).map_err(|_| malformed())?;
        }
        let (_, document) = SecretDocument::from_pem(text).map_err(|_| malformed())?;
        Ok(if encrypted { Self::Encrypted(document) } else { Self::Clear(document) })
    }

    /// The PKCS#8 document, decrypted where it needs to be.
    ///
    /// # Errors
    /// It is encrypted and the passphrase is missing or wrong, or asks for absurd amounts of
    /// memory.
    pub fn open(
        self,
        path: &Path,
        passphrase: Option<&Passphrase>,
    ) -> Result<SecretDocument, KeyError> {
        let path = path.to_path_buf();
        if let Self::Clear(document) = self {
            return Ok(document);
        }
        let Some(passphrase) = passphrase else {
            return Err(KeyError::Encrypted { path });
        };
        let document = match self {
            Self::Clear(document) => return Ok(document),
            Self::Encrypted(document) => document,
            Self::Sealed(text) => {
                return sealed::open(&text, passphrase).map_err(|why| match why {
                    NotOpened::Malformed => KeyError::Malformed { path },
                    NotOpened::WrongPassphrase => KeyError::WrongPassphrase { path },
                });
            }
        };
        let Ok(info) = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes()) else {
            return Err(KeyError::Malformed { path });
        };
        let scheme = info.encryption_algorithm.pbes2();
        let scrypt = scheme.and_then(|scheme| scheme.kdf.scrypt());
        if scrypt.is_some_and(|s| s.cost_parameter > SCRYPT_N_MAX || s.block_size > 8) {
            return Err(KeyError::Malformed { path });
        }
        info.decrypt(passphrase.as_bytes()).map_err(|_| KeyError::WrongPassphrase { path })
    }
}

/// Makes a holder's key and writes its two files: `out` (encrypted, mode 0600), then the public
/// half beside it. A power cut between the two leaves a key whose public half `key show` gives
/// again.
///
/// # Errors
/// A file exists, cannot be written, or there are no random numbers.
pub fn create_holder_key(
    holder: &HolderName,
    out: &Path,
    passphrase: &Passphrase,
) -> Result<HolderPublic, KeyError> {
    let public_path = out.with_extension("pub");
    if public_path.exists() {
        return Err(FileError::Exists { path: public_path }.into());
    }
    let key = PrivateKey::generate()?;
    durable::write_new(out, key.to_sealed(passphrase)?.as_bytes(), Access::Private)?;
    let public = HolderPublic { holder: holder.clone(), key: key.public() };
    let json = serde_json::to_vec(&public).map_err(|_| KeyError::Encoding)?;
    durable::write_new(&public_path, &json, Access::Public)?;
    Ok(public)
}

/// Writes the key in `from` to the new file `to`, under another passphrase.
///
/// # Errors
/// The key does not open, the new file exists, or it cannot be written.
pub fn protect_again(
    from: &Path,
    old: &Passphrase,
    to: &Path,
    new: &Passphrase,
) -> Result<(), KeyError> {
    let key = PrivateKey::read_encrypted(from, old)?;
    durable::write_new(to, key.to_sealed(new)?.as_bytes(), Access::Private)?;
    Ok(())
}

#[cfg(test)]
mod tests;
