//! The journal: all that a device must still know after the power went. Its bytes are in
//! [`crate::record`], what changes it in [`crate::update`].

use alloc::vec::Vec;

use lazaret_protocol::containment::Level;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::{BundleId, RolloutId, VersionName};
use lazaret_protocol::order::{Outcome, Wanted};
pub use lazaret_protocol::report::Pace;
use lazaret_protocol::time::Timestamp;
use lazaret_protocol_tuf::Floors;
use serde::{Deserialize, Serialize};

use crate::reason::Reason;
use crate::slot::{Release, Slot, Slots};

/// Reports that may wait for the server, those of orders still under way counted as well. An order
/// is only accepted while there is room for its report, so that none is ever dropped.
pub const REPORTS_MAX: usize = 4;

/// Roles that the snapshot lists and whose version is remembered: targets, one `rel-<model>`,
/// `deltas` and `emergency`. For all others the files on disk are the only memory.
pub const TUF_ROLES_MAX: usize = 4;

/// Releases that are remembered to have failed here. The server stops offering one long before.
pub const FAILED_MAX: usize = 2;

/// The format of the journal that this code writes.
pub const JOURNAL_FORMAT: u64 = 1;

/// What survives a loss of power.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// The format, [`JOURNAL_FORMAT`].
    pub format: u64,
    /// Grows with each write; the higher one of two records is the truth.
    pub generation: u64,
    /// Starts of the agent.
    pub boot_count: u64,
    /// The last poll number used.
    pub poll_sequence: u64,
    /// The highest order accepted. A lower one never acts.
    pub order_sequence: u64,
    /// No release with a lower counter ever runs. Never goes down.
    pub release_floor: u64,
    /// The latest time that was believed, never beyond the horizon of its moment. It goes down only
    /// where a root has rotated the online keys, under which it was reached.
    pub time_floor: Timestamp,
    /// When the first of root, timestamp and snapshot expires, by the last whole refresh: what a
    /// server's word on the time is weighed against. Zero before the first.
    #[serde(default)]
    pub time_horizon: Timestamp,
    /// The newest TUF versions ever trusted. They never go down, but for the one case of TUF
    /// 5.3.11.
    pub tuf: Floors,
    /// Whether the device is in quarantine.
    pub quarantine: Quarantine,
    /// What the slots hold.
    pub slots: Slots,
    /// Releases that failed their trial here and are newer than what was kept last.
    pub failed: Vec<FailedRelease>,
    /// The update under way.
    pub update: Update,
    /// The collection under way.
    pub collection: Collection,
    /// Outcomes that the server has not acknowledged.
    pub reports: Vec<PendingReport>,
}

impl Journal {
    /// The journal of a device that has never started.
    #[must_use]
    pub fn fresh() -> Self {
        Self {
            format: JOURNAL_FORMAT,
            generation: 0,
            boot_count: 0,
            poll_sequence: 0,
            order_sequence: 0,
            release_floor: 0,
            time_floor: Timestamp::default(),
            time_horizon: Timestamp::default(),
            tuf: Floors::default(),
            quarantine: Quarantine::Free,
            slots: Slots::default(),
            failed: Vec::new(),
            update: Update::Idle,
            collection: Collection::Idle,
            reports: Vec::new(),
        }
    }

    /// Whether one more order could be accepted: every order under way needs room for its report.
    #[must_use]
    pub fn has_room_for_an_order(&self) -> bool {
        let update = usize::from(self.update != Update::Idle);
        let collection = usize::from(self.collection != Collection::Idle);
        let contained = usize::from(self.quarantine.is_pending());
        let under_way = update.saturating_add(collection).saturating_add(contained);
        self.reports.len().saturating_add(under_way) < REPORTS_MAX
    }

    /// Whether something could be installed by hand: its report takes the place of an earlier one
    /// by hand, so that a device which never meets its server can be updated for ever.
    #[must_use]
    pub fn has_room_by_hand(&self) -> bool {
        let mut without = self.clone();
        without.reports.retain(|report| report.order != BY_HAND);
        without.has_room_for_an_order()
    }

    /// Notes how an order ended; it stays until the server acknowledges it.
    pub(crate) fn settle(&mut self, order: u64, outcome: Outcome, bytes_fetched: u64) {
        let pace = Pace::Ordinary;
        self.supersede(order);
        self.reports.push(PendingReport { order, outcome, bytes_fetched, pace, answers: None });
    }

