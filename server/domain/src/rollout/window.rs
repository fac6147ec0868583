//! Maintenance windows: the hours of the week, in the device's own local time, in which it may be
//! offered an update. The offset from UTC comes from the device; there is no table of time zones
//! here, so that a change of summer time is the device's to know.

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use lazaret_protocol::time::{MINUTE_MS, Timestamp};
use serde::{Deserialize, Serialize};

const DAY_MIN: i64 = 24 * 60;
const WEEK_MIN: i64 = 7 * DAY_MIN;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Hours of some days of the week, written `mon-fri 22:00-05:00`, `sat,sun 00:00-24:00` or `daily
/// 02:00-04:00`. An end at or before the beginning is on the next day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Window {
    /// Bit 0 is Monday.
    days: u8,
    from_min: u16,
    to_min: u16,
}

/// A text that is no window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a window such as \"mon-fri 22:00-05:00\", \"sat,sun 00:00-24:00\" or \"daily \
     02:00-04:00\", got {got:?}"
)]
pub struct WindowError {
    /// What came, cut after 64 characters.
    pub got: String,
}

/// Whether one of the windows is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// One is open, or there are none.
    Open,
    /// The next opens then.
    At(Timestamp),
}

/// Whether one of `windows` is open at `now` for a device whose local time is `offset_min` minutes
/// ahead of UTC. No windows are always open.
#[must_use]
pub fn opening(windows: &[Window], offset_min: i16, now: Timestamp) -> Opening {
    let wait = windows.iter().map(|window| window.wait_min(offset_min, now)).min();
    match wait {
        None | Some(0) => Opening::Open,
        Some(minutes) => {
            let whole = now.as_ms().checked_div(MINUTE_MS).unwrap_or(0);
            let at = whole.saturating_add(minutes).saturating_mul(MINUTE_MS);
            Opening::At(Timestamp::from_ms(at))
        }
    }
}

impl Window {
    /// Minutes in a week in which it is open.
    #[must_use]
    pub fn minutes_a_week(self) -> u32 {
        self.length_min().saturating_mul(self.days.count_ones())
    }

    fn length_min(self) -> u32 {
        let (from, to) = (u32::from(self.from_min), u32::from(self.to_min));
        if to > from {
            to.saturating_sub(from)
        } else {
            (24u32 * 60).saturating_sub(from).saturating_add(to)
        }
    }

    /// Whole minutes until it is open, 0 where it is.
    fn wait_min(self, offset_min: i16, now: Timestamp) -> u64 {
        let minutes = i64::try_from(now.as_ms().checked_div(MINUTE_MS).unwrap_or(0)).unwrap_or(0);
        // 1970-01-01 was a Thursday, the fourth day of the week.
        let monday = DAY_MIN.saturating_mul(3);
        let local = minutes.saturating_add(i64::from(offset_min)).saturating_add(monday);
        let local = local.rem_euclid(WEEK_MIN);
        let length = i64::from(self.length_min());
        let waits = (0i64..).zip(DAYS).filter(|(day, _)| self.has_day(*day)).map(|(day, _)| {
            let start = day.saturating_mul(DAY_MIN).saturating_add(i64::from(self.from_min));
            let since = local.saturating_sub(start).rem_euclid(WEEK_MIN);
            if since < length { 0 } else { WEEK_MIN.saturating_sub(since) }
        });
        waits.min().and_then(|wait| u64::try_from(wait).ok()).unwrap_or(u64::MAX)
    }

    fn has_day(self, day: i64) -> bool {
        u32::try_from(day).is_ok_and(|day| self.days.checked_shr(day).unwrap_or(0) & 1 == 1)
    }
}

impl FromStr for Window {
    type Err = WindowError;
    fn from_str(text: &str) -> Result<Self, WindowError> {
        let refused = || WindowError { got: text.chars().take(64).collect() };
        let mut words = text.split_ascii_whitespace();
        let (Some(days), Some(hours), None) = (words.next(), words.next(), words.next()) else {
            return Err(refused());
        };
        let days = parse_days(&days.to_ascii_lowercase()).ok_or_else(refused)?;
        let (from, to) = hours.split_once('-').ok_or_else(refused)?;
        let from_min = parse_minute(from).filter(|min| *min < 24 * 60).ok_or_else(refused)?;
        let to_min = parse_minute(to).ok_or_else(refused)?;
        Ok(Self { days, from_min, to_min })
    }
}

fn parse_days(text: &str) -> Option<u8> {
    if text == "daily" {
        return Some(0x7f);
    }
    let day = |name: &str| DAYS.iter().position(|day| *day == name);
    let mut days = 0u8;
    for part in text.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (mut at, to) = (day(from)?, day(to)?);
        loop {
            days |= 1u8.checked_shl(u32::try_from(at).ok()?)?;
            if at == to {
                break;
            }
            // `sat-mon` goes over the end of the week.
            at = at.checked_add(1)?.checked_rem(7)?;
        }
    }
    Some(days)
}

fn parse_minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let digits = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(hours) || !digits(minutes) {
        return None;
    }
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    let total = hours.checked_mul(60)?.checked_add(minutes)?;
    (minutes < 60 && total <= 24 * 60).then_some(total)
}

impl TryFrom<String> for Window {
    type Error = WindowError;
    fn try_from(text: String) -> Result<Self, WindowError> {
        text.parse()
    }
}

impl From<Window> for String {
    fn from(window: Window) -> Self {
        alloc::format!("{window}")
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.days == 0x7f {
            f.write_str("daily")?;
        } else {
            let days = (0i64..).zip(DAYS).filter(|(day, _)| self.has_day(*day));
            for (nth, (_, name)) in days.enumerate() {
                write!(f, "{}{name}", if nth == 0 { "" } else { "," })?;
            }
        }
        let parts = |minute: u16| {
            (minute.checked_div(60).unwrap_or(0), minute.checked_rem(60).unwrap_or(0))
        };
        let ((h, m), (to_h, to_m)) = (parts(self.from_min), parts(self.to_min));
        write!(f, " {h:02}:{m:02}-{to_h:02}:{to_m:02}")
    }
}

#[cfg(test)]
mod tests;
