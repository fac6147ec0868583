//! The keys that seal a device's log. Each boot, and each long day, begins an epoch: the device
//! makes an Ed25519 key, has its public half signed by the epoch before (the first by the device's
//! own identity), records that, and erases the older secret. Who takes a device over so can seal
//! what comes, never what was: the secrets are gone.
//!
//! Epochs are counted and start at a sequence, never at a time: the clocks of devices lie.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lazaret_protocol::key::PublicKey;

use super::record::Record;
use crate::log::{Detail, DetailValue, Kind};
use crate::tlog::note::{SignatureType, VerifierKey};

/// The kind of the record that begins an epoch.
pub const EPOCH: Kind = Kind::known("epoch");

const DOMAIN: &str = "lazaret-epoch/v1";
const VOUCHED: &str = "lazaret-epoch-vouched/v1";

/// What a new epoch's predecessor signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEpoch {
    /// The log's name, as in its checkpoints.
    pub origin: String,
    /// Which epoch, from 1 on.
    pub number: u64,
    /// The sequence of the record that begins it.
    pub seq: u64,
    /// Its public key.
    pub public: [u8; 32],
}

impl NewEpoch {
    /// The bytes that the predecessor signs: texts and numbers a line each, so that no two
    /// statements have the same bytes.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        self.said(DOMAIN)
    }

    /// The bytes that the device's identity signs beside that, so that the epoch is known for the
    /// device's where everything before it was pruned.
    #[must_use]
    pub fn voucher(&self) -> Vec<u8> {
        self.said(VOUCHED)
    }

    fn said(&self, domain: &str) -> Vec<u8> {
        let Self { origin, number, seq, public } = self;
        let public = STANDARD.encode(public);
        alloc::format!("{domain}\n{origin}\n{number}\n{seq}\n{public}\n").into_bytes()
    }

    /// The particulars of its record, with the predecessor's signature over [`Self::message`] and
    /// the identity's over [`Self::voucher`].
    #[must_use]
    pub fn detail(&self, signature: &[u8], voucher: &[u8]) -> Detail {
        Detail::none()
            .number("number", self.number)
            .text("public", STANDARD.encode(self.public))
            .text("signature", STANDARD.encode(signature))
            .text("voucher", STANDARD.encode(voucher))
    }

    /// The epoch that a record says it begins.
    ///
    /// # Errors
    /// It begins none, or lacks a particular.
    pub fn of(origin: &str, record: &Record) -> Result<Self, EpochError> {
        let seq = record.seq;
        let unreadable = |detail| EpochError::Unreadable { seq, detail };
        if record.kind != EPOCH {
            return Err(unreadable("kind"));
        }
        let number = natural(record, "number").ok_or(unreadable("number"))?;
        let public = bytes(record, "public").and_then(|bytes| bytes.try_into().ok());
        let public: [u8; 32] = public.ok_or(unreadable("public"))?;
        Ok(Self { origin: origin.to_string(), number, seq, public })
    }
}

/// A record that claims to begin an epoch and does not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EpochError {
    /// It lacks a particular.
    #[error("record {seq} begins an epoch without a readable {detail}")]
    Unreadable {
        /// Which record.
        seq: u64,
        /// Which particular.
        detail: &'static str,
    },
    /// An epoch is left out, or told twice.
    #[error("expected record {seq} to begin epoch {expected}, it begins {got}")]
    Number {
        /// Which record.
        seq: u64,
        /// Which epoch is next.
        expected: u64,
        /// Which one it says.
        got: u64,
    },
    /// The device's identity has not vouched for it.
    #[error("record {seq} begins epoch {number}, for which the device's identity has not vouched")]
    NotVouched {
        /// Which record.
        seq: u64,
        /// Which epoch.
        number: u64,
    },
    /// The epoch before has not signed it.
    #[error("record {seq} begins epoch {number} without the signature of the one before")]
    NotSigned {
        /// Which record.
        seq: u64,
        /// Which epoch.
        number: u64,
    },
}

