//! A key in a PKCS#11 token (v2.40): a smart card, a secure element, an HSM, or SoftHSM2 in tests.

use std::path::Path;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11 as Module};
use cryptoki::error::Error;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use lazaret_protocol::key::PublicKey;
use sha2::{Digest as _, Sha256};

use super::{KeyStore, KeyStoreError, der};

/// The curve prime256v1, as an object identifier in DER (RFC 5480, 2.1.1.1).
const P256_OID: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// An uncompressed point of P-256, inside an OCTET STRING (PKCS#11, CKA_EC_POINT).
const POINT_BYTES: u8 = 65;

/// Longest file of a PIN, in bytes.
const PIN_FILE_BYTES_MAX: u64 = 1024;

/// An open session with a token, logged in.
pub(crate) struct Pkcs11 {
    session: Session,
    label: String,
}

impl Pkcs11 {
    /// Opens the token of that label and logs in with the PIN in the file's first line.
    ///
    /// # Errors
    /// The module cannot be loaded, there is no such token, or the PIN is wrong.
    pub(crate) fn open(
        module: &Path,
        token: &str,
        key: &str,
        pin_file: &Path,
    ) -> Result<Self, KeyStoreError> {
        let pin = read_pin(pin_file)?;
        let module = Module::new(module).map_err(cannot("be loaded"))?;
        let threads = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
        module.initialize(threads).map_err(cannot("be initialised"))?;
        let slots = module.get_slots_with_initialized_token().map_err(cannot("list its slots"))?;
        let mut labels = Vec::new();
        for slot in slots {
            let info = module.get_token_info(slot).map_err(cannot("say what it is"))?;
            if info.label() != token {
                labels.push(info.label().to_owned());
                continue;
            }
            let session = module.open_rw_session(slot).map_err(cannot("open a session"))?;
            session.login(UserType::User, Some(&pin)).map_err(cannot("log in with that PIN"))?;
            return Ok(Self { session, label: key.to_owned() });
        }
        Err(KeyStoreError::NoToken { wanted: token.to_owned(), found: labels.join(", ") })
    }

    /// The one object of a class with the key's label.
    fn find(&self, class: ObjectClass) -> Result<Option<ObjectHandle>, KeyStoreError> {
        let template = [
            Attribute::Class(class),
            Attribute::Token(true),
            Attribute::Label(self.label.clone().into_bytes()),
        ];
        let found = self.session.find_objects(&template).map_err(cannot("look for the key"))?;
        match found[..] {
            [] => Ok(None),
            [object] => Ok(Some(object)),
            _ => Err(KeyStoreError::Ambiguous { label: self.label.clone(), found: found.len() }),
        }
    }

    fn point(&self, public: ObjectHandle) -> Result<PublicKey, KeyStoreError> {
        let attributes = self
            .session
            .get_attributes(public, &[AttributeType::EcPoint])
            .map_err(cannot("give the public key out"))?;
        let malformed = KeyStoreError::Malformed { expected: "the point of a P-256 key" };
        let Some(Attribute::EcPoint(point)) = attributes.into_iter().next() else {
            return Err(malformed);
        };
        // DER: tag 4, OCTET STRING, and the length. Some modules leave both out.
        let point = point.strip_prefix(&[0x04, POINT_BYTES][..]).unwrap_or(&point);
        p256::PublicKey::from_sec1_bytes(point).map_err(|_| malformed)?;
        Ok(PublicKey::EcdsaP256(point.to_vec()))
    }
}

impl KeyStore for Pkcs11 {
    fn public(&mut self) -> Result<Option<PublicKey>, KeyStoreError> {
        match self.find(ObjectClass::PUBLIC_KEY)? {
            Some(public) => self.point(public).map(Some),
            None => Ok(None),
        }
    }

    fn create(&mut self) -> Result<PublicKey, KeyStoreError> {
        let label = Attribute::Label(self.label.clone().into_bytes());
        let public = [
            Attribute::Token(true),
            Attribute::KeyType(KeyType::EC),
            Attribute::EcParams(P256_OID.to_vec()),
            Attribute::Verify(true),
            label.clone(),
        ];
        let private = [
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
            label,
        ];
        let (public, _) = self
            .session
            .generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private)
            .map_err(cannot("make a key"))?;
        self.point(public)
    }

    fn sign(&mut self, message: &[u8]) -> Result<Vec<u8>, KeyStoreError> {
        let key = self.find(ObjectClass::PRIVATE_KEY)?.ok_or(KeyStoreError::NoKey)?;
        let digest = Sha256::digest(message);
        let signature =
            self.session.sign(&Mechanism::Ecdsa, key, &digest).map_err(cannot("sign"))?;
        der(&signature)
    }
}

fn cannot(what: &'static str) -> impl Fn(Error) -> KeyStoreError {
    move |source| KeyStoreError::Pkcs11 { what, source: Box::new(source) }
}

fn read_pin(path: &Path) -> Result<AuthPin, KeyStoreError> {
    let failed = |source| KeyStoreError::File { path: path.to_owned(), source };
    let length = std::fs::metadata(path).map_err(failed)?.len();
    if length > PIN_FILE_BYTES_MAX {
        return Err(KeyStoreError::Malformed { expected: "a PIN file of at most 1024 bytes" });
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    let pin = text.lines().next().unwrap_or_default();
    if pin.is_empty() {
        return Err(KeyStoreError::Malformed { expected: "a PIN in the first line of its file" });
    }
    Ok(AuthPin::from(pin.to_owned()))
}
