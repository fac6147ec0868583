//! What the server has to know of the repository it serves: which models there are, which anchors
//! devices are told to trust.

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::ModelName;
use lazaret_protocol::target::ANCHORS_TARGET;
use lazaret_repo_keys_signing::metadata::make;
use lazaret_repo_keys_signing::repository::{Files, Trusted};

use crate::error::PublishError;

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
