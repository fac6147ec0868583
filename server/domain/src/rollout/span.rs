//! Spans of time as operators write them in a policy: `1h30m`.

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use lazaret_protocol::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};
use serde::{Deserialize, Serialize};

use crate::filter::field::span_ms;

/// A span of time in milliseconds, written such as `7d`, `1h30m`, `45s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(u64);

/// A text that is no span.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a span of time such as 7d, 1h30m or 45s, got {got:?}")]
pub struct SpanError {
    /// What came, cut after 64 characters.
    pub got: String,
}

impl Span {
    /// A span of so many milliseconds.
    #[must_use]
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// In milliseconds.
    #[must_use]
    pub const fn as_ms(self) -> u64 {
        self.0
    }
}

impl FromStr for Span {
    type Err = SpanError;
    fn from_str(text: &str) -> Result<Self, SpanError> {
        let refused = || SpanError { got: text.chars().take(64).collect() };
        span_ms(text).map(Self).ok_or_else(refused)
    }
}

impl TryFrom<String> for Span {
    type Error = SpanError;
    fn try_from(text: String) -> Result<Self, SpanError> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        alloc::format!("{span}")
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.0;
        for (unit, name) in
            [(DAY_MS, "d"), (HOUR_MS, "h"), (MINUTE_MS, "m"), (SECOND_MS, "s"), (1, "ms")]
        {
            let count = rest.checked_div(unit).unwrap_or(0);
            rest = rest.checked_rem(unit).unwrap_or(0);
            if count > 0 {
                write!(f, "{count}{name}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;
    use proptest::prelude::*;

    #[test]
    fn texts_that_are_no_span_are_refused() {
        for bad in ["", "7", "d", "7 d", "-1d", "1x", "1d2", "99999999999999999999d", "∞"] {
            assert!(bad.parse::<Span>().is_err(), "{bad:?} was accepted");
        }
        assert_eq!("1h30m".parse(), Ok(Span::from_ms(90 * MINUTE_MS)));
    }

    proptest! {
        #[test]
        fn a_span_is_read_back_as_written(ms in 0u64..u64::MAX) {
            prop_assert_eq!(Span::from_ms(ms).to_string().parse(), Ok(Span::from_ms(ms)));
        }

        #[test]
        fn any_text_is_a_span_or_an_error(text in "\\PC{0,20}") {
            let _ = text.parse::<Span>();
        }
    }
}
