//! The device's local time, for maintenance windows.

use std::path::Path;

use jiff::tz::TimeZone;
use lazaret_protocol::time::Timestamp;

/// Where the system says what its local time is.
const LOCAL_TIME: &str = "/etc/localtime";

/// Where a device stands, as far as its clock is concerned.
#[derive(Debug, Clone)]
pub enum Zone {
    /// The rules of a place.
    Known(TimeZone),
    /// Nobody has said; nothing is guessed.
    Unknown,
}

impl Zone {
    /// Reads the setting: `system`, a name such as `Europe/Berlin`, a rule of POSIX such as
    /// `CET-1CEST,M3.5.0,M10.5.0/3`, or `unknown`.
    ///
    /// # Errors
    /// It is none of these.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "unknown" => return Ok(Self::Unknown),
            "system" => return Ok(Self::system()),
            _ => {}
        }
        let known = TimeZone::get(text).or_else(|_| TimeZone::posix(text));
        known.map(Self::Known).map_err(|_| {
            format!(
                "expected system, unknown, a place such as Europe/Berlin or a rule such as \
                 CET-1CEST,M3.5.0,M10.5.0/3, got {text:?}"
            )
        })
    }

    /// What the system says: `TZ` and then `/etc/localtime`. A system that says nothing is in no
    /// zone, whatever the C library makes of that.
    fn system() -> Self {
        if std::env::var_os("TZ").is_none() && !Path::new(LOCAL_TIME).exists() {
            return Self::Unknown;
        }
        TimeZone::try_system().map_or(Self::Unknown, Self::Known)
    }

    /// Minutes that local time is ahead of UTC at `now`.
    #[must_use]
    pub fn offset_min(&self, now: Timestamp) -> Option<i16> {
        let Self::Known(zone) = self else { return None };
        let ms = i64::try_from(now.as_ms()).ok()?;
        let moment = jiff::Timestamp::from_millisecond(ms).ok()?;
        i16::try_from(zone.to_offset(moment).seconds() / 60).ok()
    }
}
