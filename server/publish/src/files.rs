//! The metadata files of one repository, by name, as they are served.

use std::collections::BTreeMap;

use lazaret_repo_keys_signing::{FileName, RoleName};

/// Metadata files by name: `3.snapshot.json`, `timestamp.json`. The latest of each role is what
/// counts; older roots are welcome, other older files are not looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Files(pub BTreeMap<String, Vec<u8>>);

impl Files {
    /// The file of that name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name).map(Vec::as_slice)
    }

    /// The latest file of a role.
    #[must_use]
    pub fn latest(&self, role: &RoleName) -> Option<&[u8]> {
        self.versions(role).into_values().next_back()
    }

    /// Every version of a role that is at hand.
    #[must_use]
    pub fn versions(&self, role: &RoleName) -> BTreeMap<u64, &[u8]> {
        let version = |name: &str| match name.parse() {
            Ok(FileName::Versioned { role: of, version }) if of == *role => Some(version),
            Ok(name @ FileName::Timestamp) if name == FileName::of(role.clone(), 1) => Some(1),
            _ => None,
        };
        let files = self.0.iter();
        files.filter_map(|(name, bytes)| Some((version(name)?, bytes.as_slice()))).collect()
    }

    /// These files with others added or replaced.
    #[must_use]
    pub fn with(mut self, files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        self.0.extend(files);
        self
    }
}

impl FromIterator<(String, Vec<u8>)> for Files {
    fn from_iter<I: IntoIterator<Item = (String, Vec<u8>)>>(files: I) -> Self {
        Self(files.into_iter().collect())
    }
}
