//! What artifacts are called.

use alloc::borrow::Cow;
use alloc::string::{String, ToString as _};

use lazaret_protocol::id::BundleId;
use serde::{Deserialize, Serialize};

use super::FAILED_SUFFIX;

/// The name of an artifact: `[a-z0-9][a-z0-9._-]{0,63}`, and not ending in `.failed`, which would
/// make its file the note of a failure.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ArtifactName(Cow<'static, str>);

/// A text that is not the name of an artifact.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected an artifact name of the form [a-z0-9][a-z0-9._-]{{0,63}} without {FAILED_SUFFIX:?} \
     at its end, got {got:?}"
)]
pub struct ArtifactNameError {
    /// What came, cut after 64 characters.
    pub got: String,
}

impl ArtifactName {
    /// A name that stands in the source. Tests hold it to the form.
    #[must_use]
    pub const fn known(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ArtifactName {
    type Error = ArtifactNameError;
    fn try_from(text: String) -> Result<Self, ArtifactNameError> {
        // Bundle ids have the same form; borrowing their check keeps the form in one place.
        let well_formed = text.parse::<BundleId>().is_ok() && !text.ends_with(FAILED_SUFFIX);
        if !well_formed {
            return Err(ArtifactNameError { got: text.chars().take(64).collect() });
        }
        Ok(Self(Cow::Owned(text)))
    }
}

impl core::str::FromStr for ArtifactName {
    type Err = ArtifactNameError;
    fn from_str(text: &str) -> Result<Self, ArtifactNameError> {
        text.to_string().try_into()
    }
}

impl From<ArtifactName> for String {
    fn from(name: ArtifactName) -> Self {
        name.0.into_owned()
    }
}

impl core::fmt::Display for ArtifactName {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0)
    }
}
