//! The file of the wrapped keys, `tpm2-keys.json`: whole or not at all, whenever the power goes.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use tss_esapi::structures::{Private, Public};
use tss_esapi::traits::{Marshall as _, UnMarshall as _};

use super::{KeyStoreError, cannot};

/// Largest file, in bytes; one has some 900.
const FILE_BYTES_MAX: u64 = 16 * 1024;

/// Where the file is.
pub(super) struct Wrapped {
    file: PathBuf,
}

/// The keys of one device.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrappedKeys {
    pub(super) device: WrappedKey,
    pub(super) attestation: WrappedKey,
}

/// One key: its public area, and its secret half, which only its TPM can read; both in base64.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrappedKey {
    public: String,
    private: String,
}

impl WrappedKey {
    pub(super) fn of(public: &Public, private: &Private) -> Result<Self, KeyStoreError> {
        let public = public.marshall().map_err(cannot("write its public area"))?;
        let private = STANDARD.encode(private.value());
        Ok(Self { public: STANDARD.encode(public), private })
    }

    /// The public area as the TPM writes it.
    pub(super) fn public(&self) -> Result<Vec<u8>, KeyStoreError> {
        decoded(&self.public)
    }

    pub(super) fn parts(&self) -> Result<(Public, Private), KeyStoreError> {
        let public = Public::unmarshall(&self.public()?).map_err(cannot("read that key"))?;
        let private =
            Private::try_from(decoded(&self.private)?).map_err(cannot("read that key"))?;
        Ok((public, private))
    }
}

fn decoded(text: &str) -> Result<Vec<u8>, KeyStoreError> {
    STANDARD.decode(text).map_err(|_| KeyStoreError::Malformed { expected: "a key in base64" })
}

impl Wrapped {
    pub(super) fn in_folder(folder: &Path) -> Self {
        Self { file: folder.join("tpm2-keys.json") }
    }

    /// The keys; none where none were made.
    pub(super) fn load(&self) -> Result<Option<WrappedKeys>, KeyStoreError> {
        match fs::metadata(&self.file) {
            Err(err) if err.kind() == ErrorKind::NotFound => return Ok(None),
            Err(err) => return Err(self.failed(err)),
            Ok(found) if found.len() > FILE_BYTES_MAX => {
                return Err(KeyStoreError::Malformed {
                    expected: "wrapped keys of at most 16 KiB",
                });
            }
            Ok(_) => {}
        }
        let bytes = fs::read(&self.file).map_err(|err| self.failed(err))?;
        let malformed = |_| KeyStoreError::Malformed { expected: "wrapped keys in JSON" };
        serde_json::from_slice(&bytes).map(Some).map_err(malformed)
    }

    /// Keeps the keys, and is done only when they are on the disk.
    pub(super) fn keep(&self, keys: &WrappedKeys) -> Result<(), KeyStoreError> {
        let failed = |err| self.failed(err);
        let folder = self.file.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(failed)?;
        let bytes = serde_json::to_vec(keys)
            .map_err(|_| KeyStoreError::Malformed { expected: "keys that can be written" })?;
        let new = self.file.with_extension("new");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&new).map_err(failed)?;
        file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(failed)?;
        fs::rename(&new, &self.file).map_err(failed)?;
        fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
    }

    fn failed(&self, source: std::io::Error) -> KeyStoreError {
        KeyStoreError::File { path: self.file.clone(), source }
    }
}
