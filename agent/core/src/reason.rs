//! Free text that must fit the journal: short, one line, and the same size however it is encoded.

use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};

/// Longest reason, in bytes. The journal keeps [`crate::journal::REPORTS_MAX`] of them in one
/// record of 4 KiB beside everything else.
pub const REASON_BYTES_MAX: usize = 300;

/// Why something was refused or failed, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Reason(String);

impl Reason {
    /// Cuts `text` to [`REASON_BYTES_MAX`]. Control characters become spaces, because canonical
    /// JSON lets them stand for themselves and JSON readers refuse that; the quote and the
    /// backslash become `'` and `/`, so that no escape makes the text longer than its bound.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut out = String::new();
        for c in text.trim().chars().map(plain) {
            if out.len().saturating_add(c.len_utf8()) > REASON_BYTES_MAX {
                break;
            }
            out.push(c);
        }
        Self(out)
    }

    /// `head`, then as much of the end of `tail` as fits: for a probe, its last words say most.
    #[must_use]
    pub fn with_tail(head: &str, tail: &str) -> Self {
        let mut text = String::from(head);
        text.push_str(": ");
        let room = REASON_BYTES_MAX.saturating_sub(text.len());
        let tail = tail.trim();
        let mut from = tail.len().saturating_sub(room);
        while !tail.is_char_boundary(from) {
            from = from.saturating_add(1);
        }
        text.push_str(tail.get(from..).unwrap_or_default());
        Self::new(&text)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn plain(c: char) -> char {
    match c {
        '"' => '\'',
        '\\' => '/',
        c if c.is_control() => ' ',
        c => c,
    }
}

impl From<String> for Reason {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

impl From<Reason> for String {
    fn from(reason: Reason) -> Self {
        reason.0
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_bounded_line_without_escapes() {
        let reason = Reason::new("a \"b\"\n\\c\u{1}");
        assert_eq!(reason.as_str(), "a 'b' /c ");
        assert_eq!(Reason::new(&"é".repeat(400)).as_str().len(), REASON_BYTES_MAX);
    }

    #[test]
    fn the_end_of_long_output_is_kept() {
        let output = alloc::format!("{}the last words", "é".repeat(400));
        let reason = Reason::with_tail("probe failed", &output);
        assert!(reason.as_str().starts_with("probe failed: é"));
        assert!(reason.as_str().ends_with("the last words"));
        assert!(reason.as_str().len() <= REASON_BYTES_MAX);
    }
}
