//! What the shell tells the core: orders, what came of the work it did, and what the bootloader
//! says.

use alloc::string::String;
use alloc::vec::Vec;

use lazaret_protocol::id::{DeviceId, ModelName, VersionName};
use lazaret_protocol::order::Order;
use lazaret_protocol::poll::SlotHealth;
use lazaret_protocol::target::{EmergencyCustom, ImageCustom};
use lazaret_protocol::time::Timestamp;
use lazaret_protocol_evidence::release::ProvedRelease;
use lazaret_protocol_tuf::Floors;

use crate::journal::Overrule;
use crate::reason::Reason;
use crate::slot::{Release, Slot};

/// The facts that hold while an event is dealt with.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// The time, see [`crate::clock`].
    pub now: Timestamp,
    /// Who this device is.
    pub device: &'a DeviceId,
    /// The hardware it is.
    pub model: &'a ModelName,
    /// The slot that runs, none where nothing is installed. It is the truth, whatever the journal
    /// says.
    pub booted: Option<Slot>,
    /// Starts that a new image gets.
    pub tries: u8,
}

/// An image that verified TUF metadata lists, and whether there is room for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The release: its version from the target's name, digest and length from the target.
    pub release: Release,
    /// What the release signers said of it.
    pub custom: ImageCustom,
    /// The faster schedule that the incident team signed for this version, where there is one.
    pub emergency: Option<EmergencyCustom>,
    /// Bytes that the inactive slot can take.
    pub free_bytes: u64,
}

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The agent has started and the bootloader was asked.
    Booted {
        /// The bootloader's word on the first slot.
        a: SlotHealth,
        /// The bootloader's word on the second slot.
        b: SlotHealth,
        /// The last that was heard of a trial which did not come to its end; empty where nothing
        /// was.
        last_words: String,
    },
    /// A poll is about to be sent.
    PollDue,
    /// A server told the time over an authenticated connection.
    TimeTold {
        /// What it said.
        time: Timestamp,
    },
    /// An order came whose signature holds.
    Ordered(Order),
    /// An order to leave quarantine came whose signature holds, and this is what its proof is
    /// worth.
    ReleaseWeighed {
        /// The order.
        order: Order,
        /// The proof, or a stable code and why there is none.
        proved: Result<ProvedRelease, (String, Reason)>,
    },
    /// The measures of a quarantine were applied and tried.
    Contained {
        /// The order.
        order: u64,
        /// Why it is not in force; none where every measure is proved.
        failed: Option<Reason>,
    },
    /// Somebody at the device wants a version installed from a bundle that they brought along.
    AppliedByHand {
        /// The hardware model that the bundle is for.
        model: ModelName,
        /// The version.
        version: VersionName,
        /// What they take upon themselves.
        overrules: Vec<Overrule>,
    },
    /// Time has passed: orders may have lapsed.
    Woke,
    /// TUF says what the accepted order means.
    Resolved(Offer),
    /// TUF, verified and fresh, knows no such image, or says of it what no device can use.
    Unresolved {
        /// A stable code.
        code: String,
        /// In words.
        reason: Reason,
    },
    /// Bytes of the image are durable in the slot.
    StageAdvanced {
        /// How many, from its beginning. Less than before where staging began anew.
        offset: u64,
        /// Bytes fetched for it so far.
        fetched: u64,
    },
    /// The delta is in doubt; staging begins anew with the image itself.
    DeltaDoubted {
        /// In words.
        reason: Reason,
        /// Bytes fetched so far.
        fetched: u64,
    },
    /// The image is in the slot, and what was read back from the disk is what was signed.
    StageEnded {
        /// Bytes fetched for it.
        fetched: u64,
    },
    /// The image will never get into the slot.
    StageFailed {
        /// A stable code.
        code: String,
        /// In words.
        reason: Reason,
        /// Bytes fetched for it.
        fetched: u64,
    },
    /// The device may restart into the staged image.
    ReadyToArm,
    /// Every probe passed on the new image.
    Healthy,
    /// The new image failed its probes, or was not confirmed in time.
    Unhealthy {
        /// Which probe, with its last words.
        reason: Reason,
    },
    /// The bundle is with the server, whole.
    Collected,
    /// The bundle could not be made or will never be taken.
    CollectionFailed {
        /// A stable code.
        code: String,
        /// In words.
        reason: Reason,
    },
    /// The server has a report on disk.
    Acknowledged {
        /// The order it is about.
        order: u64,
    },
    /// The server will never take a report.
    ReportRefused {
        /// The order it is about.
        order: u64,
        /// The server's code.
        code: String,
    },
    /// Verified TUF metadata of these versions is on disk.
    TufAdvanced {
        /// The versions, from the refresh.
        floors: Floors,
        /// When the first of them expires; none where the refresh did not come to its end.
        expires: Option<Timestamp>,
    },
}
