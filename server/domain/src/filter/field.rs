//! The fields that a filter can name, and what may be said of each.

use alloc::string::{String, ToString as _};

use lazaret_protocol::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, Timestamp};

use super::version;
use crate::attribute;

/// What a comparison looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Field {
    /// A text.
    Text(TextField),
    /// The version that runs.
    Version,
    /// A label, assigned by operators.
    Label(String),
    /// An attribute, reported by the device.
    Attribute(String),
    /// A moment.
    Moment(MomentField),
    /// In quarantine.
    Quarantine,
    /// A whole number.
    Number(NumberField),
}

/// A field that is a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextField {
    /// The device's id.
    Id,
    /// Its hardware model.
    Model,
    /// Its serial number.
    Serial,
    /// The group that operators put it in.
    Group,
    /// What its update machine does.
    State,
    /// The digest of the image that runs.
    Sha256,
    /// The latest rollout it is in.
    Rollout,
    /// How its last order ended.
    Outcome,
    /// Its hardware revision, as reported.
    Hardware,
}

/// A field that is a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MomentField {
    /// Its last poll.
    LastSeen,
    /// When it enrolled.
    Enrolled,
}

/// A field that is a whole number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NumberField {
    /// The counter of the release that runs.
    Counter,
    /// Polls accepted.
    Polls,
    /// Its charge in percent.
    Battery,
}

/// What may stand on the right of an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// A text, with `*` for any characters.
    Text(String),
    /// A version.
    Version(String),
    /// Milliseconds before now.
    AgeMs(u64),
    /// A moment.
    At(Timestamp),
    /// No moment at all.
    Never,
    /// Yes or no.
    Flag(bool),
    /// A whole number.
    Number(i64),
}

/// The names for errors and for help.
pub(super) const NAMES: &str = "id, model, serial, hardware, version, counter, sha256, group, \
     state, last_seen, enrolled, quarantine, rollout, outcome, polls, battery, label.KEY or \
     attribute.KEY";

impl Field {
    /// Reads the name of a field, in any case as hawkBit does, with its names for what we have too.
    pub(super) fn parse(name: &str) -> Option<Self> {
        if let Some((prefix, key)) = name.split_once('.')
            && attribute::is_key(key)
        {
            match prefix.to_ascii_lowercase().as_str() {
                "label" | "metadata" => return Some(Self::Label(key.to_string())),
                "attribute" | "attr" => return Some(Self::Attribute(key.to_string())),
                _ => {}
            }
        }
        Some(match name.to_ascii_lowercase().as_str() {
            "id" | "controllerid" | "name" => Self::Text(TextField::Id),
            "model" | "targettype" => Self::Text(TextField::Model),
            "serial" => Self::Text(TextField::Serial),
            "group" => Self::Text(TextField::Group),
            "state" | "updatestatus" => Self::Text(TextField::State),
            "sha256" => Self::Text(TextField::Sha256),
            "rollout" | "rollouts" => Self::Text(TextField::Rollout),
            "outcome" => Self::Text(TextField::Outcome),
            "hardware" => Self::Text(TextField::Hardware),
            "version" | "installedds.version" => Self::Version,
            "last_seen" | "lastcontrollerrequestat" => Self::Moment(MomentField::LastSeen),
            "enrolled" | "createdat" => Self::Moment(MomentField::Enrolled),
            "quarantine" | "quarantined" => Self::Quarantine,
            "counter" => Self::Number(NumberField::Counter),
            "polls" => Self::Number(NumberField::Polls),
            "battery" => Self::Number(NumberField::Battery),
            _ => return None,
        })
    }

    /// Reads a value of this field; what would have been right where it is none.
    pub(super) fn value(&self, text: &str) -> Result<Value, &'static str> {
        match self {
            Self::Text(_) | Self::Label(_) | Self::Attribute(_) => Ok(Value::Text(text.into())),
            Self::Version => Ok(if text.contains('*') {
                Value::Text(text.into())
            } else {
                Value::Version(text.into())
            }),
            Self::Moment(_) => moment(text).ok_or(
                "a time since then such as 7d, 12h or 30m, a date such as \
                        2026-01-31T12:00:00Z, or never",
            ),
            Self::Quarantine => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" => Ok(Value::Flag(true)),
                "false" | "no" => Ok(Value::Flag(false)),
                _ => Err("true or false"),
            },
            Self::Number(_) => text.parse().map(Value::Number).map_err(|_| "a whole number"),
        }
    }

    /// Whether its values have an order.
    pub(super) const fn is_ordered(&self) -> bool {
        !matches!(self, Self::Quarantine)
    }
}

impl Value {
    /// Whether `<` and its like have a meaning with it.
    pub(super) fn is_ordered(&self) -> bool {
        match self {
            Self::Text(text) => !text.contains('*'),
            Self::Flag(_) | Self::Never => false,
            Self::Version(_) | Self::AgeMs(_) | Self::At(_) | Self::Number(_) => true,
        }
    }
}

fn moment(text: &str) -> Option<Value> {
    if text.eq_ignore_ascii_case("never") {
        return Some(Value::Never);
    }
    span_ms(text).map(Value::AgeMs).or_else(|| Timestamp::parse_rfc3339(text).ok().map(Value::At))
}

/// Reads a span such as `7d`, `1h30m`, `45s` or `500ms`, in milliseconds.
pub(crate) fn span_ms(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total = 0u64;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at_checked(digits)?;
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at_checked(letters)?;
        let unit = match unit {
            "ms" => 1,
            "s" => SECOND_MS,
            "m" | "min" => MINUTE_MS,
            "h" => HOUR_MS,
            "d" => DAY_MS,
            "w" => DAY_MS.checked_mul(7)?,
            _ => return None,
        };
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(unit)?)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

/// The order of two free values: as numbers where both are, otherwise as versions.
pub(super) fn order_of(a: &str, b: &str) -> core::cmp::Ordering {
    match (a.parse::<i64>(), b.parse::<i64>()) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        _ => version::compare(a, b),
    }
}
