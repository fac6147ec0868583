//! The key that seals a ring, and its checkpoint. One secret is on the disk at rest; around the
//! beginning of an epoch there are two, the one in force and the next, and the log says which it
//! is.

use std::path::PathBuf;

use ed25519_dalek::{Signer as _, SigningKey};
use lazaret_protocol::poll::LogHead;
use lazaret_protocol_evidence::device_log::epoch::NewEpoch;
use lazaret_protocol_evidence::log::Detail;
use lazaret_protocol_evidence::tlog::checkpoint::Checkpoint;
use lazaret_protocol_evidence::tlog::note::{SignatureType, SignedNote, VerifierKey};

use super::ring::Place;
use super::{ForensicLogError, Vouch};
use crate::durable::{self, Access, DurableError, told};

/// Largest checkpoint file, in bytes.
const CHECKPOINT_BYTES_MAX: u64 = 4096;

const SECRET_BYTES: usize = 32;

/// A checkpoint that is on the disk.
#[derive(Debug, Clone)]
pub(super) struct Sealed {
    pub(super) size: u64,
    pub(super) note: SignedNote,
}

/// The key of an epoch that is about to begin. Its secret is on the disk.
#[derive(Debug)]
pub(super) struct Next {
    key: SigningKey,
    detail: Detail,
}

impl Next {
    pub(super) fn detail(&self) -> Detail {
        self.detail.clone()
    }

    pub(super) fn public(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }
}

/// What seals a ring.
#[derive(Debug, Default)]
pub(super) struct Sealer {
    key: Option<SigningKey>,
    sealed: Option<Sealed>,
}

impl Sealer {
    /// The sealer of a ring whose last epoch has that public key, none before the first. Finishes
    /// an epoch's beginning that the power cut short.
    ///
    /// # Errors
    /// The files cannot be read or written; `None` where the secret of the last epoch is gone.
    pub(super) fn open(
        place: &Place,
        public: Option<[u8; 32]>,
    ) -> Result<Option<Self>, DurableError> {
        let sealed = checkpoint(place)?;
        let Some(public) = public else { return Ok(Some(Self { key: None, sealed })) };
        let fits = |key: &SigningKey| key.verifying_key().to_bytes() == public;
        if let Some(key) = secret(place, "next")?.filter(fits) {
            finish(place)?;
            return Ok(Some(Self { key: Some(key), sealed }));
        }
        let key = secret(place, "key")?.filter(fits);
        Ok(key.map(|key| Self { key: Some(key), sealed }))
    }

    pub(super) const fn sealed(&self) -> Option<&Sealed> {
        self.sealed.as_ref()
    }

    /// Makes the key of the next epoch, and puts its secret on the disk beside the one in force. It
    /// is there before the record that names it: a log whose last epoch nobody can seal is lost.
    pub(super) fn prepare(
        &self,
        place: &Place,
        (number, seq): (u64, u64),
        vouch: Vouch<'_>,
    ) -> Result<Next, ForensicLogError> {
        let mut secret = [0; SECRET_BYTES];
        getrandom::fill(&mut secret)
            .map_err(|err| ForensicLogError::Randomness { why: err.to_string() })?;
        let key = SigningKey::from_bytes(&secret);
        let origin = place.ring.origin(&place.device);
        let public = key.verifying_key().to_bytes();
        let epoch = NewEpoch { origin, number, seq, public };
        let signature = match &self.key {
            Some(before) => before.sign(&epoch.message()).to_bytes().to_vec(),
            None => vouch(&epoch.message())?,
        };
        let detail = epoch.detail(&signature, &vouch(&epoch.voucher())?);
        place.durable.folder(&place.folder.join("keys"))?;
        let path = secret_path(place, "next");
        place.durable.write(&path, &secret, Access::Owner, "forensic-epoch")?;
        Ok(Next { key, detail })
    }

