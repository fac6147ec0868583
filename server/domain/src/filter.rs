//! The language in which operators say which devices they mean: RSQL as hawkBit speaks it
//! (jirutka's grammar over FIQL, draft-nottingham-atompub-fiql-00), with typed fields.
//!
//! ```text
//! model==gw2;version=lt=2.4.0;(label.site==lyon,last_seen=lt=7d)
//! ```
//!
//! `;` or `and` binds tighter than `,` or `or`. Operators are `==`, `!=`, `<` or `=lt=`, `<=` or
//! `=le=`, `>` or `=gt=`, `>=` or `=ge=`, `=in=(a,b)`, `=out=(a,b)`. Values with other characters
//! than letters, digits and `._-+:@/*` stand in single or double quotes, with `\` before a quote.
//! `*` in a text stands for any characters. Nothing here looks anything up.

use alloc::string::{String, ToString as _};
use core::fmt;
use core::str::FromStr;

use lazaret_protocol::id::RolloutId;
use lazaret_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::device::Device;

mod eval;
pub(crate) mod field;
mod lex;
mod parse;
pub mod version;

/// Longest filter, in bytes.
pub const FILTER_BYTES_MAX: usize = 4096;
/// Comparisons in one filter. hawkBit has no such limit and falls to its database's.
pub const COMPARISONS_MAX: usize = 128;
/// Values in one `=in=(...)`.
pub const VALUES_MAX: usize = 256;
/// Parentheses inside each other.
pub const DEPTH_MAX: usize = 16;

/// A filter that was understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Filter {
    text: String,
    root: parse::Node,
}

/// A text that is no filter: where, what was expected, what came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("filter column {column}: expected {expected}, got {got}")]
pub struct FilterError {
    /// The character it went wrong at, from 1.
    pub column: usize,
    /// What could have stood there.
    pub expected: String,
    /// What stood there.
    pub got: String,
}

impl Filter {
    /// Whether `device`, whose latest rollout is `rollout`, is meant at `now`. Constant in the size
    /// of the fleet.
    #[must_use]
    pub fn matches(&self, device: &Device, rollout: Option<&RolloutId>, now: Timestamp) -> bool {
        self.root.matches(&eval::Subject { device, rollout, now })
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FilterError {
    /// The filter with a caret below the character that is meant, for a terminal.
    #[must_use]
    pub fn pointed(&self, text: &str) -> String {
        let pad = self.column.saturating_sub(1);
        alloc::format!("{text}\n{:pad$}^ expected {}, got {}", "", self.expected, self.got)
    }
}

impl FromStr for Filter {
    type Err = FilterError;
    fn from_str(text: &str) -> Result<Self, FilterError> {
        if text.len() > FILTER_BYTES_MAX {
            return Err(FilterError {
                column: 1,
                expected: alloc::format!("a filter of at most {FILTER_BYTES_MAX} bytes"),
                got: alloc::format!("{} bytes", text.len()),
            });
        }
        Ok(Self { text: text.to_string(), root: parse::parse(text)? })
    }
}

impl TryFrom<String> for Filter {
    type Error = FilterError;
    fn try_from(text: String) -> Result<Self, FilterError> {
        text.parse()
    }
}

impl From<Filter> for String {
    fn from(filter: Filter) -> Self {
        filter.text
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests;
