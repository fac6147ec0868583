//! What time it is, on a device whose clock may stand at 1970 or 2106. The clock itself is read by
//! the shell; here its readings are weighed.

use lazaret_protocol::time::{DAY_MS, Timestamp};

/// A system clock that differs by more than this from authenticated time is worth a forensic entry,
/// in milliseconds. Below it is ordinary drift and the time that a poll takes.
pub const CLOCK_STEP_MS: u64 = 5 * 60 * 1000;

/// How far beyond the horizon a server's word is still believed, in milliseconds. A repository that
/// nobody signs again for a week is a fault of its keepers, and devices shall see by the true time
/// that it has expired; a word beyond that is a fault of the clock that it was read from
/// (docs/decisions/0005).
pub const HORIZON_SLACK_MS: u64 = 7 * DAY_MS;

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
    /// A server said a time that nothing signed justifies, and none was believed since the start.
    Doubted {
        /// What it said.
        time: Timestamp,
        /// The monotonic clock when it said so.
        monotonic_ms: u64,
    },
}

/// What is made of the time that a server told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// It is the time.
    Believed,
    /// It is later than anything signed justifies: a server whose clock stands in 2099, or that
    /// somebody has stolen. Nothing that lasts may rest on it.
    Doubted,
}

/// Weighs the time that a server told against the horizon: the moment at which the first of the
/// trusted root, timestamp and snapshot expires, zero on a device that trusts none yet.
#[must_use]
pub fn weigh(told: Timestamp, horizon: Timestamp) -> Word {
    if told < horizon.plus_ms(HORIZON_SLACK_MS) && horizon != Timestamp::default() {
        return Word::Believed;
    }
    Word::Doubted
}

/// The floor after a server told a time. It rises only to what is believed, and never beyond the
/// horizon: whatever expires later, as every timestamp signed from then on does, is fresh at a
/// floor of that height.
#[must_use]
pub fn raised(floor: Timestamp, told: Timestamp, horizon: Timestamp) -> Timestamp {
    match weigh(told, horizon) {
        Word::Believed => floor.max(told.min(horizon)),
        Word::Doubted => floor,
    }
}

/// The time to decide by. Once a server has told the time, the system clock has no say: a device
/// whose clock stands at 2106 would otherwise hold all metadata for expired, for ever. The floor
/// holds against a server that tells an old time (a freeze by way of the clock). Where the server's
/// word is in doubt and nothing better is known, the earlier of the two clocks is taken: whichever
/// of them stands in the future, good metadata is not held for expired.
#[must_use]
pub fn now(source: Source, reading: Reading, floor: Timestamp) -> Timestamp {
    let told = match source {
        Source::System => reading.system,
        Source::Authenticated { time, monotonic_ms } => {
            time.plus_ms(reading.monotonic_ms.saturating_sub(monotonic_ms))
        }
        Source::Doubted { time, monotonic_ms } => {
            let told = time.plus_ms(reading.monotonic_ms.saturating_sub(monotonic_ms));
            reading.system.min(told)
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
    use proptest::prelude::*;

    use super::*;

    const YEAR_2099: Timestamp = Timestamp::from_ms(4_070_908_800_000);

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

    proptest! {
        #[test]
        fn the_floor_never_passes_what_is_signed_and_never_falls(
            floor in any::<u32>(),
            told in any::<u64>(),
            horizon in any::<u32>(),
        ) {
            let floor = Timestamp::from_ms(floor.into());
            let horizon = Timestamp::from_ms(horizon.into());
            let told = Timestamp::from_ms(told);
            let next = raised(floor, told, horizon);
            prop_assert!(next >= floor);
            prop_assert!(next <= floor.max(horizon));
            prop_assert!(next <= floor.max(told));
        }
    }

    #[test]
    fn a_server_in_2099_is_doubted_and_moves_nothing() {
        let horizon = FLOOR.plus_ms(2 * DAY_MS);
        assert_eq!(weigh(YEAR_2099, horizon), Word::Doubted);
        assert_eq!(raised(FLOOR, YEAR_2099, horizon), FLOOR);
        // Nor before anything signed is known.
        assert_eq!(weigh(FLOOR, Timestamp::default()), Word::Doubted);
    }

    #[test]
    fn a_repository_that_lapsed_some_days_ago_does_not_make_the_server_a_liar() {
        let told = FLOOR.plus_ms(HORIZON_SLACK_MS - 1);
        assert_eq!(weigh(told, FLOOR), Word::Believed);
        assert_eq!(raised(Timestamp::default(), told, FLOOR), FLOOR);
        assert_eq!(weigh(told.plus_ms(1), FLOOR), Word::Doubted);
    }

    #[test]
    fn of_two_clocks_in_doubt_the_earlier_is_taken_and_never_one_before_the_floor() {
        let doubted = Source::Doubted { time: FLOOR.plus_ms(100), monotonic_ms: 10 };
        assert_eq!(now(doubted, at(YEAR_2099.as_ms(), 15), FLOOR), FLOOR.plus_ms(105));
        let doubted = Source::Doubted { time: YEAR_2099, monotonic_ms: 10 };
        assert_eq!(now(doubted, at(FLOOR.as_ms() + 7, 15), FLOOR), FLOOR.plus_ms(7));
        assert_eq!(now(doubted, at(0, 15), FLOOR), FLOOR);
    }

    #[test]
    fn drift_is_not_a_step() {
        assert_eq!(step_ms(FLOOR, FLOOR.plus_ms(CLOCK_STEP_MS)), None);
        assert_eq!(step_ms(FLOOR.plus_ms(600_000), FLOOR), Some(600_000));
    }
}
