//! The devices of a scenario: when each calls, how long it takes to install, and how that goes.

use alloc::vec::Vec;

use lazaret_protocol::time::{HOUR_MS, MINUTE_MS, SECOND_MS};

use crate::random::{below, happens, log_normal, mix};
use crate::scenario::{BEGINNING, Fault, Links, Scenario};

const DAY_MS: u64 = 24 * HOUR_MS;
/// Hours a day for which a device that is not always on is on.
const ON_MS: u64 = 10 * HOUR_MS;
/// The fastest install: nothing downloads and restarts in less.
const INSTALL_MS_MIN: u64 = 2 * MINUTE_MS;
/// From a change on the server to the device that has a poll there.
const WAKE_MS: u64 = SECOND_MS;
/// How long a poll is held back: a connected device says a word so often.
const HOLD_MS: u64 = 50 * SECOND_MS;

/// One device.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Machine {
    /// Its polls fall at this moment of each interval.
    phase_ms: u32,
    /// When it is switched on, in UTC milliseconds of the day; none where it always is.
    on_from_ms: Option<u32>,
    /// Minutes that it is ahead of UTC.
    pub(crate) utc_offset_min: i16,
    /// Its hardware revision.
    pub(crate) revision: u8,
    /// From the offer to the word of the new image.
    pub(crate) install_ms: u32,
}

/// How an image goes on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Well.
    Good,
    /// The trial fails, as some do always.
    Unlucky,
    /// The trial fails, because the image is bad.
    Bad,
    /// It confirms, and goes bad later, with a word or without.
    Slow { after_ms: u64, silent: bool },
}

/// All devices.
#[derive(Debug)]
pub(crate) struct Fleet {
    seed: u64,
    poll_ms: u64,
    lost_permille: u32,
    links: Links,
    pub(crate) machines: Vec<Machine>,
}

impl Fleet {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let machines = (0..scenario.devices).map(|i| machine(scenario, u64::from(i))).collect();
        Self {
            seed: scenario.seed,
            poll_ms: scenario.poll_ms,
            lost_permille: scenario.lost_polls_permille,
            links: scenario.links,
            machines,
        }
    }

    pub(crate) fn machine(&self, device: u32) -> Machine {
        let nobody = Machine {
            phase_ms: 0,
            on_from_ms: None,
            utc_offset_min: 0,
            revision: 0,
            install_ms: 0,
        };
        usize::try_from(device).ok().and_then(|at| self.machines.get(at)).copied().unwrap_or(nobody)
    }

    /// Its first poll that gets through at or after `t`.
    pub(crate) fn next_poll(&self, device: u32, t: u64) -> u64 {
        let machine = self.machine(device);
        let phase = u64::from(machine.phase_ms);
        let mut k = t.saturating_sub(phase).div_ceil(self.poll_ms);
        loop {
            let at = phase + k * self.poll_ms;
            let wait = machine.off_for(at);
            if wait > 0 {
                k += wait.div_ceil(self.poll_ms);
            } else if self.is_lost(device, k) {
                k += 1;
            } else {
                return at;
            }
        }
    }

    /// When it hears what the server has to say at `t`: at once while its poll is held there,
    /// otherwise with its next one.
    pub(crate) fn hears(&self, device: u32, t: u64) -> u64 {
        if self.is_connected(device, t) { t + WAKE_MS } else { self.next_poll(device, t) }
    }

    /// When the server heard of it last at `t`.
    pub(crate) fn last_word(&self, device: u32, t: u64) -> u64 {
        if !self.is_connected(device, t) {
            return self.last_poll(device, t);
        }
        let phase = u64::from(self.machine(device).phase_ms);
        t - t.saturating_sub(phase) % HOLD_MS
    }

    /// Whether its poll is held on the server: it is on, and the last one got through.
    fn is_connected(&self, device: u32, t: u64) -> bool {
        let machine = self.machine(device);
        let phase = u64::from(machine.phase_ms);
        if self.links == Links::Plain || t < phase || machine.off_for(t) > 0 {
            return false;
        }
        let k = (t - phase) / self.poll_ms;
        machine.off_for(phase + k * self.poll_ms) == 0 && !self.is_lost(device, k)
    }

    /// Its last poll that got through at or before `t`; where there was none for long, one long
    /// ago.
    pub(crate) fn last_poll(&self, device: u32, t: u64) -> u64 {
        let machine = self.machine(device);
        let phase = u64::from(machine.phase_ms);
        let mut k = t.saturating_sub(phase) / self.poll_ms;
        loop {
            let at = phase + k * self.poll_ms;
            if machine.off_for(at) == 0 && !self.is_lost(device, k) || k == 0 {
                return at;
            }
            // Back to the end of the last hours in which it was on.
            let off = machine.off_since(at).div_ceil(self.poll_ms).max(1);
            k = k.saturating_sub(off);
        }
    }

    /// When a word that is ready at `t` gets through: at once, or with the next poll after the
    /// night.
    pub(crate) fn heard_at(&self, device: u32, t: u64) -> u64 {
        if self.machine(device).off_for(t) == 0 { t } else { self.next_poll(device, t) }
    }

    pub(crate) fn fate(&self, device: u32, scenario: &Scenario) -> Fate {
        let random = |what| mix(self.seed, u64::from(device), what);
        match scenario.fault {
            Fault::Everywhere => return Fate::Bad,
            Fault::Revision { revision } if revision == self.machine(device).revision => {
                return Fate::Bad;
            }
            Fault::Some { permille } if happens(random(21), permille) => return Fate::Bad,
            _ => {}
        }
        match scenario.fault {
            _ if happens(random(22), scenario.failures_permille) => Fate::Unlucky,
            Fault::Slow { after_ms } => Fate::Slow { after_ms, silent: false },
            Fault::SlowSilent { after_ms } => Fate::Slow { after_ms, silent: true },
            _ => Fate::Good,
        }
    }

    fn is_lost(&self, device: u32, k: u64) -> bool {
        self.lost_permille > 0
            && happens(mix(self.seed, u64::from(device), 1000 + k), self.lost_permille)
    }
}

