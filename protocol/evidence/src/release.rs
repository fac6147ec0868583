//! Whether a release from quarantine holds: a quorum of the approvers that the anchors name has
//! signed one statement, this device is in it under the nonce that it made itself, and it has not
//! lapsed. A device asks before it lets itself out; anybody with the anchors can ask again later.

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use lazaret_protocol::anchors::Anchors;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::{DeviceId, OperatorName};
use lazaret_protocol::order::Outcome;
use lazaret_protocol::release::{
    ACTION_RELEASE, Approvers, NAMESPACE_RELEASE, RELEASE_DEVICES_MAX, RELEASE_SIGNATURES_MAX,
    ReleaseProof, ReleaseReceipt, ReleaseStatement, STATEMENT_BYTES_MAX, leaf,
};
use lazaret_protocol::report::Report;
use lazaret_protocol::signed::{Envelope, EnvelopeError};
use lazaret_protocol::sshsig::{SshError, SshSignature};
use lazaret_protocol::time::Timestamp;

use crate::tlog::proof::{ProofError, check_inclusion};
use crate::tlog::tree::{empty_root, leaf_hash, node_hash};

/// Hashes of one path: that of [`RELEASE_DEVICES_MAX`] leaves has 16.
const PATH_HASHES_MAX: usize = 64;

/// Why nobody is let out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// The anchors name no approvers.
    #[error("the anchors name nobody who may release")]
    NoApprovers,
    /// Not a statement of a release, or too much of one.
    #[error("expected a statement of a release, got something else: {why}")]
    Malformed {
        /// What was wrong.
        why: String,
    },
    /// The statement is over.
    #[error("the release lapsed at {expires}, now is {now}")]
    Lapsed {
        /// When it ended.
        expires: Timestamp,
        /// The time it was held against.
        now: Timestamp,
    },
    /// A signature that is none, or does not hold.
    #[error("a signature on the release does not hold")]
    Signature {
        /// Why.
        #[source]
        source: SshError,
    },
    /// Too few different people have signed.
    #[error("expected signatures of {need} approvers, got those of {have}")]
    Quorum {
        /// How many are needed.
        need: u64,
        /// How many different people signed.
        have: u64,
    },
    /// The device is not in it under its nonce.
    #[error("this device's nonce is not in the release")]
    NotIncluded {
        /// What the path says.
        #[source]
        source: ProofError,
    },
    /// An envelope around a receipt or an answer that does not hold.
    #[error("an envelope of the receipt does not hold")]
    Envelope {
        /// Why.
        #[source]
        source: EnvelopeError,
    },
    /// The device's answer is to something else.
    #[error("the device's answer is not one to this release: {why}")]
    Answer {
        /// What is wrong.
        why: String,
    },
}

/// A release that holds for one device. [`prove`] alone makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvedRelease {
    device: DeviceId,
    challenge: Sha256Digest,
    statement: ReleaseStatement,
    signers: Vec<OperatorName>,
}

impl ProvedRelease {
    /// Whom it lets out.
    #[must_use]
    pub const fn device(&self) -> &DeviceId {
        &self.device
    }

    /// What the answer has to contain.
    #[must_use]
    pub const fn challenge(&self) -> &Sha256Digest {
        &self.challenge
    }

    /// What was signed.
    #[must_use]
    pub const fn statement(&self) -> &ReleaseStatement {
        &self.statement
    }

    /// Who signed, each once.
    #[must_use]
    pub fn signers(&self) -> &[OperatorName] {
        &self.signers
    }
}

/// Reads a statement that is about to be signed, or was.
///
/// # Errors
/// Too large, no statement, of another action, or of more devices than any may have.
pub fn read_statement(bytes: &[u8]) -> Result<ReleaseStatement, ReleaseError> {
    let malformed = |why: String| ReleaseError::Malformed { why };
    if bytes.len() > STATEMENT_BYTES_MAX {
        return Err(malformed(alloc::format!("{} bytes", bytes.len())));
    }
    let statement: ReleaseStatement =
        serde_json::from_slice(bytes).map_err(|err| malformed(err.to_string()))?;
    if statement.action != ACTION_RELEASE {
        return Err(malformed(alloc::format!("the action {:?}", statement.action)));
    }
    let most = u64::try_from(RELEASE_DEVICES_MAX).unwrap_or(u64::MAX);
    if statement.devices == 0 || statement.devices > most {
        return Err(malformed(alloc::format!("{} devices", statement.devices)));
    }
    Ok(statement)
}

