//! Keys in PKCS#11 tokens (OASIS PKCS#11 2.40 and 3.0): smart cards, HSMs, and SoftHSM2 in tests.
//! Ed25519 where the token has it, ECDSA over P-256 otherwise. Private keys are made in the token
//! and never leave it.

use std::path::PathBuf;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11 as Module};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use lazaret_protocol::key::PublicKey;
use sha2::{Digest as _, Sha256};

use super::{HolderSigner, Opened, Secret, Source, Wants};
use crate::key::KeyError;
use crate::passphrase::Pin;
use crate::role::OfflineRole;

pub(super) const SOURCE: Source = Source { scheme: "pkcs11", wants: Wants::Pin, open };

/// The curve prime256v1 as an object identifier in DER (RFC 5480, 2.1.1.1).
const P256_OID: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// The curve of Ed25519: as the name that PKCS#11 3.0 gives it, a PrintableString in DER, and as an
/// object identifier (RFC 8410, 3). Tokens take one or the other.
const ED25519_CURVES: [&[u8]; 2] = [b"\x13\x0cedwards25519", &[0x06, 0x03, 0x2b, 0x65, 0x70]];

/// Where a key is: a part of RFC 7512 that is enough to name one without doubt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenUri {
    /// The token's label.
    pub token: String,
    /// The label of the key pair in it.
    pub object: String,
    /// The library that speaks to the token.
    pub module: PathBuf,
}

impl TokenUri {
    /// Reads `token=alice;object=root?module-path=/usr/lib/p11.so`, which is what stands behind
    /// `pkcs11:`. Other attributes are refused: one that is not understood could mean another key.
    ///
    /// # Errors
    /// An attribute is missing, unknown, twice there, or not escaped as RFC 3986 has it. A PIN in
    /// the URI would be seen by everybody on the machine.
    pub fn parse(place: &str) -> Result<Self, KeyError> {
        let refused = |why: &str| KeyError::Uri { why: why.to_owned() };
        let (path, query) = place.split_once('?').unwrap_or((place, ""));
        let attributes = path.split(';').chain(query.split('&')).filter(|part| !part.is_empty());
        let (mut token, mut object, mut module) = (None, None, None);
        for attribute in attributes {
            let (name, value) =
                attribute.split_once('=').ok_or_else(|| refused("an attribute has no value"))?;
            let into = match name {
                "token" => &mut token,
                "object" => &mut object,
                "module-path" => &mut module,
                "pin-value" | "pin-source" => {
                    return Err(refused("the PIN is asked for or read from --pin-fd"));
                }
                other => return Err(refused(&format!("{other:.40?} is not understood"))),
            };
            let value = unescaped(value).ok_or_else(|| refused("a value is not escaped well"))?;
            if value.is_empty() || into.replace(value).is_some() {
                return Err(refused(&format!("{name} is empty or there twice")));
            }
        }
        Ok(Self {
            token: token.ok_or_else(|| refused("token is missing"))?,
            object: object.ok_or_else(|| refused("object is missing"))?,
            module: module.map(PathBuf::from).ok_or_else(|| refused("module-path is missing"))?,
        })
    }
}

/// Undoes the escapes of RFC 3986, 2.1.
fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        let mut decoded = [0u8];
        hex::decode_to_slice(digits, &mut decoded).ok()?;
        bytes.extend_from_slice(&decoded);
    }
    String::from_utf8(bytes).ok()
}

/// Which algorithm a new key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519 where the token makes such keys, ECDSA over P-256 otherwise.
    Best,
    /// Ed25519.
    Ed25519,
    /// ECDSA over P-256 with SHA-256.
    EcdsaP256,
}

