//! What a record of the forensic log says: what happened, its particulars, and what its time rests
//! on. How records are kept and proved is `device_log`.

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::text::plain;

/// Longest kind and longest detail key, in bytes.
pub const KIND_BYTES_MAX: usize = 64;

/// Details of one record.
pub const DETAILS_MAX: usize = 16;

/// Longest text among the details that [`Detail::text`] keeps, in bytes.
pub const DETAIL_TEXT_BYTES_MAX: usize = 1024;

/// What a moment in the log rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clock {
    /// A server's word over an authenticated connection, moved on by the monotonic clock.
    Authenticated,
    /// The machine's own clock.
    System,
    /// No clock: the last time that was authenticated, or the build's. It is later than this.
    Floor,
}

/// What happened, in kebab case: `[a-z][a-z0-9-]{0,63}`, such as `order-accepted`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Kind(Cow<'static, str>);

/// A text that is not a kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a kind of the form [a-z][a-z0-9-]{{0,63}}, got {got:?}")]
pub struct KindError {
    /// What came, cut after 64 characters.
    pub got: String,
}

impl Kind {
    /// A kind that stands in the source, made for constants:
    /// `const ENROLLED: Kind = Kind::known("enrolled");`
    /// A text that is no kind does not compile there.
    #[must_use]
    pub const fn known(text: &'static str) -> Self {
        assert!(is_kind(text), "a kind is lower case letters, digits and hyphens");
        Self(Cow::Borrowed(text))
    }

    /// The kind as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const fn is_kind(text: &str) -> bool {
    let mut rest = text.as_bytes();
    if rest.len() > KIND_BYTES_MAX || !matches!(rest.first(), Some(b'a'..=b'z')) {
        return false;
    }
    while let [byte, after @ ..] = rest {
        if !matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-') {
            return false;
        }
        rest = after;
    }
    true
}

impl TryFrom<String> for Kind {
    type Error = KindError;
    fn try_from(text: String) -> Result<Self, KindError> {
        if !is_kind(&text) {
            return Err(KindError { got: text.chars().take(KIND_BYTES_MAX).collect() });
        }
        Ok(Self(Cow::Owned(text)))
    }
}

impl From<Kind> for String {
    fn from(kind: Kind) -> Self {
        kind.0.into_owned()
    }
}

impl core::fmt::Display for Kind {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The particulars of a record: a JSON object of strings and integers.
///
/// They are few, and made by the million in a flood: a sorted list costs one allocation, and keys
/// that stand in the source cost none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "BTreeMap<String, DetailValue>", into = "BTreeMap<String, DetailValue>")]
pub struct Detail(Vec<(Cow<'static, str>, DetailValue)>);

impl From<BTreeMap<String, DetailValue>> for Detail {
    fn from(map: BTreeMap<String, DetailValue>) -> Self {
        map.into_iter().fold(Self::none(), |detail, (key, value)| detail.exactly(key, value))
    }
}

impl From<Detail> for BTreeMap<String, DetailValue> {
    fn from(detail: Detail) -> Self {
        detail.0.into_iter().map(|(key, value)| (key.into_owned(), value)).collect()
    }
}

/// One particular.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum DetailValue {
    /// An integer from zero up.
    Natural(u64),
    /// An integer below zero.
    Negative(i64),
    /// A text.
    Text(String),
}

impl From<u64> for DetailValue {
    fn from(number: u64) -> Self {
        Self::Natural(number)
    }
}

impl From<i64> for DetailValue {
    fn from(number: i64) -> Self {
        u64::try_from(number).map_or(Self::Negative(number), Self::Natural)
    }
}

impl core::fmt::Display for DetailValue {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Natural(number) => write!(f, "{number}"),
            Self::Negative(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl Detail {
    /// No particulars.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// These particulars and a text, made plain and cut to [`DETAIL_TEXT_BYTES_MAX`] by [`plain`].
    #[must_use]
    pub fn text(self, key: impl Into<Cow<'static, str>>, text: impl AsRef<str>) -> Self {
        self.exactly(key, DetailValue::Text(plain(text.as_ref(), DETAIL_TEXT_BYTES_MAX)))
    }

    /// These particulars and an integer (`u64` or `i64`).
    #[must_use]
    pub fn number(self, key: impl Into<Cow<'static, str>>, number: impl Into<DetailValue>) -> Self {
        self.exactly(key, number.into())
    }

    /// These particulars and one that was read from a log, as it stands there.
    #[must_use]
    pub(crate) fn exactly(mut self, key: impl Into<Cow<'static, str>>, value: DetailValue) -> Self {
        let key = key.into();
        match self.0.binary_search_by(|(known, _)| order(known).cmp(&order(&key))) {
            Ok(at) => {
                if let Some((_, known)) = self.0.get_mut(at) {
                    *known = value;
                }
            }
            Err(at) => self.0.insert(at, (key, value)),
        }
        self
    }

    /// The particulars by key, in the order in which CBOR has them: the shorter key first (RFC
    /// 8949, 4.2.1).
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &DetailValue)> {
        self.0.iter().map(|(key, value)| (&**key, value))
    }
}

/// Where a key stands among others.
const fn order(key: &str) -> (usize, &str) {
    (key.len(), key)
}

#[cfg(test)]
mod tests;