/// Proves that `proof` lets `device` out at `now`, which is shut in under `nonce`.
///
/// # Errors
/// It does not hold, and why.
pub fn prove(
    proof: &ReleaseProof,
    approvers: Option<&Approvers>,
    (device, nonce): (&DeviceId, &Sha256Digest),
    now: Timestamp,
) -> Result<ProvedRelease, ReleaseError> {
    let approvers = approvers.ok_or(ReleaseError::NoApprovers)?;
    let statement = read_statement(&proof.statement)?;
    if statement.expires <= now {
        return Err(ReleaseError::Lapsed { expires: statement.expires, now });
    }
    if proof.path.len() > PATH_HASHES_MAX {
        let why = alloc::format!("a path of {} hashes", proof.path.len());
        return Err(ReleaseError::Malformed { why });
    }
    let signers = signers(proof, approvers)?;
    let have = u64::try_from(signers.len()).unwrap_or(u64::MAX);
    // Anchors are checked when they are read; a threshold of nobody must not pass here either.
    let need = approvers.threshold.max(1);
    if have < need {
        return Err(ReleaseError::Quorum { need, have });
    }
    let hash = leaf_hash(&leaf(device, nonce));
    check_inclusion(&hash, proof.index, (statement.devices, &statement.root), &proof.path)
        .map_err(|source| ReleaseError::NotIncluded { source })?;
    Ok(ProvedRelease { device: device.clone(), challenge: proof.challenge, statement, signers })
}

/// The different people whose signatures hold. Those of strangers count for nothing and harm
/// nothing; one in an approver's name that does not hold refuses the whole.
fn signers(proof: &ReleaseProof, approvers: &Approvers) -> Result<Vec<OperatorName>, ReleaseError> {
    if proof.signatures.len() > RELEASE_SIGNATURES_MAX {
        let why = alloc::format!("{} signatures", proof.signatures.len());
        return Err(ReleaseError::Malformed { why });
    }
    let mut people = BTreeSet::new();
    for armoured in &proof.signatures {
        let signature =
            SshSignature::parse(armoured).map_err(|source| ReleaseError::Signature { source })?;
        let entry = approvers.keys.iter().find(|entry| entry.key == *signature.claimed_key());
        let Some(entry) = entry else { continue };
        signature
            .verify(&entry.key, NAMESPACE_RELEASE, &proof.statement)
            .map_err(|source| ReleaseError::Signature { source })?;
        people.insert(entry.name.clone());
    }
    Ok(people.into_iter().collect())
}

/// What a receipt proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedReceipt {
    /// The receipt.
    pub receipt: ReleaseReceipt,
    /// What was signed, and by whom.
    pub proved: ProvedRelease,
    /// The device's own answer.
    pub report: Report,
}

/// Checks a receipt by the anchors alone: the server's signature on it, the quorum, the device's
/// place, and the device's own signed answer.
///
/// # Errors
/// Any of it does not hold.
pub fn check_receipt(
    envelope: &Envelope,
    anchors: &Anchors,
) -> Result<CheckedReceipt, ReleaseError> {
    let broken = |source| ReleaseError::Envelope { source };
    let receipt =
        envelope.verify::<ReleaseReceipt>(&anchors.order_keys).map_err(broken)?.into_message();
    let report = receipt
        .answer
        .verify::<Report>(core::slice::from_ref(&receipt.key))
        .map_err(broken)?
        .into_message();
    // By the device's own time: a receipt is read long after the statement lapsed.
    let whom = (&receipt.device, &receipt.nonce);
    let proved = prove(&receipt.proof, anchors.approvers.as_ref(), whom, report.at)?;
    let wrong = |why: &str| Err(ReleaseError::Answer { why: why.into() });
    if report.device != receipt.device {
        return wrong("it is another device's");
    }
    if report.outcome != Outcome::Done {
        return wrong("the device did not leave quarantine");
    }
    if report.answers != Some(*proved.challenge()) {
        return wrong("it does not contain the challenge");
    }
    if report.running.is_none() {
        return wrong("it does not say what runs");
    }
    Ok(CheckedReceipt { receipt, proved, report })
}

/// The root over leaves, and the way to it from each, for whoever writes a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseTree {
    /// All levels, from the leaves' hashes to the root; a node without a sibling goes up as it is,
    /// which is the tree of RFC 6962.
    levels: Vec<Vec<Sha256Digest>>,
}

impl ReleaseTree {
    /// The tree over these devices, in their order.
    #[must_use]
    pub fn over(devices: &[(DeviceId, Sha256Digest)]) -> Self {
        let leaves = devices.iter().map(|(device, nonce)| leaf_hash(&leaf(device, nonce)));
        let mut levels: Vec<Vec<Sha256Digest>> = alloc::vec![leaves.collect()];
        while let Some(last) = levels.last()
            && last.len() > 1
        {
            let up = last.chunks(2).map(|pair| match pair {
                [left, right] => node_hash(left, right),
                [alone] => *alone,
                _ => empty_root(),
            });
            let up = up.collect();
            levels.push(up);
        }
        Self { levels }
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> Sha256Digest {
        self.levels.last().and_then(|top| top.first()).copied().unwrap_or_else(empty_root)
    }

    /// The way from leaf `index` to the root; none where there is no such leaf.
    #[must_use]
    pub fn path(&self, index: usize) -> Option<Vec<Sha256Digest>> {
        self.levels.first()?.get(index)?;
        let mut at = index;
        let mut path = Vec::new();
        for level in &self.levels {
            if level.len() > 1
                && let Some(sibling) = level.get(at ^ 1)
            {
                path.push(*sibling);
            }
            at >>= 1;
        }
        Some(path)
    }
}

#[cfg(test)]
mod tests;
