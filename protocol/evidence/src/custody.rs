//! The custody log of one bundle: who did what with it and why, each act a leaf of a Merkle tree
//! whose head the server signs with every act. A list that is handed out can so be held against its
//! head by anyone, and two lists of one bundle against each other.

use alloc::string::String;
use alloc::vec::Vec;

use lazaret_protocol::canonical::{self, CanonicalError};
use lazaret_protocol::id::BundleId;
use lazaret_protocol::key::PublicKey;
use lazaret_protocol::operator::CustodyEntry;

use crate::tlog::checkpoint::{Checkpoint, CheckpointError};
use crate::tlog::note::{NoteError, SignatureType, SignedNote, VerifierKey};
use crate::tlog::tile::TileError;
use crate::tlog::tree::{Edge, leaf_hash};

/// The name under which a server signs custody logs.
pub const CUSTODY_NAME: &str = "lazaret.dev/custody";

/// A custody log that proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CustodyError {
    /// An act has no canonical form.
    #[error("an act has no canonical form")]
    Act(#[source] CanonicalError),
    /// The tree cannot be made.
    #[error("the tree over the acts cannot be made")]
    Tree(#[source] TileError),
    /// Nobody trusted has signed the head.
    #[error("the head of the custody log is not signed by the server")]
    Note(#[source] NoteError),
    /// What was signed is no checkpoint.
    #[error("the head of the custody log is no checkpoint")]
    Checkpoint(#[source] CheckpointError),
    /// The acts are not those that were signed: one was left out, added or changed.
    #[error("expected {sealed} acts as they were signed, found {found}, or others")]
    Changed {
        /// How many were signed.
        sealed: u64,
        /// How many there are.
        found: u64,
    },
    /// The head is of another bundle.
    #[error("the head is of the log {got:?}")]
    Origin {
        /// Of which.
        got: String,
    },
}

/// The name of the custody log of a bundle.
#[must_use]
pub fn origin(bundle: &BundleId) -> String {
    alloc::format!("{CUSTODY_NAME}/{bundle}")
}

/// The head over these acts.
///
/// # Errors
/// An act has no canonical form.
pub fn head(bundle: &BundleId, acts: &[CustodyEntry]) -> Result<Checkpoint, CustodyError> {
    let mut tree = Edge::new();
    for act in acts {
        let leaf = canonical::to_json(act).map_err(CustodyError::Act)?;
        tree.push(leaf_hash(&leaf)).map_err(CustodyError::Tree)?;
    }
    let (size, root) = (tree.size(), tree.root());
    Ok(Checkpoint { origin: origin(bundle), size, root, extensions: Vec::new() })
}

/// The server's keys under the name for custody.
#[must_use]
pub fn custody_keys(keys: &[PublicKey]) -> Vec<VerifierKey> {
    let ed25519 = keys.iter().filter_map(|key| match key {
        PublicKey::Ed25519(bytes) => <[u8; 32]>::try_from(bytes.as_slice()).ok(),
        _ => None,
    });
    let named = |public| VerifierKey::new(CUSTODY_NAME, SignatureType::Ed25519, public).ok();
    ed25519.filter_map(named).collect()
}

/// Checks that the server signed exactly these acts.
///
/// # Errors
/// It did not.
pub fn verify(
    bundle: &BundleId,
    acts: &[CustodyEntry],
    seal: &str,
    keys: &[PublicKey],
) -> Result<(), CustodyError> {
    let note = SignedNote::parse(seal).map_err(CustodyError::Note)?;
    note.verify(&custody_keys(keys)).map_err(CustodyError::Note)?;
    let sealed: Checkpoint = note.text().parse().map_err(CustodyError::Checkpoint)?;
    if sealed.origin != origin(bundle) {
        return Err(CustodyError::Origin { got: sealed.origin });
    }
    let found = head(bundle, acts)?;
    if found == sealed {
        return Ok(());
    }
    Err(CustodyError::Changed { sealed: sealed.size, found: found.size })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;
    use alloc::vec;
    use ed25519_dalek::{Signer as _, SigningKey};
    use lazaret_protocol::time::Timestamp;

    fn act(n: u64) -> CustodyEntry {
        let (at, who, act) = (Timestamp::from_ms(n), "ana".to_string(), "pulled".to_string());
        CustodyEntry { at, who, act, reason: None }
    }

    #[test]
    fn acts_left_out_added_changed_or_of_another_bundle_are_found() {
        let signer = SigningKey::from_bytes(&[3; 32]);
        let keys = vec![PublicKey::Ed25519(signer.verifying_key().to_bytes().to_vec())];
        let bundle: BundleId = "b-1".parse().unwrap();
        let acts: Vec<CustodyEntry> = (0..5).map(act).collect();
        let text = head(&bundle, &acts).unwrap().to_string();
        let key = custody_keys(&keys).remove(0);
        let signature = signer.sign(&key.message(&text, 0)).to_bytes();
        let seal = SignedNote::new(text, vec![key.signed(0, &signature)]).unwrap().to_text();
        assert_eq!(verify(&bundle, &acts, &seal, &keys), Ok(()));
        let mut fewer = acts.clone();
        fewer.remove(2);
        let mut other = acts.clone();
        other[2].who = "bob".to_string();
        for changed in [&fewer, &other] {
            let refused = verify(&bundle, changed, &seal, &keys);
            assert!(matches!(refused, Err(CustodyError::Changed { sealed: 5, .. })), "{refused:?}");
        }
        let refused = verify(&"b-2".parse().unwrap(), &acts, &seal, &keys);
        assert!(matches!(refused, Err(CustodyError::Origin { .. })), "{refused:?}");
        let stranger = vec![PublicKey::Ed25519(vec![9; 32])];
        assert!(matches!(verify(&bundle, &acts, &seal, &stranger), Err(CustodyError::Note(_))));
    }
}
