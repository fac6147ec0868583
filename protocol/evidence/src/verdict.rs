//! What is to be thought of an evidence bundle: each check, how it came out, and whose doing a
//! fault can be. `crate::bundle` makes verdicts; nothing here checks anything.

use alloc::string::String;
use alloc::vec::Vec;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::DeviceId;
use lazaret_protocol::poll::LogRing;
use lazaret_protocol::sshsig::SshError;
use lazaret_protocol::time::Timestamp;

use crate::bundle::CertificateFault;
use crate::device_log::record::Record;
use crate::device_log::verify::LogFault;
use crate::manifest::{LogPart, Manifest, ManifestError};
use crate::sums::SumsError;
use crate::tlog::note::NoteError;

/// What is checked, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum CheckName {
    /// `device.pem` chains to the device CA.
    Certificate,
    /// The key of that certificate signed the manifest.
    Signature,
    /// The manifest is by the device that the certificate names.
    Device,
    /// That certificate was valid when the bundle was collected. Evidence outlives certificates, so
    /// the moment of the check does not matter.
    Validity,
    /// Every file that the manifest names is there.
    Complete,
    /// No file is there that the device did not sign for.
    NothingAdded,
    /// Every file has the digest and the length that the device signed for.
    Unchanged,
    /// `SHA256SUMS` is signed for OpenSSH too, by the same key.
    SshSignature,
    /// The forensic log's security ring is whole and sealed by its epochs.
    SecurityLog,
    /// The same of the operations ring.
    OperationsLog,
    /// The rings end where the manifest says.
    LogHeads,
    /// The rings go on from what the server witnessed.
    Witness,
}

impl CheckName {
    /// All checks, in their order.
    pub const ALL: [Self; 12] = [
        Self::Certificate,
        Self::Signature,
        Self::Device,
        Self::Validity,
        Self::Complete,
        Self::NothingAdded,
        Self::Unchanged,
        Self::SshSignature,
        Self::SecurityLog,
        Self::OperationsLog,
        Self::LogHeads,
        Self::Witness,
    ];

    /// The check's stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Signature => "signature",
            Self::Device => "device",
            Self::Validity => "validity",
            Self::Complete => "complete",
            Self::NothingAdded => "nothing-added",
            Self::Unchanged => "unchanged",
            Self::SshSignature => "ssh-signature",
            Self::SecurityLog => "security-log",
            Self::OperationsLog => "operations-log",
            Self::LogHeads => "log-heads",
            Self::Witness => "witness",
        }
    }

    /// What holds where the check is passed, in plain words.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Certificate => "the certificate in the bundle is one of this device CA",
            Self::Signature => "the manifest is signed with that certificate's key",
            Self::Device => "the manifest is by the device that the certificate names",
            Self::Validity => "the certificate was valid when the bundle was collected",
            Self::Complete => "every file that the device signed for is there",
            Self::NothingAdded => "no file is there that the device did not sign for",
            Self::Unchanged => "every file has the bytes that the device signed for",
            Self::SshSignature => "SHA256SUMS is signed with the same key for OpenSSH",
            Self::SecurityLog => "the security ring of the log is whole and sealed epoch by epoch",
            Self::OperationsLog => "the operations ring of the log is whole and sealed likewise",
            Self::LogHeads => "the rings end where the device signed that they end",
            Self::Witness => "the rings go on from what the server witnessed",
        }
    }
}

/// How a check came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is as it should be.
    Holds,
    /// It is not, and why: at least one fault.
    Fails(Vec<Fault>),
    /// It could not be looked at, because this check before it failed.
    NotChecked(CheckName),
    /// There is nothing to look at, so nothing is proved either way, and why.
    NotProved(&'static str),
}

/// One check and how it came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Which.
    pub name: CheckName,
    /// How.
    pub outcome: Outcome,
}

