//! The one key that fuzz targets trust. What lies behind a signature check is reached only by
//! inputs that are signed, so targets sign what they are given.

use std::sync::LazyLock;

use ed25519_dalek::{Signer as _, SigningKey};
use lazaret_protocol::canonical;
use lazaret_protocol::key::PublicKey;
use lazaret_protocol::signed::{Envelope, EnvelopeSignature, pre_authentication_encoding};
use serde_json::{Value, json};

static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_bytes(&[0x17; 32]));

/// The key's name in TUF metadata.
pub(crate) const TUF_KEY_ID: &str = "k";

/// The key as TUF spells it.
pub(crate) fn tuf_key() -> Value {
    json!({
        "keytype": "ed25519", "scheme": "ed25519",
        "keyval": {"public": hex::encode(KEY.verifying_key().as_bytes())},
    })
}

/// The key as our own messages spell it.
pub(crate) fn public_key() -> PublicKey {
    PublicKey::Ed25519(KEY.verifying_key().as_bytes().to_vec())
}

/// A metadata file of what is to be signed; none where that has no canonical form.
pub(crate) fn tuf_file(signed: &Value) -> Option<Vec<u8>> {
    let message = canonical::value_to_bytes(signed).ok()?;
    let sig = hex::encode(KEY.sign(&message).to_bytes());
    serde_json::to_vec(
        &json!({"signatures": [{"keyid": TUF_KEY_ID, "sig": sig}], "signed": signed}),
    )
    .ok()
}

/// An envelope around any payload.
pub(crate) fn envelope(payload_type: &str, payload: &[u8]) -> Envelope {
    let sig = KEY.sign(&pre_authentication_encoding(payload_type, payload)).to_bytes().to_vec();
    let signatures = vec![EnvelopeSignature { keyid: public_key().key_id(), sig }];
    Envelope { payload_type: payload_type.into(), payload: payload.to_vec(), signatures }
}
