//! What time it is, on a device whose clock may stand at 1970 or 2106. The clock itself is read by
//! the shell; here its readings are weighed.

use lazaret_protocol::time::Timestamp;

/// A system clock that differs by more than this from authenticated time is worth a forensic entry,
/// in milliseconds. Below it is ordinary drift and the time that a poll takes.
pub const CLOCK_STEP_MS: u64 = 5 * 60 * 1000;

/// Readings of one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The system clock.
    pub system: Timestamp,
    /// Milliseconds on the monotonic clock, from any origin.
    pub monotonic_ms: u64,
}

/// How the time is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// No authenticated time since the start: the later of the system clock and the floor.
    System,
    /// A server said the time over an authenticated connection, and so much has passed since.
    Authenticated {
        /// What it said.
        time: Timestamp,
        /// The monotonic clock when it said so.
        monotonic_ms: u64,
    },
}

/// The time to decide by. Once a server has told the time, the system clock has no say: a device
/// whose clock stands at 2106 would otherwise hold all metadata for expired, for ever. The floor
/// holds against a server that tells an old time (a freeze by way of the clock).
#[must_use]
pub fn now(source: Source, reading: Reading, floor: Timestamp) -> Timestamp {
    let told = match source {
        Source::System => reading.system,
        Source::Authenticated { time, monotonic_ms } => {
            time.plus_ms(reading.monotonic_ms.saturating_sub(monotonic_ms))
        }
    };
    told.max(floor)
}

/// By how many milliseconds the system clock is off, where that is worth telling.
#[must_use]
pub fn step_ms(system: Timestamp, authenticated: Timestamp) -> Option<u64> {
    let off = system.since_ms(authenticated).max(authenticated.since_ms(system));
    (off > CLOCK_STEP_MS).then_some(off)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOOR: Timestamp = Timestamp::from_ms(1_700_000_000_000);

    fn at(system_ms: u64, monotonic_ms: u64) -> Reading {
        Reading { system: Timestamp::from_ms(system_ms), monotonic_ms }
    }

    #[test]
    fn a_clock_at_1970_is_held_up_by_the_floor() {
        assert_eq!(now(Source::System, at(0, 5), FLOOR), FLOOR);
    }

    #[test]
    fn a_clock_at_2106_has_no_say_after_the_first_authenticated_time() {
        let told = FLOOR.plus_ms(1000);
        let source = Source::Authenticated { time: told, monotonic_ms: 10 };
        assert_eq!(now(source, at(4_294_967_296_000, 25), FLOOR), told.plus_ms(15));
    }

    #[test]
    fn a_server_that_tells_an_old_time_does_not_turn_it_back() {
        let source = Source::Authenticated { time: Timestamp::from_ms(1), monotonic_ms: 0 };
        assert_eq!(now(source, at(1, 0), FLOOR), FLOOR);
    }

    #[test]
    fn drift_is_not_a_step() {
        assert_eq!(step_ms(FLOOR, FLOOR.plus_ms(CLOCK_STEP_MS)), None);
        assert_eq!(step_ms(FLOOR.plus_ms(600_000), FLOOR), Some(600_000));
    }
}