    /// As [`settle`](Self::settle), for a release from quarantine.
    pub(crate) fn settle_release(&mut self, order: u64, challenge: Sha256Digest) {
        let (outcome, pace, answers) = (Outcome::Done, Pace::Ordinary, Some(challenge));
        self.reports.push(PendingReport { order, outcome, bytes_fetched: 0, pace, answers });
    }

    /// As [`settle`](Self::settle), for an install whose target is known.
    pub(crate) fn settle_install(&mut self, install: &Install, target: &Target, outcome: Outcome) {
        let (order, bytes_fetched, pace) = (install.order, target.fetched, target.pace);
        self.supersede(order);
        self.reports.push(PendingReport { order, outcome, bytes_fetched, pace, answers: None });
    }
}

impl Journal {
    /// The journal without what every poll and every stretch of staging changes: what must be in
    /// its copy.
    #[must_use]
    pub fn without_pulse(&self) -> Self {
        let mut facts = Self {
            generation: 0,
            boot_count: 0,
            poll_sequence: 0,
            time_floor: Timestamp::default(),
            time_horizon: Timestamp::default(),
            ..self.clone()
        };
        if let Update::Staging { offset, target, .. } = &mut facts.update {
            (*offset, target.fetched) = (0, 0);
        }
        facts
    }

    /// The journal of a device that lost it, from its copy. Poll numbers go on from `now`, which is
    /// above any that a device has counted to; the generation leaves room for what was lost.
    #[must_use]
    pub fn from_copy(copy: &Self, now: Timestamp) -> Self {
        Self {
            generation: copy.generation.saturating_add(2),
            poll_sequence: copy.poll_sequence.max(now.as_ms()),
            ..copy.clone()
        }
    }

    /// Of installs by hand only the last is reported; the forensic log has them all.
    fn supersede(&mut self, order: u64) {
        if order == BY_HAND {
            self.reports.retain(|report| report.order != BY_HAND);
        }
    }
}

/// Whether the device is in quarantine by its own records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quarantine {
    /// It is not.
    Free,
    /// It is.
    Held {
        /// The order that said so. The order itself, as it was signed, lies beside the journal
        /// under this number.
        order: u64,
        /// Why.
        reason: Reason,
        /// How far. A record without one is from before there were levels.
        #[serde(default)]
        level: Level,
        /// Whether the measures that the level asks for are still to be tried, and the order so to
        /// be reported.
        #[serde(default, skip_serializing_if = "is_false")]
        pending: bool,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

impl Quarantine {
    /// How far the device is shut in; none where it is free.
    #[must_use]
    pub const fn level(&self) -> Option<Level> {
        match self {
            Self::Free => None,
            Self::Held { level, .. } => Some(*level),
        }
    }

    /// The order that it goes by; none where it is free.
    #[must_use]
    pub const fn order(&self) -> Option<u64> {
        match self {
            Self::Free => None,
            Self::Held { order, .. } => Some(*order),
        }
    }

    /// Whether its order is still to be reported.
    #[must_use]
    pub const fn is_pending(&self) -> bool {
        matches!(self, Self::Held { pending: true, .. })
    }
}

/// A release that did not survive its trial on this device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedRelease {
    /// Its release counter.
    pub counter: u64,
    /// The digest of its image: a rebuilt release of the same counter is another one.
    pub sha256: Sha256Digest,
}

/// An install order under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Install {
    /// The order's sequence.
    pub order: u64,
    /// When it lapses. Past that, nothing that has not begun its trial goes on.
    pub expires: Timestamp,
    /// The rollout it belongs to.
    pub rollout: RolloutId,
    /// The version to install.
    pub version: VersionName,
    /// Onwards or back.
    #[serde(default, skip_serializing_if = "Direction::is_onwards")]
    pub direction: Direction,
    /// Whether it cures an incident: quarantine lets it in, up to the level that revokes.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub cure: bool,
    /// Where no server ordered it: what somebody at the device took upon themselves. Its order is
    /// [`BY_HAND`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_hand: Option<ByHand>,
}

/// Whether a newer release is wanted or an older one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// A newer one.
    #[default]
    Onwards,
    /// An older one: what the other slot holds where it is that, otherwise fetched.
    Back,
}

impl Direction {
    /// Whether there is nothing to say about it.
    #[must_use]
    pub fn is_onwards(&self) -> bool {
        *self == Self::Onwards
    }
}

/// The order number of what somebody at the device has asked for. Servers number from the
/// milliseconds since 1970, so that it is none of theirs.
pub const BY_HAND: u64 = 0;

