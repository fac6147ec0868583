//! What the shell is told to do, in order, and what it writes into the forensic log before it does.

use alloc::string::String;

use lazaret_protocol::containment::Level;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::{BundleId, VersionName};
use serde::{Deserialize, Serialize};

use crate::reason::Reason;
use crate::slot::Slot;

/// One thing to do. The shell does them in the order of the list and adds no opinion; the power may
/// go between any two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Append to the forensic log and sync it.
    Log(LogEvent),
    /// Make the new journal durable.
    WriteJournal,
    /// Tell the bootloader to forget what it thought of the slot.
    MarkUnknown {
        /// The slot.
        slot: Slot,
    },
    /// Tell the bootloader to try the slot so many times.
    Arm {
        /// The slot.
        slot: Slot,
        /// Starts that it gets before the bootloader goes back by itself.
        tries: u8,
    },
    /// Tell the bootloader that the slot is good.
    MarkGood {
        /// The slot.
        slot: Slot,
    },
    /// Tell the bootloader that the slot is bad and to run the other one.
    Revert {
        /// The slot that failed.
        slot: Slot,
    },
    /// Start again, so that what the bootloader was told takes effect.
    Restart,
}

/// An entry of the forensic log, about what the device decided. The shell has more of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum LogEvent {
    /// An order was accepted.
    OrderAccepted {
        /// Its sequence.
        order: u64,
        /// What it asks for: `install`, `revert`, `halt`, `quarantine` or `collect`.
        kind: String,
    },
    /// An order was refused, or lapsed.
    OrderRefused {
        /// Its sequence.
        order: u64,
        /// A stable code.
        code: String,
        /// In words.
        reason: Reason,
    },
    /// The install order under way was dropped.
    InstallDropped {
        /// Its sequence.
        order: u64,
        /// A stable code.
        code: String,
    },
    /// An image is let in before its own schedule, by one that the incident team signed.
    EmergencyUsed {
        /// The order.
        order: u64,
        /// The image's digest.
        sha256: Sha256Digest,
        /// Why, in the incident team's words.
        reason: Reason,
    },
    /// Somebody at the device wants a version installed from a bundle.
    AppliedByHand {
        /// The version.
        version: VersionName,
        /// The rules that they set aside, or `nothing`.
        overrules: String,
    },
    /// A root has rotated the online keys: what was reached under the old ones falls.
    TimeFloorFell {
        /// The version of that root.
        root: u64,
        /// The floor before, in milliseconds since 1970.
        from: u64,
    },
    /// An image begins to go into a slot.
    StageBegun {
        /// The order.
        order: u64,
        /// The slot.
        slot: Slot,
        /// The release's version.
        version: VersionName,
        /// The image's digest.
        sha256: Sha256Digest,
    },
    /// A delta is in doubt, and the full image is taken in its place.
    DeltaDoubted {
        /// The order.
        order: u64,
        /// Why.
        reason: Reason,
    },
    /// An image is in its slot and was read back.
    StageEnded {
        /// The order.
        order: u64,
        /// Bytes fetched for it.
        bytes_fetched: u64,
    },
    /// An image could not be brought into its slot.
    StageFailed {
        /// The order.
        order: u64,
        /// A stable code.
        code: String,
        /// In words.
        reason: Reason,
    },
    /// The bootloader is told to try a slot.
    Armed {
        /// The order.
        order: u64,
        /// The slot.
        slot: Slot,
        /// Starts that it gets.
        tries: u8,
    },
    /// The new image runs and is being judged.
    TrialBegun {
        /// The order.
        order: u64,
        /// The slot.
        slot: Slot,
    },
    /// The new image passed its probes and is kept.
    Kept {
        /// The order.
        order: u64,
        /// The slot.
        slot: Slot,
        /// The release counter below which nothing runs any more.
        floor: u64,
    },
    /// The new image is given up.
    RolledBack {
        /// The order.
        order: u64,
        /// The slot that failed.
        slot: Slot,
        /// Why.
        reason: Reason,
    },
    /// The device enters quarantine.
    Quarantined {
        /// The order.
        order: u64,
        /// Why.
        reason: Reason,
        /// How far.
        level: Level,
    },
    /// Every measure of a quarantine was applied, tried, and found to hold.
    Contained {
        /// The order.
        order: u64,
    },
    /// A measure of a quarantine does not hold.
    NotContained {
        /// The order.
        order: u64,
        /// Which, and why.
        reason: Reason,
    },
    /// The device leaves quarantine, on proof.
    Released {
        /// The order.
        order: u64,
        /// The statement that people signed.
        statement: String,
        /// Who signed it.
        signers: String,
    },
    /// A bundle of evidence was uploaded whole.
    Collected {
        /// The order.
        order: u64,
        /// The bundle.
        bundle: BundleId,
    },
    /// A bundle of evidence could not be made or uploaded.
    CollectionFailed {
        /// The order.
        order: u64,
        /// A stable code.
        code: String,
        /// In words.
        reason: Reason,
    },
    /// The booted slot is not the one that the journal expected.
    UnexpectedSlot {
        /// What was booted, none where nothing is installed.
        booted: Option<Slot>,
        /// The state that the journal was in.
        state: String,
    },
    /// The server will not take a report; it is given up so that the next ones can go.
    ReportRefused {
        /// The order it is about.
        order: u64,
        /// The server's code.
        code: String,
    },
}
