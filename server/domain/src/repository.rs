//! The signed repository's metadata as records, so that activating a release is one commit.

use alloc::string::String;
use alloc::vec::Vec;

use lazaret_protocol::target::Urgency;
use serde::{Deserialize, Serialize};

use crate::record::Record;

/// One metadata file as it is served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetadataFile {
    /// Its name, such as `3.snapshot.json`.
    pub file: String,
    /// Its bytes; TUF metadata is UTF-8.
    pub text: String,
}

impl Record for MetadataFile {
    const KIND: &'static str = "metadata";
    fn name(&self) -> String {
        self.file.clone()
    }
}

/// A file that the signed repository names, by its digest: what may be served as a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedTarget {
    /// The targets' names, such as `gw2/2.0/image`: two releases may have the same image.
    pub targets: Vec<String>,
    /// Its digest.
    pub sha256: lazaret_protocol::digest::Sha256Digest,
    /// Its length in bytes.
    pub length: u64,
}

impl Record for PublishedTarget {
    const KIND: &'static str = "target";
    fn name(&self) -> String {
        alloc::format!("{}", self.sha256)
    }
}

/// What was said last about a role's expiry, so that it is said once and again when it gets worse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpiryWarning {
    /// The role.
    pub role: String,
    /// The version that it was said of.
    pub version: u64,
    /// How pressing it was.
    pub urgency: Urgency,
}

impl ExpiryWarning {
    /// What to say of a role, where something is to be said: it was not said of this version yet,
    /// or is more pressing by now.
    #[must_use]
    pub fn news(before: Option<&Self>, role: &str, version: u64, urgency: Urgency) -> Option<Self> {
        let said = before.filter(|said| said.version == version);
        let said = said.map_or(Urgency::Fine, |said| said.urgency);
        (urgency > said).then(|| Self { role: role.into(), version, urgency })
    }
}

impl Record for ExpiryWarning {
    const KIND: &'static str = "expiry-warning";
    fn name(&self) -> String {
        self.role.clone()
    }
}

/// Which versions are served, and the key that every activation rests on: two activations at once
/// cannot both win.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryHead {
    /// The version of `timestamp.json`.
    pub timestamp_version: u64,
    /// The files that make up the repository at present: every root, and the last of each other
    /// role.
    pub current: Vec<String>,
}

impl RepositoryHead {
    /// There is one per repository, and one repository per server in this form.
    pub const NAME: &'static str = "main";
}

impl Record for RepositoryHead {
    const KIND: &'static str = "repository";
    fn name(&self) -> String {
        Self::NAME.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of `role` at versions and urgencies in a row.
    fn told(looks: &[(u64, Urgency)]) -> Vec<(u64, Urgency)> {
        let mut said: Option<ExpiryWarning> = None;
        let mut all = Vec::new();
        for (version, urgency) in looks {
            if let Some(news) = ExpiryWarning::news(said.as_ref(), "root", *version, *urgency) {
                all.push((news.version, news.urgency));
                said = Some(news);
            }
        }
        all
    }

    #[test]
    fn a_role_is_warned_of_once_and_once_more_when_it_is_late() {
        use Urgency::{Expired, Fine, Soon};
        let looks = [(1, Fine), (1, Soon), (1, Soon), (1, Expired), (1, Expired)];
        assert_eq!(told(&looks), [(1, Soon), (1, Expired)]);
        // A server that was away while it was only pressing.
        assert_eq!(told(&[(1, Expired), (1, Soon), (1, Expired)]), [(1, Expired)]);
    }

    #[test]
    fn a_role_that_was_signed_again_is_warned_of_anew() {
        use Urgency::{Expired, Fine, Soon};
        let looks = [(1, Expired), (2, Fine), (2, Soon), (3, Fine)];
        assert_eq!(told(&looks), [(1, Expired), (2, Soon)]);
    }
}
