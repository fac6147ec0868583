//! Names of things, one type each, so that a device can never stand where a rollout is meant. Every
//! one is checked when it is made; nothing here looks anything up.

use alloc::string::{String, ToString};
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest identifier, in bytes. DESIGN section 3 fixes the form `[a-z0-9][a-z0-9._-]{0,63}`: it is
/// safe in a file name, a URL path, an X.509 common name and a log line without any escaping.
pub const ID_BYTES_MAX: usize = 64;

/// A text that is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a {kind} of the form [a-z0-9][a-z0-9._-]{{0,63}}, got {got:?}")]
pub struct IdError {
    /// What it should have named, such as `device id`.
    pub kind: &'static str,
    /// What came, cut after 64 characters.
    pub got: String,
}

fn check(kind: &'static str, text: &str) -> Result<(), IdError> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let well_formed = bytes.len() <= ID_BYTES_MAX
        && bytes.first().is_some_and(|&b| plain(b))
        && bytes.iter().all(|&b| plain(b) || matches!(b, b'.' | b'_' | b'-'));
    if well_formed {
        return Ok(());
    }
    Err(IdError { kind, got: text.chars().take(ID_BYTES_MAX).collect() })
}

macro_rules! identifiers {
    ($($(#[$doc:meta])* $name:ident = $kind:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                check($kind, text)?;
                Ok(Self(text.to_string()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                check($kind, &text)?;
                Ok(Self(text))
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

identifiers! {
    /// One enrolled machine.
    DeviceId = "device id";
    /// A hardware model; its images are signed by the TUF role `rel-<model>`.
    ModelName = "model name";
    /// The version of a release, as people read it. Order is by release counter, never by this
    /// text.
    VersionName = "version name";
    /// What is printed on the machine; a claim is bound to it.
    SerialNumber = "serial number";
    /// A staged deployment.
    RolloutId = "rollout id";
    /// A collection of evidence and the bundle it yields.
    BundleId = "bundle id";
    /// Something that got in, or may have.
    IncidentId = "incident id";
    /// What a bundle is to hold, and what collecting it may cost.
    ProfileName = "profile name";
    /// Containment of a set of devices, or a release from it.
    ActId = "act id";
    /// A person who may act on the server.
    OperatorName = "operator name";
    /// A person who holds an offline key.
    HolderName = "holder name";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_outside_the_form_are_refused() {
        for bad in ["", "-a", ".a", "A", "a/b", "a b", "ü", "a\u{0}", &"a".repeat(65)] {
            assert!(bad.parse::<DeviceId>().is_err(), "{bad:?} was accepted");
        }
        for good in ["a", "0", "d-41", "gw2.1_x", &"a".repeat(64)] {
            assert!(good.parse::<DeviceId>().is_ok(), "{good:?} was refused");
        }
    }

    #[test]
    fn an_identifier_is_checked_when_it_is_deserialised() {
        assert!(serde_json::from_str::<DeviceId>("\"../etc\"").is_err());
    }
}
