//! A metadata file as it came (TUF 4.2.1): what is signed, and the signatures over it.
//!
//! What is verified is the canonical form of the `signed` value that was received, with every field
//! it has, known or not; never a form that was written anew from what this client understood.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use lazaret_protocol::canonical;
use lazaret_protocol::time::Timestamp;
use serde_json::{Map, Value};

use crate::error::TufError;
use crate::json;
use crate::keys::{RoleKeys, Signature};
use crate::limits::Limits;

/// A file that parses, not yet trusted.
pub(crate) struct Envelope {
    role: String,
    signed: Map<String, Value>,
    message: Vec<u8>,
    signatures: Vec<Signature>,
}

/// What all roles' metadata says first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) version: u64,
    pub(crate) expires: Timestamp,
}

impl Envelope {
    /// Parses a file of `role`. Its length has been checked by whoever asked for it.
    pub(crate) fn read(role: &str, bytes: &[u8], limits: &Limits) -> Result<Self, TufError> {
        let refused = |why: String| TufError::Malformed { role: role.into(), why };
        let read = json::read(bytes, limits.json_values_max).map_err(refused)?;
        let Value::Object(mut file) = read else {
            return Err(refused("expected an object".into()));
        };
        let Some(Value::Array(signatures)) = file.remove("signatures") else {
            return Err(refused("expected a list of signatures".into()));
        };
        if signatures.len() > limits.signatures_max {
            let (max, got) = (limits.signatures_max, signatures.len());
            return Err(refused(format!("expected at most {max} signatures, got {got}")));
        }
        let signatures = signatures.iter().map(signature).collect::<Option<Vec<_>>>();
        let signatures =
            signatures.ok_or_else(|| refused("expected signatures of a keyid and a sig".into()))?;
        let Some(signed) = file.remove("signed").filter(Value::is_object) else {
            return Err(refused("expected a signed object".into()));
        };
        let message = canonical::value_to_bytes(&signed).map_err(|err| refused(err.to_string()))?;
        let Value::Object(signed) = signed else {
            return Err(refused("expected a signed object".into()));
        };
        Ok(Self { role: role.into(), signed, message, signatures })
    }

    /// **Check for an arbitrary software attack** (TUF 5.3.4, 5.4.2, 5.5.3, 5.6.3).
    pub(crate) fn check_signed_by(&self, keys: &RoleKeys) -> Result<(), TufError> {
        let got = keys.count(&self.message, &self.signatures);
        if got < keys.threshold() {
            let (role, needed) = (self.role.clone(), keys.threshold());
            return Err(TufError::ThresholdNotMet { role, needed, got });
        }
        Ok(())
    }

    /// Reads the fields that all roles have, and checks the kind of role (TUF 4.3).
    pub(crate) fn header(&self, kind: &'static str) -> Result<Header, TufError> {
        let role = || self.role.clone();
        let got = self.text("_type")?;
        if got != kind {
            return Err(TufError::WrongType { role: role(), expected: kind, got: got.into() });
        }
        let spec = self.text("spec_version")?;
        if spec.split('.').next() != Some("1") {
            return Err(TufError::SpecVersion { role: role(), got: spec.into() });
        }
        let version = self.signed.get("version").and_then(Value::as_u64).filter(|v| *v > 0);
        let version = version.ok_or_else(|| self.refused("expected a version of at least 1"))?;
        let expires = self.text("expires")?;
        // TUF 4.2.1 wants exactly YYYY-MM-DDTHH:MM:SSZ. Fractions of a second are let through,
        // since some repositories write them; offsets are not.
        let expires = expires.ends_with('Z').then(|| Timestamp::parse_rfc3339(expires).ok());
        let expires =
            expires.flatten().ok_or_else(|| self.refused("expected a date in expires"))?;
        Ok(Header { version, expires })
    }

    /// A field of what is signed.
    pub(crate) fn field(&self, name: &str) -> Option<&Value> {
        self.signed.get(name)
    }

    /// Takes a field of what is signed.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        self.signed.remove(name)
    }

    /// A field that is an object.
    pub(crate) fn object(&self, name: &str) -> Result<&Map<String, Value>, TufError> {
        let field = self.signed.get(name).and_then(Value::as_object);
        field.ok_or_else(|| self.refused(&format!("expected an object {name}")))
    }

    /// An error about this file.
    pub(crate) fn refused(&self, why: &str) -> TufError {
        TufError::Malformed { role: self.role.clone(), why: why.into() }
    }

    fn text(&self, name: &str) -> Result<&str, TufError> {
        let field = self.signed.get(name).and_then(Value::as_str);
        field.ok_or_else(|| self.refused(&format!("expected a string {name}")))
    }
}

/// A signature that is no hexadecimal text, such as the empty one of a key that has yet to sign,
/// is kept as one that holds over nothing.
fn signature(from: &Value) -> Option<Signature> {
    let key_id = from.get("keyid")?.as_str()?.into();
    let bytes = hex::decode(from.get("sig")?.as_str()?).unwrap_or_default();
    Some(Signature { key_id, bytes })
}
