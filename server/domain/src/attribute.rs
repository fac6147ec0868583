//! What is said of a device in words: attributes, which the device reports itself, and labels and
//! groups, which operators assign. They are kept apart, because what a device says of itself must
//! never move it into a group that an operator trusts.

use alloc::collections::BTreeMap;
use alloc::string::String;

use lazaret_protocol::operator::NumberKind;
use lazaret_protocol::refusal::RefusalCode;

use crate::refused::Refused;

/// Attributes that one device may report, and labels that it may be given. hawkBit's quota, so that
/// fleets that come from there fit.
pub const ENTRIES_MAX: usize = 100;
/// Longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 128;
/// Longest value, in bytes.
pub const VALUE_BYTES_MAX: usize = 128;

/// The attribute that names the hardware revision: what a cohort is told apart by.
pub const HARDWARE: &str = "hardware";

/// Keys with their values, in the order of the keys.
pub type Entries = BTreeMap<String, String>;

/// A change of labels: a value sets the key, none removes it.
pub type Changes = BTreeMap<String, Option<String>>;

/// Whether this may stand as a key: what a filter can name without quotes.
#[must_use]
pub fn is_key(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    !text.is_empty() && text.len() <= KEY_BYTES_MAX && text.bytes().all(plain)
}

/// Whether an attribute of this name says a number of a modem or SIM, whatever its case.
#[must_use]
pub fn is_number(name: &str) -> bool {
    NumberKind::ALL.iter().any(|kind| name.eq_ignore_ascii_case(kind.as_str()))
}

/// Checks entries against the limits.
///
/// # Errors
/// Too many, or a key or value that is too long or has characters that it may not have.
pub fn check(what: &str, entries: &Entries) -> Result<(), Refused> {
    if entries.len() > ENTRIES_MAX {
        let detail = alloc::format!("expected at most {ENTRIES_MAX} {what}, got {}", entries.len());
        return Err(Refused::because(RefusalCode::TooLarge, detail));
    }
    for (key, value) in entries {
        check_entry(what, key, value)?;
    }
    Ok(())
}

fn check_entry(what: &str, key: &str, value: &str) -> Result<(), Refused> {
    if !is_key(key) {
        let got: String = key.chars().take(KEY_BYTES_MAX).collect();
        let detail = alloc::format!(
            "expected keys of {what} of 1 to {KEY_BYTES_MAX} letters, digits, dots, dashes and \
             underscores, got {got:?}"
        );
        return Err(Refused::because(RefusalCode::BadRequest, detail));
    }
    if value.len() > VALUE_BYTES_MAX || value.chars().any(char::is_control) {
        let detail = alloc::format!(
            "expected a value of at most {VALUE_BYTES_MAX} bytes without control characters for \
             {key}, got {} bytes",
            value.len()
        );
        return Err(Refused::because(RefusalCode::BadRequest, detail));
    }
    Ok(())
}

/// What remains of what a device reports: entries beyond the limits are dropped rather than the
/// poll refused, because a device that cannot poll cannot be mended.
#[must_use]
pub fn within_limits(entries: &Entries) -> Entries {
    let good = entries.iter().filter(|(key, value)| check_entry("attributes", key, value).is_ok());
    good.take(ENTRIES_MAX).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Entries after a change.
///
/// # Errors
/// As [`check`].
pub fn changed(what: &str, before: &Entries, changes: &Changes) -> Result<Entries, Refused> {
    let mut after = before.clone();
    for (key, value) in changes {
        match value {
            Some(value) => after.insert(key.clone(), value.clone()),
            None => after.remove(key),
        };
    }
    check(what, &after)?;
    Ok(after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;

    #[test]
    fn entries_past_the_limits_are_refused_and_dropped() {
        let many: Entries = (0..=ENTRIES_MAX).map(|i| (i.to_string(), "v".into())).collect();
        assert_eq!(check("labels", &many).unwrap_err().code, RefusalCode::TooLarge);
        assert_eq!(within_limits(&many).len(), ENTRIES_MAX);
        for (key, value) in [
            ("", "v"),
            ("a b", "v"),
            (&*"k".repeat(KEY_BYTES_MAX + 1), "v"),
            ("k", &*"v".repeat(VALUE_BYTES_MAX + 1)),
            ("k", "a\nb"),
        ] {
            let one: Entries = [(key.to_string(), value.to_string())].into();
            assert_eq!(check("labels", &one).unwrap_err().code, RefusalCode::BadRequest);
            assert_eq!(within_limits(&one), Entries::new());
        }
    }

    #[test]
    fn a_change_sets_removes_and_leaves_the_rest() {
        let before: Entries = [("a".into(), "1".into()), ("b".into(), "2".into())].into();
        let changes: Changes = [("a".into(), None), ("c".into(), Some("3".into()))].into();
        let after = changed("labels", &before, &changes).unwrap();
        assert_eq!(after, [("b".into(), "2".into()), ("c".into(), "3".into())].into());
    }
}
