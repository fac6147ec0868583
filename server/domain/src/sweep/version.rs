//! In which order versions stand. Each type of package has its own order; where it has one that is
//! not known here, only equal versions are known to be equal.

use alloc::string::{String, ToString as _};
use core::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::NAME_BYTES_MAX;

/// What is known of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It is so.
    Yes,
    /// It is not so.
    No,
    /// Nobody can tell from here.
    Unknown,
}

impl Known {
    /// One of both is enough.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Yes, _) | (_, Self::Yes) => Self::Yes,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            _ => Self::No,
        }
    }

    /// Both are needed.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            _ => Self::Yes,
        }
    }
}

/// The order of a type of package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// Semantic Versioning 2.0.0, clause 11.
    Semantic,
    /// Runs of digits and of other characters in turn, `~` below everything (Debian Policy,
    /// 5.6.12). Packages of rpm, apk and opkg, and those that nobody manages, stand in about the
    /// same order.
    Runs,
}

impl Scheme {
    /// The order of a purl's type; of what has no type, that of runs.
    #[must_use]
    pub(super) fn of(kind: Option<&str>) -> Option<Self> {
        match kind {
            Some("npm" | "cargo" | "golang" | "hex" | "swift" | "pub") => Some(Self::Semantic),
            None | Some("deb" | "rpm" | "apk" | "opkg" | "alpm" | "generic" | "github") => {
                Some(Self::Runs)
            }
            Some(_) => None,
        }
    }
}

/// The order of two versions; none where one of them is none of its scheme.
#[must_use]
pub(super) fn compare(scheme: Scheme, a: &str, b: &str) -> Option<Ordering> {
    match scheme {
        Scheme::Semantic => {
            let read = |text: &str| {
                let bare = text.strip_prefix('v').unwrap_or(text);
                // What advisories write for "from the beginning".
                let bare = if bare == "0" { "0.0.0-0" } else { bare };
                semver::Version::parse(bare).ok()
            };
            Some(read(a)?.cmp_precedence(&read(b)?))
        }
        Scheme::Runs => Some(by_runs(a, b)),
    }
}

fn by_runs(a: &str, b: &str) -> Ordering {
    let (epoch_a, a) = epoch(a);
    let (epoch_b, b) = epoch(b);
    let split = |text| match str::rsplit_once(text, '-') {
        Some((upstream, revision)) => (upstream, revision),
        None => (text, ""),
    };
    let ((upstream_a, revision_a), (upstream_b, revision_b)) = (split(a), split(b));
    number(epoch_a, epoch_b)
        .then_with(|| runs(upstream_a, upstream_b))
        .then_with(|| runs(revision_a, revision_b))
}

fn epoch(text: &str) -> (&str, &str) {
    match text.split_once(':') {
        Some((epoch, rest)) if epoch.bytes().all(|b| b.is_ascii_digit()) => (epoch, rest),
        _ => ("0", text),
    }
}

fn runs(mut a: &str, mut b: &str) -> Ordering {
    while !(a.is_empty() && b.is_empty()) {
        let (word_a, rest_a) = cut(a, |c| !c.is_ascii_digit());
        let (word_b, rest_b) = cut(b, |c| !c.is_ascii_digit());
        let (digits_a, next_a) = cut(rest_a, |c| c.is_ascii_digit());
        let (digits_b, next_b) = cut(rest_b, |c| c.is_ascii_digit());
        let order = words(word_a, word_b).then_with(|| number(digits_a, digits_b));
        if order.is_ne() {
            return order;
        }
        (a, b) = (next_a, next_b);
    }
    Ordering::Equal
}

fn cut(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c| !belongs(c)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// Numbers of any length.
fn number(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// `~` before the end, the end before letters, letters before everything else.
fn words(a: &str, b: &str) -> Ordering {
    let weight = |c: Option<char>| match c {
        Some('~') => (0u8, 0u32),
        None => (1, 0),
        Some(c) if c.is_ascii_alphabetic() => (2, u32::from(c)),
        Some(c) => (3, u32::from(c)),
    };
    let (mut a, mut b) = (a.chars(), b.chars());
    loop {
        let (x, y) = (a.next(), b.next());
        let order = weight(x).cmp(&weight(y));
        if order.is_ne() || (x.is_none() && y.is_none()) {
            return order;
        }
    }
}

/// How a version stands to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// Below.
    #[serde(rename = "<")]
    Below,
    /// At most.
    #[serde(rename = "<=")]
    AtMost,
    /// The same.
    #[serde(rename = "=")]
    Equal,
    /// At least.
    #[serde(rename = ">=")]
    AtLeast,
    /// Above.
    #[serde(rename = ">")]
    Above,
}

impl Op {
    const ALL: [(&'static str, Self); 6] = [
        ("<=", Self::AtMost),
        (">=", Self::AtLeast),
        ("==", Self::Equal),
        ("<", Self::Below),
        (">", Self::Above),
        ("=", Self::Equal),
    ];

    const fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Below => order.is_lt(),
            Self::AtMost => order.is_le(),
            Self::Equal => order.is_eq(),
            Self::AtLeast => order.is_ge(),
            Self::Above => order.is_gt(),
        }
    }
}

/// One end of a range of versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// How.
    pub op: Op,
    /// To which.
    pub version: String,
}

impl Bound {
    /// A bound.
    #[must_use]
    pub fn new(op: Op, version: &str) -> Self {
        Self { op, version: version.to_string() }
    }

    /// Reads `<3.0.14` and the like; none where it is no bound.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (sign, op) = Op::ALL.into_iter().find(|(sign, _)| text.starts_with(sign))?;
        let version = text.strip_prefix(sign)?.trim();
        let good = !version.is_empty()
            && version.len() <= NAME_BYTES_MAX
            && !version.contains(['<', '>', '='])
            && !version.contains(char::is_control);
        good.then(|| Self::new(op, version))
    }

    /// Whether a version is within all of them.
    #[must_use]
    pub(super) fn all_hold(bounds: &[Self], scheme: Option<Scheme>, version: &str) -> Known {
        let holds = |bound: &Self| {
            let order = match scheme {
                _ if bound.version == version => Some(Ordering::Equal),
                Some(scheme) => compare(scheme, version, &bound.version),
                None => None,
            };
            match order {
                Some(order) if bound.op.holds(order) => Known::Yes,
                Some(_) => Known::No,
                None => Known::Unknown,
            }
        };
        bounds.iter().map(holds).fold(Known::Yes, Known::and)
    }
}

impl core::fmt::Display for Bound {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let sign = Op::ALL.into_iter().find(|(_, op)| *op == self.op).map_or("=", |(sign, _)| sign);
        let sign = if sign == "==" { "=" } else { sign };
        write!(f, "{sign}{}", self.version)
    }
}