/// An install that nobody but a person at the device has asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByHand {
    /// Which of the rules that may be overruled were.
    pub overrules: Vec<Overrule>,
}

/// A rule that somebody who stands at the device may set aside, under their own name and with a
/// reason in the forensic log. No other rule has a word here: signatures, hardware, floors and
/// quarantine are nobody's to overrule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overrule {
    /// The place in the signed schedule: pace protects the fleet, and one device by hand is no
    /// fleet.
    Schedule,
    /// That this very image failed its trial here before: whoever mended what was wrong with the
    /// device may try again.
    FailedBefore,
    /// That timestamp and snapshot have expired: a bundle travels for longer than the two days that
    /// they live. Root, targets and release must not have.
    Freshness,
}

impl Overrule {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Schedule, Self::FailedBefore, Self::Freshness];

    /// Its word on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::FailedBefore => "failed-before",
            Self::Freshness => "freshness",
        }
    }
}

impl Install {
    /// Whether a person at the device has set this rule aside.
    #[must_use]
    pub fn overrules(&self, rule: Overrule) -> bool {
        self.by_hand.as_ref().is_some_and(|by_hand| by_hand.overrules.contains(&rule))
    }
}

/// The image that an install order turned out to mean, from verified TUF metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The release.
    pub release: Release,
    /// The device's floor once it is kept.
    pub floor: u64,
    /// The slot it goes to.
    pub slot: Slot,
    /// Bytes fetched for it over the network so far.
    pub fetched: u64,
    /// How it gets there.
    pub route: Route,
    /// By which schedule.
    #[serde(default, skip_serializing_if = "Pace::is_ordinary")]
    pub pace: Pace,
}

/// How an image gets into its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Route {
    /// As a delta from what runs, where there is one.
    Delta,
    /// As it is: a delta was tried and is in doubt.
    Image,
    /// It is there already: the slot is read through and tried, and written only where it turns out
    /// to be something else.
    Kept,
}

/// Where the update stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Update {
    /// There is none.
    Idle,
    /// An order was accepted; which bytes it means is still to be learned from TUF.
    Accepted(Install),
    /// The image is on its way into the inactive slot.
    Staging {
        /// The order.
        install: Install,
        /// What it means.
        target: Target,
        /// Bytes of the result that are durably in the slot.
        offset: u64,
    },
    /// The image is in the slot, whole, and was read back.
    Staged {
        /// The order.
        install: Install,
        /// What it means.
        target: Target,
    },
    /// The bootloader has been, or is being, told to try the slot.
    Armed {
        /// The order.
        install: Install,
        /// What it means.
        target: Target,
    },
    /// The new image runs and is being judged.
    Trial {
        /// The order.
        install: Install,
        /// What it means.
        target: Target,
    },
    /// The new image was judged unfit; the device is on its way back.
    RollingBack {
        /// The order.
        install: Install,
        /// What failed.
        target: Target,
        /// Why.
        reason: Reason,
    },
}

impl Update {
    /// The state's name, as polls and people say it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Accepted(_) => "accepted",
            Self::Staging { .. } => "staging",
            Self::Staged { .. } => "staged",
            Self::Armed { .. } => "armed",
            Self::Trial { .. } => "trial",
            Self::RollingBack { .. } => "rolling-back",
        }
    }

    /// The order that is being carried out, none while idle.
    #[must_use]
    pub const fn install(&self) -> Option<&Install> {
        match self {
            Self::Idle => None,
            Self::Accepted(install)
            | Self::Staging { install, .. }
            | Self::Staged { install, .. }
            | Self::Armed { install, .. }
            | Self::Trial { install, .. }
            | Self::RollingBack { install, .. } => Some(install),
        }
    }
}

/// Where the collection of evidence stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Collection {
    /// There is none.
    Idle,
    /// A bundle is being made or uploaded.
    Collecting {
        /// The order's sequence.
        order: u64,
        /// When the order lapses.
        expires: Timestamp,
        /// The bundle to make.
        bundle: BundleId,
        /// What is to be in it.
        #[serde(default, skip_serializing_if = "Wanted::is_usual")]
        wanted: Wanted,
    },
}

/// How an order ended, until the server has acknowledged it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingReport {
    /// The order's sequence.
    pub order: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// Bytes fetched for it.
    pub bytes_fetched: u64,
    /// The schedule that let it in, for an install.
    #[serde(default, skip_serializing_if = "Pace::is_ordinary")]
    pub pace: Pace,
    /// The challenge that a release from quarantine is answered with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<Sha256Digest>,
}
