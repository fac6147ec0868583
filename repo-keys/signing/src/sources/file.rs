//! Keys in files under a passphrase.

use std::path::Path;

use lazaret_protocol::key::PublicKey;

use super::{HolderSigner, Opened, Secret, Source, Wants};
use crate::key::{KeyError, PrivateKey};
use crate::role::OfflineRole;

pub(super) const SOURCE: Source = Source { scheme: "file", wants: Wants::Passphrase, open };

struct FileSigner(PrivateKey);

impl HolderSigner for FileSigner {
    fn public(&self) -> PublicKey {
        self.0.public()
    }

    fn sign(&self, _role: &OfflineRole, payload: &[u8]) -> Result<Vec<u8>, KeyError> {
        Ok(self.0.sign(payload))
    }
}

fn open(place: &str, secret: Secret) -> Opened {
    let Secret::Passphrase(passphrase) = secret else {
        return Err(KeyError::WrongSecret { wanted: "passphrase" });
    };
    let key = PrivateKey::read_encrypted(Path::new(place), &passphrase)?;
    Ok(Box::new(FileSigner(key)))
}