    /// Puts the next key, whose record is on the disk, in the place of the one before.
    pub(super) fn promote(&mut self, place: &Place, next: Next) -> Result<(), ForensicLogError> {
        finish(place)?;
        self.key = Some(next.key);
        // The seal is by the key before; the ring is sealed anew at once.
        self.sealed = None;
        Ok(())
    }

    /// Signs the head and keeps that, durably.
    pub(super) fn seal(&mut self, place: &Place, head: &LogHead) -> Result<(), ForensicLogError> {
        let Some(key) = &self.key else { return Ok(()) };
        let origin = place.ring.origin(&place.device);
        let bad = |source| ForensicLogError::Note { source };
        let public = key.verifying_key().to_bytes();
        let by = VerifierKey::new(&origin, SignatureType::Ed25519, public).map_err(bad)?;
        let (size, root) = (head.size, head.hash);
        let text = Checkpoint { origin, size, root, extensions: Vec::new() }.to_string();
        let signature = key.sign(&by.message(&text, 0)).to_bytes();
        let note = SignedNote::new(text, vec![by.signed(0, &signature)]).map_err(bad)?;
        let path = place.folder.join(place.ring.as_str()).join("checkpoint");
        let bytes = note.to_text();
        place.durable.write(&path, bytes.as_bytes(), Access::Folder, "forensic-seal")?;
        self.sealed = Some(Sealed { size, note });
        Ok(())
    }
}

/// The checkpoint on the disk. One that cannot be read is none: it is replaced as a whole, so no
/// power cut leaves half of one.
fn checkpoint(place: &Place) -> Result<Option<Sealed>, DurableError> {
    let path = place.folder.join(place.ring.as_str()).join("checkpoint");
    let Some(bytes) = durable::read(&path, CHECKPOINT_BYTES_MAX)? else { return Ok(None) };
    let note = String::from_utf8(bytes).ok().and_then(|text| SignedNote::parse(&text).ok());
    Ok(note.and_then(|note| {
        let checkpoint: Checkpoint = note.text().parse().ok()?;
        Some(Sealed { size: checkpoint.size, note })
    }))
}

fn secret_path(place: &Place, which: &str) -> PathBuf {
    place.folder.join("keys").join(format!("{}.{which}", place.ring.as_str()))
}

fn secret(place: &Place, which: &str) -> Result<Option<SigningKey>, DurableError> {
    let most = u64::try_from(SECRET_BYTES).unwrap_or(0);
    let bytes = durable::read(&secret_path(place, which), most)?;
    let secret: Option<[u8; SECRET_BYTES]> = bytes.and_then(|bytes| bytes.try_into().ok());
    Ok(secret.map(|secret| SigningKey::from_bytes(&secret)))
}

/// Erases the secret in force and puts the next in its place. The record of the epoch is durable by
/// now, so from here on the next key is the right one, whether this ends or not: a power cut leaves
/// it as `next`, which the log names. Zeros go over the old secret before its name does, because a
/// name that is gone leaves its bytes on the disk. What a flash disk keeps of them elsewhere is
/// beyond a program.
fn finish(place: &Place) -> Result<(), DurableError> {
    let (old, next) = (secret_path(place, "key"), secret_path(place, "next"));
    let points = place.durable.points();
    let disk = place.durable.disk();
    if old.exists() {
        points.before("forensic-erase").map_err(told("erase", &old))?;
        disk.open(&old)
            .and_then(|file| {
                disk.write_at(&file, &old, &[0; SECRET_BYTES], 0)?;
                disk.sync(&file, &old)
            })
            .map_err(told("erase", &old))?;
        points.after("forensic-erase").map_err(told("erase", &old))?;
    }
    points.before("forensic-promote").map_err(told("rename to", &old))?;
    disk.rename(&next, &old).map_err(told("rename to", &old))?;
    place.durable.sync_folder(&place.folder.join("keys"))?;
    points.after("forensic-promote").map_err(told("rename to", &old))
}
