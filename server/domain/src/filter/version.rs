//! The order of version names as people read them. It is for filters only: which release is newer
//! is the release counter's to say, never this text's.

use core::cmp::Ordering;

/// Compares two versions part by part: numbers by value, words by letters, a number above a word,
/// and missing parts as zero, so that `2.4` equals `2.4.0`. What follows a dash is before what has
/// no dash (`2.4.0-rc.1` is before `2.4.0`, as in Semantic Versioning 2.0.0, clause 11).
#[must_use]
pub fn compare(a: &str, b: &str) -> Ordering {
    let (a, pre_a) = split(a);
    let (b, pre_b) = split(b);
    parts(a, b).then_with(|| match (pre_a, pre_b) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(a), Some(b)) => parts(a, b),
    })
}

fn split(version: &str) -> (&str, Option<&str>) {
    // What follows a plus says how it was built and has no place in the order (clause 10).
    let version = version.split('+').next().unwrap_or(version);
    let bare = version.strip_prefix(['v', 'V']);
    let version = bare.filter(|v| v.starts_with(|c: char| c.is_ascii_digit())).unwrap_or(version);
    match version.split_once('-') {
        Some((core, pre)) => (core, Some(pre)),
        None => (version, None),
    }
}

fn parts(a: &str, b: &str) -> Ordering {
    let separator = |c: char| matches!(c, '.' | '_' | '-');
    let (mut a, mut b) = (a.split(separator), b.split(separator));
    loop {
        let order = match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (a, b) => part(a.unwrap_or("0"), b.unwrap_or("0")),
        };
        if order.is_ne() {
            return order;
        }
    }
}

fn part(a: &str, b: &str) -> Ordering {
    match (number(a), number(b)) {
        (Some(a), Some(b)) => a.len().cmp(&b.len()).then_with(|| a.cmp(b)),
        (Some(_), None) => Ordering::Greater,
        (None, Some(_)) => Ordering::Less,
        (None, None) => a.cmp(b),
    }
}

/// The digits of a number without leading zeros: of any length, so that a build date with a hash
/// behind it is compared without a limit.
fn number(part: &str) -> Option<&str> {
    let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| part.trim_start_matches('0'))
}
