//! Path patterns of delegations (TUF 4.5, PATHPATTERN): the shell's `*`, `?` and `[...]`, none of
//! which matches a path separator.

use alloc::vec::Vec;

/// Whether `path` is one of those that `pattern` describes. Case counts, and a leading dot is a
/// character like any other, as in python-tuf.
pub(crate) fn matches(pattern: &str, path: &str) -> bool {
    let mut patterns = pattern.split('/');
    let mut parts = path.split('/');
    loop {
        match (patterns.next(), parts.next()) {
            (None, None) => return true,
            (Some(pattern), Some(part)) if segment_matches(pattern, part) => {}
            _ => return false,
        }
    }
}

/// What one element of a pattern stands for.
enum Element {
    Any,
    One,
    Exactly(char),
    Set { negated: bool, ranges: Vec<(char, char)> },
}

impl Element {
    fn takes(&self, c: char) -> bool {
        match self {
            Self::Any | Self::One => true,
            Self::Exactly(only) => *only == c,
            Self::Set { negated, ranges } => {
                ranges.iter().any(|(low, high)| (low..=high).contains(&&c)) != *negated
            }
        }
    }
}

/// Matches one path segment. On a mismatch only the last `*` takes one more character, which is
/// enough, and bounds the work to length times length.
fn segment_matches(pattern: &str, text: &str) -> bool {
    let elements = elements(pattern);
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut here) = (0_usize, 0_usize);
    let mut star: Option<(usize, usize)> = None;
    while let Some(c) = text.get(here) {
        match elements.get(at) {
            Some(Element::Any) => {
                star = Some((at, here));
                at = at.saturating_add(1);
                continue;
            }
            Some(element) if element.takes(*c) => {
                at = at.saturating_add(1);
                here = here.saturating_add(1);
                continue;
            }
            _ => {}
        }
        let Some((star_at, taken)) = star else { return false };
        star = Some((star_at, taken.saturating_add(1)));
        at = star_at.saturating_add(1);
        here = taken.saturating_add(1);
    }
    elements.iter().skip(at).all(|element| matches!(element, Element::Any))
}

fn elements(pattern: &str) -> Vec<Element> {
    let chars: Vec<char> = pattern.chars().collect();
    let mut elements = Vec::new();
    let mut rest = chars.as_slice();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        elements.push(match first {
            '*' => Element::Any,
            '?' => Element::One,
            '[' => match set(after) {
                Some((set, after_set)) => {
                    rest = after_set;
                    set
                }
                // A bracket that is never closed stands for itself (glob(7)).
                None => Element::Exactly('['),
            },
            other => Element::Exactly(*other),
        });
    }
    elements
}

/// Reads a set from behind its `[`, and what follows its `]`. A `]` that comes first, or first
/// after `!`, is a member.
fn set(from: &[char]) -> Option<(Element, &[char])> {
    let (negated, body) = match from {
        ['!', body @ ..] => (true, body),
        body => (false, body),
    };
    let end = body.iter().skip(1).position(|c| *c == ']')?.saturating_add(1);
    let (mut members, after) = body.split_at_checked(end)?;
    let mut ranges = Vec::new();
    loop {
        members = match members {
            [low, '-', high, rest @ ..] => {
                ranges.push((*low, *high));
                rest
            }
            [one, rest @ ..] => {
                ranges.push((*one, *one));
                rest
            }
            [] => break,
        };
    }
    Some((Element::Set { negated, ranges }, after.get(1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_match_as_the_specification_says() {
        for (pattern, path, expected) in [
            ("targets/*.tgz", "targets/foo.tgz", true),
            ("targets/*.tgz", "targets/foo.txt", false),
            ("foo-version-?.tgz", "foo-version-2.tgz", true),
            ("foo-version-?.tgz", "foo-version-alpha.tgz", false),
            ("*.tgz", "foo.tgz", true),
            ("*.tgz", "targets/foo.tgz", false),
            ("foo.tgz", "foo.tgz", true),
            ("foo.tgz", "bar.tgz", false),
            ("*", "", true),
            ("?", "/", false),
            ("*/*/from-*.delta", "m/2/from-1.delta", true),
            ("*/*/from-*.delta", "m/2/x/from-1.delta", false),
            ("m1/*/image", "m10/2/image", false),
            ("a*b*c", "a-b-bb-c", true),
            ("a*b*c", "a-b-bb-d", false),
            ("?", "é", true),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]x", "]x", true),
            ("[x", "[x", true),
            ("a[/]b", "a/b", false),
            ("*", "a/", false),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} and {path}");
        }
    }

    #[test]
    fn many_stars_do_not_take_forever() {
        let pattern = "*a".repeat(1000);
        assert!(!matches(&pattern, &"a".repeat(999)));
        assert!(matches(&pattern, &"a".repeat(1000)));
    }

    proptest! {
        #[test]
        fn no_wildcard_crosses_a_separator(pattern in "[*?a/]{0,12}", path in "[ab/]{0,12}") {
            if matches(&pattern, &path) {
                prop_assert_eq!(pattern.matches('/').count(), path.matches('/').count());
            }
        }
    }
}
