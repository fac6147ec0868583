//! The only file that reads a clock. What the readings mean is weighed in
//! `lazaret_agent_core::clock`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lazaret_agent_core::clock::{Reading, Source, now, step_ms};
use lazaret_protocol::time::Timestamp;
use lazaret_protocol_evidence::log;

/// The device's time. Clones share what was learned from the server, so that TLS judges
/// certificates by the same time as everything else.
#[derive(Debug, Clone)]
pub struct Clock {
    started: Instant,
    floor_ms: Arc<AtomicU64>,
    source: Arc<Mutex<Source>>,
}

impl Clock {
    /// A clock that never shows a time before `floor`.
    #[must_use]
    pub fn new(floor: Timestamp) -> Self {
        Self {
            started: Instant::now(),
            floor_ms: Arc::new(AtomicU64::new(floor.as_ms())),
            source: Arc::new(Mutex::new(Source::System)),
        }
    }

    /// Milliseconds since this clock was made. They never go back and do not follow the system
    /// clock.
    #[must_use]
    pub fn monotonic_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The time to decide by.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let reading = Reading { system: system(), monotonic_ms: self.monotonic_ms() };
        now(self.source(), reading, self.floor())
    }

    /// The time that nothing is before.
    #[must_use]
    pub fn floor(&self) -> Timestamp {
        Timestamp::from_ms(self.floor_ms.load(Ordering::Relaxed))
    }

    /// How the time is known.
    #[must_use]
    pub fn source(&self) -> Source {
        *self.source.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a moment in the forensic log rests on.
    #[must_use]
    pub fn evidence(&self) -> log::Clock {
        match self.source() {
            Source::Authenticated { .. } => log::Clock::Authenticated,
            _ if system() >= self.floor() && self.now() > self.floor() => log::Clock::System,
            _ => log::Clock::Floor,
        }
    }

    /// Takes the time that a server told over an authenticated connection and that is believed.
    /// Says by how many milliseconds the system clock is off where that is worth telling and was
    /// not told before.
    pub fn told(&self, time: Timestamp) -> Option<u64> {
        let monotonic_ms = self.monotonic_ms();
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        let first = !matches!(*source, Source::Authenticated { .. });
        *source = Source::Authenticated { time, monotonic_ms };
        step_ms(system(), time).filter(|_| first)
    }

    /// Takes a time that a server told and that is in doubt. What was believed before stays.
    pub fn doubted(&self, time: Timestamp) {
        let monotonic_ms = self.monotonic_ms();
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*source, Source::Authenticated { .. }) {
            *source = Source::Doubted { time, monotonic_ms };
        }
    }

    /// How far the system's clock is ahead of the time since the machine started, in milliseconds;
    /// it changes where somebody sets the clock, and hardly otherwise.
    #[must_use]
    pub fn ahead_of_uptime_ms(&self) -> i64 {
        let up = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let up_ms = up.tv_sec.saturating_mul(1000).saturating_add(up.tv_nsec / 1_000_000);
        i64::try_from(system().as_ms()).unwrap_or(i64::MAX).saturating_sub(up_ms)
    }

    /// Follows the journal's floor, which is the only one that decides.
    pub fn follow(&self, floor: Timestamp) {
        self.floor_ms.store(floor.as_ms(), Ordering::Relaxed);
    }
}

/// The CPU time that this process has used, in milliseconds.
#[must_use]
pub fn cpu_ms() -> u64 {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let whole = u64::try_from(used.tv_sec).unwrap_or_default().saturating_mul(1000);
    whole.saturating_add(u64::try_from(used.tv_nsec / 1_000_000).unwrap_or_default())
}

/// Waits. The only sleep of the agent.
pub fn sleep_ms(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

fn system() -> Timestamp {
    // Before 1970 is 1970: the floor lifts both.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_ms(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
