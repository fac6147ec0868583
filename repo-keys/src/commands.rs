//! The steps, one file each: what a command line means, and what it reads and writes.

pub mod anchors;
pub mod assemble;
pub mod ca;
pub mod ceremony;
pub mod change;
pub mod inspect;
pub mod key;
pub mod online;
pub mod payload;
pub mod responder;
pub mod sign;

use std::path::Path;

use lazaret_repo_keys_signing::HolderPublic;

use crate::error::StepError;
use crate::session::Step;

/// Keys of one role: more people than this do not share a key ceremony.
pub(crate) const HOLDERS_MAX: usize = 32;

pub(crate) fn read_public(step: &mut Step, path: &Path) -> Result<HolderPublic, StepError> {
    step.read_json(path, "a holder's public key {holder, algorithm, public}")
}

pub(crate) fn read_publics<P: AsRef<Path>>(
    step: &mut Step,
    paths: &[P],
) -> Result<Vec<HolderPublic>, StepError> {
    if paths.is_empty() || paths.len() > HOLDERS_MAX {
        let what = format!("expected 1 to {HOLDERS_MAX} public keys, got {}", paths.len());
        return Err(StepError::misuse(what));
    }
    paths.iter().map(|path| read_public(step, path.as_ref())).collect()
}
