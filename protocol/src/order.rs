//! Orders: whatever the server wants of one device, signed by its online order key, numbered,
//! expiring.

use alloc::string::String;
// What the schema derives names it.
#[cfg(feature = "schema")]
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::containment::Terms;
use crate::id::{BundleId, DeviceId, IncidentId, ModelName, ProfileName, RolloutId, VersionName};
use crate::release::ReleaseProof;
use crate::signed::Message;
use crate::time::{DAY_MS, Timestamp};

/// One order to one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Whom it is for. Every other device refuses it.
    pub device: DeviceId,
    /// Grows with each order to this device: max(last + 1, milliseconds since 1970 on the server),
    /// so that a server restored from a backup does not fall behind its devices.
    pub sequence: u64,
    /// When it was given.
    pub issued: Timestamp,
    /// When it lapses.
    pub expires: Timestamp,
    /// What is wanted.
    pub kind: OrderKind,
}

impl Message for Order {
    const PAYLOAD_TYPE: &'static str = "application/vnd.lazaret.order.v1+json";
}

/// What an order asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum OrderKind {
    /// Install the image of this version. Which bytes that is, only TUF says.
    Install {
        /// The rollout it belongs to.
        rollout: RolloutId,
        /// The hardware model; a device of another refuses.
        model: ModelName,
        /// The version to install.
        version: VersionName,
    },
    /// Go back to this version: to the other slot where it is still there and good, otherwise
    /// fetched, as far as the device's floor allows.
    Revert {
        /// The rollout it belongs to.
        rollout: RolloutId,
        /// The hardware model; a device of another refuses.
        model: ModelName,
        /// The version to go back to.
        version: VersionName,
    },
    /// Install the image of this version because it cures an incident: as
    /// [`Install`](Self::Install), and let in by quarantine as well, but for one that revokes.
    Cure {
        /// The rollout it belongs to.
        rollout: RolloutId,
        /// The hardware model; a device of another refuses.
        model: ModelName,
        /// The version to install.
        version: VersionName,
        /// What it cures.
        incident: IncidentId,
    },
    /// Take back an install order that has not begun its trial.
    Halt {
        /// The sequence of the order to forget.
        install: u64,
    },
    /// Enter quarantine, or go up in it. Down leads only [`Release`](Self::Release).
    Quarantine {
        /// Why, for the forensic log.
        reason: String,
        /// How far, and what stays open. Orders of older servers have none: that is
        /// [`Level::Restrict`](crate::containment::Level::Restrict).
        #[serde(default, skip_serializing_if = "Terms::say_nothing")]
        terms: Terms,
    },
    /// Leave quarantine, on proof.
    Release {
        /// What a quorum has signed, and this device's place in it.
        proof: ReleaseProof,
    },
    /// Collect the named artifacts and upload them as one bundle.
    Collect {
        /// The bundle to make.
        bundle: BundleId,
        /// What is to be in it.
        #[serde(default, skip_serializing_if = "Wanted::is_usual")]
        wanted: Wanted,
    },
    /// A kind that this program is too old to know. It is answered, so that it ends.
    #[serde(other)]
    Unknown,
}

/// What a bundle is to hold.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Wanted {
    /// A profile that the device knows: `triage` where none is named, `full`, or one of its own
    /// settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<ProfileName>,
    /// From when on the system's journal is wanted; as far back as the profile says where none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Until when it is wanted; up to the collection where none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl Wanted {
    /// Whether nothing in particular is wanted.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

impl OrderKind {
    /// Whether it puts another release on the device.
    #[must_use]
    pub const fn installs(&self) -> bool {
        matches!(self, Self::Install { .. } | Self::Cure { .. } | Self::Revert { .. })
    }
}

/// How an order ended on the device. Every order ends in exactly one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Outcome {
    /// Carried out; for an install, said by the new image after its probes.
    Done,
    /// A rule on the device said no.
    Refused {
        /// A stable code of `docs/ERRORS.md`.
        code: String,
        /// In words.
        reason: String,
    },
    /// It was tried and did not work; the device is on its former release.
    Failed {
        /// A stable code of `docs/ERRORS.md`.
        code: String,
        /// In words, with the last log lines of a failed trial.
        reason: String,
    },
    /// It lapsed before the device could begin.
    Expired,
}

/// Why a device does not take an order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OrderRefused {
    /// It is for another device.
    #[error("order {sequence} is for {got}, not for {expected}")]
    WrongDevice {
        /// Its number.
        sequence: u64,
        /// This device.
        expected: DeviceId,
        /// The one it names.
        got: DeviceId,
    },
    /// A number that was already taken.
    #[error("order {got} is a replay: {last} was already accepted")]
    Replay {
        /// The highest number accepted.
        last: u64,
        /// The number that came.
        got: u64,
    },
    /// A number far ahead of its time, which would make every later order a replay.
    #[error("order {got} is numbered beyond its time: expected at most {most}")]
    Leap {
        /// The highest number that is believed.
        most: u64,
        /// The number that came.
        got: u64,
    },
    /// It lapsed.
    #[error("order {sequence} lapsed at {expires}, now is {now}")]
    Expired {
        /// Its number.
        sequence: u64,
        /// When it lapsed.
        expires: Timestamp,
        /// The device's time.
        now: Timestamp,
    },
}

impl Order {
    /// Whether `device`, which accepted orders up to `last_sequence`, may act on this one at `now`.
    ///
    /// # Errors
    /// For another device, a replay, or lapsed.
    pub fn check(
        &self,
        device: &DeviceId,
        last_sequence: u64,
        now: Timestamp,
    ) -> Result<(), OrderRefused> {
        if self.device != *device {
            return Err(OrderRefused::WrongDevice {
                sequence: self.sequence,
                expected: device.clone(),
                got: self.device.clone(),
            });
        }
        if self.sequence <= last_sequence {
            return Err(OrderRefused::Replay { last: last_sequence, got: self.sequence });
        }
        // Numbers are milliseconds or one more than the last: an honest one is never a day ahead.
        let most = now.as_ms().max(last_sequence).saturating_add(DAY_MS);
        if self.sequence > most {
            return Err(OrderRefused::Leap { most, got: self.sequence });
        }
        if self.expires <= now {
            return Err(OrderRefused::Expired {
                sequence: self.sequence,
                expires: self.expires,
                now,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(device: &str, sequence: u64, expires: u64) -> Order {
        Order {
            device: device.parse().unwrap(),
            sequence,
            issued: Timestamp::from_ms(0),
            expires: Timestamp::from_ms(expires),
            kind: OrderKind::Halt { install: 1 },
        }
    }

    #[test]
    fn an_order_is_taken_once_by_its_own_device_before_it_lapses() {
        let me: DeviceId = "d-1".parse().unwrap();
        let now = Timestamp::from_ms(50);
        assert_eq!(order("d-1", 8, 51).check(&me, 7, now), Ok(()));
        let replay = order("d-1", 7, 51).check(&me, 7, now);
        assert_eq!(replay, Err(OrderRefused::Replay { last: 7, got: 7 }));
        let far = u64::MAX;
        assert!(matches!(order("d-1", far, 51).check(&me, 7, now), Err(OrderRefused::Leap { .. })));
        assert!(matches!(
            order("d-2", 8, 51).check(&me, 7, now),
            Err(OrderRefused::WrongDevice { .. })
        ));
        assert!(matches!(
            order("d-1", 8, 50).check(&me, 7, now),
            Err(OrderRefused::Expired { .. })
        ));
    }
}
