//! Moments and how they are written. Nothing here asks a clock: `now` is always an argument.

use alloc::string::{String, ToString};
use core::fmt;

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted. On the wire: an integer.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(u64);

/// The last moment that is taken as a date, 9999-12-30T22:00:00Z: the last that jiff can say in
/// every time zone. RFC 3339 ends a day later.
pub const TIMESTAMP_MS_MAX: u64 = 253_402_207_200_000;

/// A text that is not a moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a date and time such as 2026-01-31T12:00:00Z, got {got:?}")]
pub struct TimeError {
    /// What came, cut after 64 characters.
    pub got: String,
}

impl Timestamp {
    /// A moment from milliseconds since 1970.
    #[must_use]
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub const fn as_ms(self) -> u64 {
        self.0
    }

    /// The moment `ms` milliseconds later; stays at the end of time rather than wrap.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this moment; zero where `earlier` is later.
    #[must_use]
    pub const fn since_ms(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Reads RFC 3339 in UTC, the form of TUF's `expires` (TUF 4.2.1: `YYYY-MM-DDTHH:MM:SSZ`).
    ///
    /// # Errors
    /// The text is not a moment between 1970 and 9999.
    pub fn parse_rfc3339(text: &str) -> Result<Self, TimeError> {
        let refused = || TimeError { got: text.chars().take(64).collect() };
        let parsed: jiff::Timestamp = text.parse().map_err(|_| refused())?;
        let ms = u64::try_from(parsed.as_millisecond()).map_err(|_| refused())?;
        Ok(Self(ms))
    }

    /// Writes RFC 3339 in UTC to the second, as TUF's `expires` wants it.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        let seconds = i64::try_from(self.0.min(TIMESTAMP_MS_MAX) / 1000).unwrap_or(0);
        jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

/// Milliseconds in a day, an hour, a minute and a second.
pub const DAY_MS: u64 = 24 * HOUR_MS;
/// See [`DAY_MS`].
pub const HOUR_MS: u64 = 60 * MINUTE_MS;
/// See [`DAY_MS`].
pub const MINUTE_MS: u64 = 60 * SECOND_MS;
/// See [`DAY_MS`].
pub const SECOND_MS: u64 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_is_read_back_as_written() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (4_294_967_296_000, "2106-02-07T06:28:16Z"),
            (TIMESTAMP_MS_MAX, "9999-12-30T22:00:00Z"),
        ] {
            assert_eq!(Timestamp::from_ms(ms).to_rfc3339(), text);
            assert_eq!(Timestamp::parse_rfc3339(text).unwrap(), Timestamp::from_ms(ms));
        }
    }

    #[test]
    fn texts_that_are_no_moment_are_refused() {
        for bad in ["", "2026", "2026-13-01T00:00:00Z", "1969-12-31T23:59:59Z", "yesterday"] {
            assert!(Timestamp::parse_rfc3339(bad).is_err(), "{bad:?} was accepted");
        }
    }
}
