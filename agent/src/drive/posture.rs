//! What the device says of itself with every poll, and when it looks.

use lazaret_agent_core::journal::Update;
use lazaret_agent_core::slot::Slot;
use lazaret_protocol::poll::{Posture, SlotHealth};

use super::{Drive, PROBE_ROUND_MS, Pace};
use crate::posture::Settled;
use crate::probes::Surroundings;

impl Drive {
    /// Runs commands and probes where it is time. While an image is on its way they are left alone:
    /// the trial has its own, and a slow command shall not stand between a device and a halt.
    pub(super) fn look_at_itself(&mut self) {
        if self.journal.update != Update::Idle || !self.looks.due(self.now_ms()) {
            return;
        }
        if self.looks.failures == 0 {
            self.watch.ask(&self.config.posture);
        }
        let settled = self.probe();
        if settled == Settled::Changed {
            // A probe that went bad is what a rollout halts for: it is told at once.
            self.hurry();
        }
        let (failures, wait_ms) = match settled {
            Settled::NotYet => (1, PROBE_ROUND_MS),
            _ => (0, self.config.posture.every_ms),
        };
        self.looks = Pace { failures, next_ms: self.now_ms().saturating_add(wait_ms) };
    }

    /// One look with each probe at the image that runs.
    fn probe(&mut self) -> Settled {
        let Some(slot) = self.slots.booted() else { return Settled::AsBefore };
        let image = self.slots.image(slot);
        let around =
            Surroundings { image: &image, slot: slot.as_str(), transport: &self.transport };
        self.watch.look(&self.config.probes, &around)
    }

    pub(super) fn posture(&self) -> Posture {
        let config = &self.config;
        let folders = [
            ("free_bytes.slots", config.slots.folder.as_path()),
            ("free_bytes.state", config.state_dir.as_path()),
        ];
        let mut posture = self.watch.posture(&config.posture, &folders, self.clock.now());
        posture.attributes.extend(self.alarms().map(|alarms| ("alarm".to_owned(), alarms)));
        let other = Slot::inactive(self.slots.booted());
        if self.slots.health(other) == SlotHealth::Good {
            posture.other_release =
                self.journal.slots.release(other).map(|release| release.running());
        }
        posture.release_floor = Some(self.journal.release_floor);
        posture
    }
}