impl Machine {
    /// Milliseconds from `at` until it is switched on, 0 where it is.
    fn off_for(self, at: u64) -> u64 {
        let Some(from) = self.on_from_ms else { return 0 };
        let since = (at % DAY_MS + DAY_MS - u64::from(from)) % DAY_MS;
        if since < ON_MS { 0 } else { DAY_MS - since }
    }

    /// Milliseconds for which it has been off at `at`, 0 where it is on.
    fn off_since(self, at: u64) -> u64 {
        let Some(from) = self.on_from_ms else { return 0 };
        let since = (at % DAY_MS + DAY_MS - u64::from(from)) % DAY_MS;
        since.saturating_sub(ON_MS)
    }
}

fn machine(scenario: &Scenario, device: u64) -> Machine {
    let random = |what| mix(scenario.seed, device, what);
    let halvings = u8::try_from(random(1).trailing_zeros()).unwrap_or(u8::MAX);
    let utc_offset_min = i16::try_from(below(random(2), 24)).unwrap_or(0) * 60 - 660;
    let install = log_normal(random(3), ms(scenario.install_ms), 0.4);
    let install = install.clamp(ms(INSTALL_MS_MIN), ms(3 * HOUR_MS));
    // Morning is between six and nine where it stands.
    let local = 6 * HOUR_MS + below(random(4), 3 * HOUR_MS);
    let ahead = (i64::from(utc_offset_min) * 60_000).rem_euclid(86_400_000);
    let from = (local + DAY_MS - u64::try_from(ahead).unwrap_or(0)) % DAY_MS;
    let day_only = happens(random(5), scenario.day_only_permille);
    Machine {
        phase_ms: u32::try_from(below(random(6), scenario.poll_ms)).unwrap_or(0),
        on_from_ms: day_only.then(|| u32::try_from(from).unwrap_or(0)),
        utc_offset_min,
        revision: halvings.min(scenario.revisions - 1),
        install_ms: whole(install),
    }
}

fn ms(ms: u64) -> f64 {
    f64::from(u32::try_from(ms).unwrap_or(u32::MAX))
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped before")]
fn whole(ms: f64) -> u32 {
    ms as u32
}

/// Milliseconds since the rollout began.
pub(crate) const fn since_beginning(t: u64) -> u64 {
    t.saturating_sub(BEGINNING.as_ms())
}
