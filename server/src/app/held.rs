//! Polls that are held back, and waking those that a change concerns: one device's, those whose
//! answer rests on a rollout, or all. A wake is a hint to look again and never more; whoever is not
//! woken looks again by itself after a while.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use lazaret_protocol::id::{DeviceId, RolloutId};
use lazaret_server_domain::event::Fact;
use tokio::sync::Notify;

/// Whom a change concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wake {
    /// This device.
    Device(DeviceId),
    /// Devices whose answer rests on this rollout.
    Rollout(RolloutId),
    /// Every device.
    All,
}

/// Whom an event concerns that held polls may want to know of; none where it is the consequence of
/// a device's own request.
#[must_use]
pub(crate) fn concerned(fact: &Fact) -> Option<Wake> {
    match fact {
        Fact::Quarantined { device, .. }
        | Fact::ReleaseOrdered { device, .. }
        | Fact::EvidenceOrdered { device, .. }
        // What cures it may have waited for that.
        | Fact::EvidenceReceived { device, .. }
        | Fact::TurnGiven { device, .. }
        | Fact::Overtaken { device, .. } => Some(Wake::Device(device.clone())),
        // Devices of a rollout that begins rest on no part in it yet.
        Fact::RolloutStarted { .. }
        | Fact::CordPulled { .. }
        | Fact::CordReleased { .. }
        | Fact::Published { .. }
        | Fact::Resigned { .. } => Some(Wake::All),
        Fact::GroupOpened { rollout, .. }
        | Fact::RolloutHalted { rollout, .. }
        | Fact::RolloutPaused { rollout, .. }
        | Fact::RolloutResumed { rollout, .. } => Some(Wake::Rollout(rollout.clone())),
        _ => None,
    }
}

/// Every poll that is held back at this moment.
#[derive(Debug, Default)]
pub(crate) struct HeldPolls {
    places: Mutex<Places>,
}

#[derive(Debug, Default)]
struct Places {
    last: u64,
    held: BTreeMap<(DeviceId, u64), Place>,
}

#[derive(Debug)]
struct Place {
    bell: Arc<Notify>,
    /// The rollouts that the last decision rested on; none before the first, when anything may
    /// matter.
    rests_on: Option<Vec<RolloutId>>,
}

impl HeldPolls {
    /// Holds a poll of `device` from here on until the place is dropped. A device that lost its
    /// link may have two.
    pub(crate) fn hold(self: &Arc<Self>, device: &DeviceId) -> Held {
        let bell = Arc::new(Notify::new());
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.last = places.last.wrapping_add(1);
        let key = (device.clone(), places.last);
        let place = Place { bell: Arc::clone(&bell), rests_on: None };
        places.held.insert(key.clone(), place);
        Held { all: Arc::clone(self), key, bell }
    }

    /// Has those look again whom a change concerns.
    pub(crate) fn wake(&self, whom: &Wake) {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        match whom {
            Wake::Device(device) => {
                let own = (device.clone(), 0)..=(device.clone(), u64::MAX);
                places.held.range(own).for_each(|(_, place)| place.bell.notify_one());
            }
            Wake::Rollout(rollout) => {
                let concerned = places.held.values().filter(|place| {
                    place.rests_on.as_ref().is_none_or(|rollouts| rollouts.contains(rollout))
                });
                concerned.for_each(|place| place.bell.notify_one());
            }
            Wake::All => places.held.values().for_each(|place| place.bell.notify_one()),
        }
    }

    /// How many are held.
    #[cfg(test)]
    fn count(&self) -> usize {
        self.places.lock().unwrap_or_else(PoisonError::into_inner).held.len()
    }
}

/// The place of one held poll.
#[derive(Debug)]
pub(crate) struct Held {
    all: Arc<HeldPolls>,
    key: (DeviceId, u64),
    bell: Arc<Notify>,
}

impl Held {
    /// Says what the last decision rested on. What was woken between the decision and this call is
    /// not lost: until now everything was of interest, and a bell that rang stays rung.
    pub(crate) fn rests_on(&self, rollouts: Vec<RolloutId>) {
        let mut places = self.all.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = places.held.get_mut(&self.key) {
            place.rests_on = Some(rollouts);
        }
    }

    /// Waits until a change concerns this poll.
    pub(crate) async fn woken(&self) {
        self.bell.notified().await;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut places = self.all.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.held.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    fn id<T: std::str::FromStr>(text: &str) -> T
    where
        T::Err: std::fmt::Debug,
    {
        text.parse().unwrap()
    }

    fn rang(held: &Held) -> bool {
        held.woken().now_or_never().is_some()
    }

    #[test]
    fn a_wake_reaches_whom_it_concerns_and_nobody_else() {
        let all = Arc::new(HeldPolls::default());
        let (one, two) = (all.hold(&id("d-1")), all.hold(&id("d-10")));
        one.rests_on(vec![id("r-1")]);
        two.rests_on(vec![id("r-2")]);
        all.wake(&Wake::Device(id("d-1")));
        assert_eq!((rang(&one), rang(&two)), (true, false));
        all.wake(&Wake::Rollout(id("r-2")));
        assert_eq!((rang(&one), rang(&two)), (false, true));
        all.wake(&Wake::All);
        assert_eq!((rang(&one), rang(&two)), (true, true));
        drop((one, two));
        assert_eq!(all.count(), 0);
    }

    #[test]
    fn a_change_during_the_first_decision_is_not_lost() {
        let all = Arc::new(HeldPolls::default());
        let held = all.hold(&id("d-1"));
        all.wake(&Wake::Rollout(id("r-1")));
        held.rests_on(vec![]);
        assert!(rang(&held));
    }
}