/// Makes a key pair in a token and gives its public half.
///
/// # Errors
/// The token fails, refuses the PIN, or has a key of that name already.
pub fn create(place: &str, pin: &Pin, algorithm: Algorithm) -> Result<PublicKey, KeyError> {
    let token = Token::open(TokenUri::parse(place)?, pin)?;
    for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
        if !token.find(class)?.is_empty() {
            let why = format!("there is a key named {:?} already", token.object);
            return Err(KeyError::Token { what: "make a key", why });
        }
    }
    let edwards = token.mechanisms.contains(&MechanismType::ECC_EDWARDS_KEY_PAIR_GEN)
        && token.mechanisms.contains(&MechanismType::EDDSA);
    match algorithm {
        Algorithm::EcdsaP256 => token.generate(&Mechanism::EccKeyPairGen, P256_OID),
        Algorithm::Best if !edwards => token.generate(&Mechanism::EccKeyPairGen, P256_OID),
        Algorithm::Best | Algorithm::Ed25519 => {
            let [name, oid] = ED25519_CURVES;
            let mechanism = Mechanism::EccEdwardsKeyPairGen;
            token.generate(&mechanism, name).or_else(|_| token.generate(&mechanism, oid))
        }
    }
}

fn open(place: &str, secret: Secret) -> Opened {
    let Secret::Pin(pin) = secret else {
        return Err(KeyError::WrongSecret { wanted: "PIN" });
    };
    let token = Token::open(TokenUri::parse(place)?, &pin)?;
    let private = token.only(ObjectClass::PRIVATE_KEY)?;
    let public = token.public(token.only(ObjectClass::PUBLIC_KEY)?)?;
    Ok(Box::new(TokenSigner { token, private, public }))
}

struct TokenSigner {
    token: Token,
    private: ObjectHandle,
    public: PublicKey,
}

impl HolderSigner for TokenSigner {
    fn public(&self) -> PublicKey {
        self.public.clone()
    }

    fn sign(&self, _role: &OfflineRole, payload: &[u8]) -> Result<Vec<u8>, KeyError> {
        let session = &self.token.session;
        let failed = cannot("sign");
        let signature = if let PublicKey::Ed25519(_) = self.public {
            let mechanism = Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure));
            session.sign(&mechanism, self.private, payload).map_err(failed)?
        } else {
            let digest = Sha256::digest(payload);
            let raw = session.sign(&Mechanism::Ecdsa, self.private, &digest).map_err(failed)?;
            // PKCS#11 gives r and s side by side, TUF wants them in DER (TUF 4.2.2).
            let signature = p256::ecdsa::Signature::from_slice(&raw)
                .map_err(|_| malformed("a P-256 signature"))?;
            signature.to_der().as_bytes().to_vec()
        };
        // A token that signs with another key than it shows is found here, and not at the ceremony.
        self.public
            .verify(payload, &signature)
            .map_err(|_| malformed("a signature of the key that it shows"))?;
        Ok(signature)
    }
}

/// A session that is logged in.
struct Token {
    session: Session,
    object: String,
    mechanisms: Vec<MechanismType>,
}

