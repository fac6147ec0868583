//! Keys in PKCS#8 files under a passphrase.

use std::path::Path;

use lazaret_protocol::key::PublicKey;

use super::{Ask, HolderSigner, Opened, Source};
use crate::key::{KeyError, PrivateKey};
use crate::role::OfflineRole;

pub(super) const SOURCE: Source = Source { scheme: "file", open };

struct FileSigner(PrivateKey);

impl HolderSigner for FileSigner {
    fn public(&self) -> PublicKey {
        self.0.public()
    }

    fn sign(&self, _role: &OfflineRole, payload: &[u8]) -> Result<Vec<u8>, KeyError> {
        Ok(self.0.sign(payload))
    }
}

fn open(place: &str, ask: Ask<'_>) -> Opened {
    let passphrase = ask()?;
    let key = PrivateKey::read_encrypted(Path::new(place), &passphrase)?;
    Ok(Box::new(FileSigner(key)))
}