/// The epochs of a log as far as they are proved, and the key of the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Epochs {
    origin: String,
    number: u64,
    key: PublicKey,
}

impl Epochs {
    /// Before the first epoch: what the device's identity key signs begins it.
    #[must_use]
    pub fn before_first(origin: &str, identity: PublicKey) -> Self {
        Self { origin: origin.to_string(), number: 0, key: identity }
    }

    /// In the midst of a pruned log: from an epoch whose key is known otherwise, such as from the
    /// witness' record of it.
    #[must_use]
    pub fn after(origin: &str, number: u64, public: [u8; 32]) -> Self {
        Self { origin: origin.to_string(), number, key: PublicKey::Ed25519(public.to_vec()) }
    }

    /// In the midst of a pruned log: from the record of an epoch that is known otherwise, by the
    /// word of the device's identity.
    ///
    /// # Errors
    /// The record begins no epoch, or the identity has not vouched for it.
    pub fn vouched(
        origin: &str,
        identity: &PublicKey,
        record: &Record,
    ) -> Result<Self, EpochError> {
        let epoch = NewEpoch::of(origin, record)?;
        let (seq, number) = (epoch.seq, epoch.number);
        let voucher = bytes(record, "voucher");
        let voucher = voucher.ok_or(EpochError::Unreadable { seq, detail: "voucher" })?;
        identity
            .verify(&epoch.voucher(), &voucher)
            .map_err(|_| EpochError::NotVouched { seq, number })?;
        Ok(Self::after(origin, number, epoch.public))
    }

    /// How many epochs have begun.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// The public half of the key that seals the log at this point; none before the first epoch.
    #[must_use]
    pub fn public(&self) -> Option<[u8; 32]> {
        let PublicKey::Ed25519(public) = &self.key else { return None };
        let public = public.as_slice().try_into().ok()?;
        (self.number > 0).then_some(public)
    }

    /// The key that seals the log at this point, under the log's name; none before the first epoch.
    #[must_use]
    pub fn verifier(&self) -> Option<VerifierKey> {
        VerifierKey::new(&self.origin, SignatureType::Ed25519, self.public()?).ok()
    }

    /// Takes the next record of the log, which may begin an epoch.
    ///
    /// # Errors
    /// It says that it begins one, and does not follow from the epoch before.
    pub fn take(&mut self, record: &Record) -> Result<(), EpochError> {
        if record.kind != EPOCH {
            return Ok(());
        }
        let seq = record.seq;
        let unreadable = |detail| EpochError::Unreadable { seq, detail };
        let got = natural(record, "number").ok_or(unreadable("number"))?;
        let expected = self.number.saturating_add(1);
        if got != expected {
            return Err(EpochError::Number { seq, expected, got });
        }
        let epoch = NewEpoch::of(&self.origin, record)?;
        let signature = bytes(record, "signature").ok_or(unreadable("signature"))?;
        self.key
            .verify(&epoch.message(), &signature)
            .map_err(|_| EpochError::NotSigned { seq, number: got })?;
        self.number = got;
        self.key = PublicKey::Ed25519(epoch.public.to_vec());
        Ok(())
    }
}

fn natural(record: &Record, key: &str) -> Option<u64> {
    match detail(record, key)? {
        DetailValue::Natural(number) => Some(*number),
        _ => None,
    }
}

fn bytes(record: &Record, key: &str) -> Option<Vec<u8>> {
    match detail(record, key)? {
        DetailValue::Text(text) => STANDARD.decode(text).ok(),
        _ => None,
    }
}

fn detail<'a>(record: &'a Record, key: &str) -> Option<&'a DetailValue> {
    record.detail.iter().find(|(name, _)| *name == key).map(|(_, value)| value)
}

#[cfg(test)]
pub(super) mod tests;
