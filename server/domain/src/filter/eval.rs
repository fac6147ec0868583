//! A filter's tree against one device.
//!
//! What a device does not have equals only the empty text, and is neither before nor behind
//! anything. `!=` and `=out=` are the exact contrary of `==` and `=in=`, so that every device
//! matches one of the two. Texts are compared without regard to case, as hawkBit does.

use core::cmp::Ordering;

use alloc::borrow::Cow;
use alloc::string::{String, ToString as _};

use lazaret_protocol::id::RolloutId;
use lazaret_protocol::time::Timestamp;

use super::field::{Field, MomentField, NumberField, TextField, Value, order_of};
use super::parse::{Comparison, Node, Test};
use super::version;
use crate::attribute;
use crate::device::Device;

/// What a filter looks at.
pub(super) struct Subject<'a> {
    pub(super) device: &'a Device,
    pub(super) rollout: Option<&'a RolloutId>,
    pub(super) now: Timestamp,
}

impl Node {
    pub(super) fn matches(&self, subject: &Subject<'_>) -> bool {
        match self {
            Self::All(nodes) => nodes.iter().all(|node| node.matches(subject)),
            Self::Any(nodes) => nodes.iter().any(|node| node.matches(subject)),
            Self::Compare(comparison) => comparison.matches(subject),
        }
    }
}

impl Comparison {
    fn matches(&self, subject: &Subject<'_>) -> bool {
        let has = Has::of(&self.field, subject);
        let order = |value| has.order(value);
        match &self.test {
            Test::In(values) => values.iter().any(|value| has.equals(value)),
            Test::Out(values) => !values.iter().any(|value| has.equals(value)),
            Test::Less(value) => order(value) == Some(Ordering::Less),
            Test::AtMost(value) => order(value).is_some_and(Ordering::is_le),
            Test::More(value) => order(value) == Some(Ordering::Greater),
            Test::AtLeast(value) => order(value).is_some_and(Ordering::is_ge),
        }
    }
}

/// What a device has in a field.
enum Has<'a> {
    Nothing,
    Text(Cow<'a, str>),
    Version(&'a str),
    /// A moment, and now.
    Moment(Timestamp, Timestamp),
    /// A moment that never was.
    Never,
    Flag(bool),
    Number(i64),
}

impl<'a> Has<'a> {
    fn of(field: &Field, subject: &Subject<'a>) -> Self {
        let device = subject.device;
        let text = |text: Option<&'a str>| text.map_or(Self::Nothing, |it| Self::Text(it.into()));
        match field {
            Field::Text(field) => match field {
                TextField::Id => text(Some(device.id.as_str())),
                TextField::Model => text(Some(device.model.as_str())),
                TextField::Serial => text(Some(device.serial.as_str())),
                TextField::Group => text(device.group.as_deref()),
                TextField::State => text(Some(&device.update_state)),
                TextField::Sha256 => match &device.running {
                    Some(running) => Self::Text(running.sha256.to_string().into()),
                    None => Self::Nothing,
                },
                TextField::Rollout => text(subject.rollout.map(RolloutId::as_str)),
                TextField::Outcome => text(device.last_outcome.as_deref()),
                TextField::Hardware => {
                    text(device.attributes.get(attribute::HARDWARE).map(String::as_str))
                }
            },
            Field::Version => match &device.running {
                Some(running) => Self::Version(running.version.as_str()),
                None => Self::Nothing,
            },
            Field::Label(key) => text(device.labels.get(key).map(String::as_str)),
            Field::Attribute(key) => text(device.attributes.get(key).map(String::as_str)),
            Field::Moment(MomentField::LastSeen) => match device.last_seen {
                Some(seen) => Self::Moment(seen, subject.now),
                None => Self::Never,
            },
            Field::Moment(MomentField::Enrolled) => Self::Moment(device.enrolled, subject.now),
            Field::Quarantine => Self::Flag(device.quarantine.is_some()),
            Field::Number(field) => {
                let number = match field {
                    NumberField::Counter => device.running.as_ref().map(|r| r.counter),
                    NumberField::Polls => Some(device.polls),
                    NumberField::Battery => device.battery_percent.map(u64::from),
                };
                number.map_or(Self::Nothing, |n| Self::Number(i64::try_from(n).unwrap_or(i64::MAX)))
            }
        }
    }

    fn equals(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Nothing, Value::Text(text) | Value::Version(text)) => text.is_empty(),
            (Self::Text(has), Value::Text(pattern)) => like(has, pattern),
            (Self::Version(has), Value::Text(pattern)) => like(has, pattern),
            (Self::Version(has), Value::Version(wanted)) => {
                version::compare(has, wanted) == Ordering::Equal
            }
            (Self::Flag(has), Value::Flag(wanted)) => has == wanted,
            (Self::Number(has), Value::Number(wanted)) => has == wanted,
            (Self::Never, Value::Never) => true,
            (Self::Moment(..), _) => self.order(value) == Some(Ordering::Equal),
            _ => false,
        }
    }

    fn order(&self, value: &Value) -> Option<Ordering> {
        match (self, value) {
            (Self::Text(has), Value::Text(wanted)) => Some(order_of(has, wanted)),
            (Self::Version(has), Value::Version(wanted)) => Some(version::compare(has, wanted)),
            (Self::Number(has), Value::Number(wanted)) => Some(has.cmp(wanted)),
            (Self::Moment(at, now), Value::AgeMs(age)) => Some(now.since_ms(*at).cmp(age)),
            (Self::Moment(at, _), Value::At(moment)) => Some(at.cmp(moment)),
            // Never seen is longer ago than anything, and before every date.
            (Self::Never, Value::AgeMs(_)) => Some(Ordering::Greater),
            (Self::Never, Value::At(_)) => Some(Ordering::Less),
            _ => None,
        }
    }
}

/// Whether `text` is `pattern`, in which `*` stands for any characters. Takes time in the product
/// of both lengths at worst, and both are bounded.
fn like(text: &str, pattern: &str) -> bool {
    let text = text.to_lowercase();
    let pattern = pattern.to_lowercase();
    let mut pieces = pattern.split('*');
    let Some(first) = pieces.next() else { return false };
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        let Some(at) = rest.find(piece) else { return false };
        let Some(after) = at.checked_add(piece.len()).and_then(|at| rest.get(at..)) else {
            return false;
        };
        rest = after;
    }
    true
}
