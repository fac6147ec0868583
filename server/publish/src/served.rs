//! What the server has to know of the repository it serves: which files make it up, which models
//! there are, which anchors devices are told to trust.

use std::collections::BTreeMap;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::ModelName;
use lazaret_protocol::target::ANCHORS_TARGET;
use lazaret_repo_keys_signing::metadata::make;
use lazaret_repo_keys_signing::{FileName, RoleName};

use crate::error::PublishError;
use crate::files::Files;
use crate::trusted::{ROOT, Trusted};

impl Files {
    /// The names of the files that make up the repository: every root, because devices walk them
    /// one by one (TUF 5.3), and the latest file of each other role.
    #[must_use]
    pub fn current_names(&self) -> Vec<String> {
        let mut latest: BTreeMap<RoleName, (u64, &String)> = BTreeMap::new();
        let mut names = Vec::new();
        for name in self.0.keys() {
            match name.parse() {
                Ok(FileName::Timestamp) => names.push(name.clone()),
                Ok(FileName::Versioned { role, .. }) if role == ROOT => names.push(name.clone()),
                Ok(FileName::Versioned { role, version }) => {
                    let known = latest.entry(role).or_insert((version, name));
                    if version > known.0 {
                        *known = (version, name);
                    }
                }
                Err(_) => {}
            }
        }
        names.extend(latest.into_values().map(|(_, name)| name.clone()));
        names
    }
}

/// The models for which something is signed.
///
/// # Errors
/// The metadata at hand is not what the offline roles signed.
pub fn models(files: &Files) -> Result<Vec<ModelName>, PublishError> {
    Ok(Trusted::read(files)?.releases.into_keys().collect())
}

/// Digest and length of the anchors that the targets role signed; none where it signed none.
///
/// # Errors
/// The metadata at hand is not what the offline roles signed.
pub fn anchors(files: &Files) -> Result<Option<(Sha256Digest, u64)>, PublishError> {
    let trusted = Trusted::read(files)?;
    let listed = trusted.targets.signed.targets.iter();
    let mut anchors = listed.filter(|(name, _)| name.raw() == ANCHORS_TARGET);
    Ok(anchors.next().and_then(|(_, target)| Some((make::sha256_of(target)?, target.length))))
}