impl Token {
    fn open(uri: TokenUri, pin: &Pin) -> Result<Self, KeyError> {
        let module = Module::new(&uri.module).map_err(cannot("be loaded"))?;
        let threads = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
        match module.initialize(threads) {
            // A second key of the same library in one run.
            Ok(()) => {}
            Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(err) => return Err(cannot("be initialised")(err)),
        }
        let slot = slot(&module, &uri.token)?;
        let mechanisms = module.get_mechanism_list(slot).map_err(cannot("say what it can do"))?;
        let session = module.open_rw_session(slot).map_err(cannot("open a session"))?;
        let pin = AuthPin::from(pin.expose().to_owned());
        match session.login(UserType::User, Some(&pin)) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
            Err(err) => return Err(cannot("be opened with this PIN")(err)),
        }
        Ok(Self { session, object: uri.object, mechanisms })
    }

    fn find(&self, class: ObjectClass) -> Result<Vec<ObjectHandle>, KeyError> {
        let label = Attribute::Label(self.object.clone().into_bytes());
        let template = [Attribute::Class(class), Attribute::Token(true), label];
        self.session.find_objects(&template).map_err(cannot("look for the key"))
    }

    fn only(&self, class: ObjectClass) -> Result<ObjectHandle, KeyError> {
        let found = self.find(class)?;
        if let [object] = found[..] {
            return Ok(object);
        }
        let why = format!("expected one {class} named {:?}, got {}", self.object, found.len());
        Err(KeyError::Token { what: "name the key", why })
    }

    fn generate(&self, mechanism: &Mechanism<'_>, curve: &[u8]) -> Result<PublicKey, KeyError> {
        let label = Attribute::Label(self.object.clone().into_bytes());
        let public = [
            Attribute::Token(true),
            Attribute::Private(false),
            Attribute::Verify(true),
            Attribute::EcParams(curve.to_vec()),
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
        let made = self.session.generate_key_pair(mechanism, &public, &private);
        let (public, _) = made.map_err(cannot("make a key"))?;
        self.public(public)
    }

    fn public(&self, object: ObjectHandle) -> Result<PublicKey, KeyError> {
        let wanted = [AttributeType::KeyType, AttributeType::EcPoint];
        let found = self.session.get_attributes(object, &wanted);
        let (mut kind, mut point) = (None, None);
        for attribute in found.map_err(cannot("show the public key"))? {
            match attribute {
                Attribute::KeyType(found) => kind = Some(found),
                Attribute::EcPoint(bytes) => point = Some(bytes),
                _ => {}
            }
        }
        let point = point.ok_or_else(|| malformed("a public key"))?;
        let bare = |length: u8| {
            // DER: tag 4, OCTET STRING, and the length. Some tokens leave both out.
            let bare = point.strip_prefix(&[0x04, length][..]).unwrap_or(&point);
            (bare.len() == usize::from(length)).then(|| bare.to_vec())
        };
        match kind {
            Some(KeyType::EC_EDWARDS) => bare(32).map(PublicKey::Ed25519),
            Some(KeyType::EC) => bare(65)
                .filter(|point| p256::PublicKey::from_sec1_bytes(point).is_ok())
                .map(PublicKey::EcdsaP256),
            _ => None,
        }
        .ok_or_else(|| malformed("an Ed25519 or P-256 key"))
    }
}

fn slot(module: &Module, label: &str) -> Result<Slot, KeyError> {
    let slots = module.get_slots_with_initialized_token().map_err(cannot("list its slots"))?;
    let mut found = Vec::new();
    for slot in slots {
        let info = module.get_token_info(slot).map_err(cannot("say what it is"))?;
        if info.label() == label {
            return Ok(slot);
        }
        found.push(format!("{:?}", info.label()));
    }
    let why = format!("expected a token named {label:?}, got {}", found.join(", "));
    Err(KeyError::Token { what: "be found", why })
}

fn malformed(expected: &str) -> KeyError {
    KeyError::Token { what: "be used", why: format!("expected {expected}, got something else") }
}

fn cannot(what: &'static str) -> impl Fn(Error) -> KeyError {
    move |err| KeyError::Token { what, why: err.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_names_one_key_and_carries_no_pin() {
        let uri = "token=my%20token;object=root?module-path=/usr/lib/p11.so";
        let wanted = TokenUri {
            token: "my token".to_owned(),
            object: "root".to_owned(),
            module: "/usr/lib/p11.so".into(),
        };
        assert_eq!(TokenUri::parse(uri).unwrap(), wanted);
        for bad in [
            "",
            "token=a;object=b",
            "token=a?module-path=/m",
            "token=a;object=b;object=c?module-path=/m",
            "token=a;object=b;id=%01?module-path=/m",
            "token=a;object=?module-path=/m",
            "token=%zz;object=b?module-path=/m",
            "token=a;object=b?module-path=/m&pin-value=1234",
        ] {
            let refused = TokenUri::parse(bad).unwrap_err();
            assert!(matches!(refused, KeyError::Uri { .. }), "{bad}: {refused:?}");
        }
    }
}