/// What is wrong with a bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The certificate proves nothing.
    #[error("the signer is not proved")]
    Certificate(#[source] CertificateFault),
    /// The manifest proves nothing or contradicts itself.
    #[error("the manifest is not to be believed")]
    Manifest(#[source] ManifestError),
    /// The manifest is by another device than the certificate says.
    #[error("expected a manifest by {certificate}, got one by {manifest}")]
    WrongDevice {
        /// Whom the certificate names.
        certificate: DeviceId,
        /// Whom the manifest names.
        manifest: DeviceId,
    },
    /// It was collected while the certificate was not valid, by the device's own time.
    #[error("expected a bundle collected from {not_before} to {not_after}, got {collected}")]
    OutsideValidity {
        /// When the manifest says that it was collected.
        collected: Timestamp,
        /// When the certificate begins.
        not_before: Timestamp,
        /// When the certificate ends.
        not_after: Timestamp,
    },
    /// A file is not there.
    #[error("{name} is missing")]
    Missing {
        /// Which.
        name: String,
    },
    /// A file is there that the device did not sign for.
    #[error("{name:?} is nothing that the device signed for")]
    Extra {
        /// Which.
        name: String,
    },
    /// A file is there twice, so that readers may differ on which one counts.
    #[error("{name:?} is there twice")]
    Twice {
        /// Which.
        name: String,
    },
    /// A file has other bytes.
    #[error("expected {name} with the digest {expected}, got {got}")]
    Changed {
        /// Which.
        name: String,
        /// The digest that the device signed for.
        expected: Sha256Digest,
        /// The digest of what is there.
        got: Sha256Digest,
    },
    /// An artifact has the right bytes, but the manifest says another length.
    #[error("expected {name} to be {expected} bytes long, got {got}")]
    Length {
        /// Which.
        name: String,
        /// The length that the device signed for.
        expected: u64,
        /// The length of what is there.
        got: u64,
    },
    /// `SHA256SUMS` is none, or says other digests than the manifest.
    #[error("SHA256SUMS is not to be believed")]
    Sums(#[source] SumsError),
    /// The SSH signature over `SHA256SUMS` does not hold.
    #[error("the SSH signature over SHA256SUMS does not hold")]
    SshSignature(#[source] SshError),
    /// A ring's files cannot be read as a log.
    #[error("the {} ring of the log cannot be read: {what}", ring.as_str())]
    LogUnreadable {
        /// Which ring.
        ring: LogRing,
        /// What is wrong with its files.
        what: String,
        /// When it became so.
        since: Since,
    },
    /// A ring of the forensic log is not what its epochs sealed.
    #[error("the {} ring of the log is broken", ring.as_str())]
    LogBroken {
        /// Which ring.
        ring: LogRing,
        /// Where, and how.
        #[source]
        fault: LogFault,
        /// When it was broken.
        since: Since,
    },
    /// A ring ends elsewhere than the manifest says.
    #[error(
        "expected the {} ring to have {} records from {} on and the root {}, got {} from {} on \
         with {}", .expected.ring.as_str(), .expected.head.size, .expected.from,
        .expected.head.hash, .got.head.size, .got.from, .got.head.hash
    )]
    WrongLogHead {
        /// What the manifest says.
        expected: LogPart,
        /// What is there.
        got: LogPart,
        /// Since when it does.
        since: Since,
    },
    /// The cosigned checkpoint of a ring proves nothing.
    #[error("the checkpoint that was witnessed of the {} ring is not the server's", ring.as_str())]
    NotWitnessed {
        /// Which ring.
        ring: LogRing,
        /// Why not.
        #[source]
        source: NoteError,
    },
}

/// Since when the log is as it is, told by whether its bytes are those that the device signed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Since {
    /// They are: it was so when the device signed.
    Signing,
    /// They are not: it became so later.
    AfterSigning,
    /// No signature tells.
    Unknown,
}

/// Whose doing a fault can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Blame {
    /// It is not proved who made the bundle: nothing in it counts as a device's word.
    Unproved,
    /// Changed or added after the device signed: on the way, in a store, or by whoever held it.
    ChangedAfterSigning,
    /// Left out or lost after the device signed.
    Missing,
    /// The device itself signed for it: its software is wrong, or it was not its own master.
    Device,
}

impl Blame {
    /// The stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unproved => "unproved",
            Self::ChangedAfterSigning => "changed-after-signing",
            Self::Missing => "missing",
            Self::Device => "device",
        }
    }

    /// What it means, in plain words.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Unproved => "who made it is not proved, so nothing in it is a device's word",
            Self::ChangedAfterSigning => "changed after the device signed for it",
            Self::Missing => "left out or lost after the device signed for it",
            Self::Device => "the device itself signed for it like that",
        }
    }
}

impl Fault {
    /// Whose doing it can be.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        match self {
            Self::Certificate(CertificateFault::Missing) | Self::Missing { .. } => Blame::Missing,
            Self::Certificate(_)
            | Self::Manifest(ManifestError::Envelope(_) | ManifestError::NotCanonical) => {
                Blame::Unproved
            }
            Self::Extra { .. } | Self::Twice { .. } | Self::Changed { .. } => {
                Blame::ChangedAfterSigning
            }
            Self::LogBroken { since, .. }
            | Self::LogUnreadable { since, .. }
            | Self::WrongLogHead { since, .. } => match since {
                Since::Signing => Blame::Device,
                Since::AfterSigning => Blame::ChangedAfterSigning,
                Since::Unknown => Blame::Unproved,
            },
            // Nobody has signed for the signature itself.
            Self::SshSignature(_) => Blame::ChangedAfterSigning,
            Self::NotWitnessed { .. } => Blame::Unproved,
            Self::Manifest(_)
            | Self::WrongDevice { .. }
            | Self::OutsideValidity { .. }
            | Self::Sums(_)
            | Self::Length { .. } => Blame::Device,
        }
    }
}

/// What is to be thought of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Each check, in the order of [`CheckName::ALL`].
    pub checks: Vec<Check>,
    /// The manifest, where its signature holds.
    pub manifest: Option<Manifest>,
    /// The records of the rings that are whole. They are the device's word only where every check
    /// holds.
    pub records: Vec<(LogRing, Record)>,
}

impl Verdict {
    /// Whether everything that is there was looked at and is as it should be.
    #[must_use]
    pub fn holds(&self) -> bool {
        let holds = |check: &Check| matches!(check.outcome, Outcome::Holds | Outcome::NotProved(_));
        self.checks.iter().all(holds)
    }

    /// The first thing that is wrong, none where the verdict holds.
    #[must_use]
    pub fn first_fault(&self) -> Option<&Fault> {
        self.checks.iter().find_map(|check| match &check.outcome {
            Outcome::Fails(faults) => faults.first(),
            Outcome::Holds | Outcome::NotChecked(_) | Outcome::NotProved(_) => None,
        })
    }
}
