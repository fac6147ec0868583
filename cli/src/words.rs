//! What people type that is neither a name nor a number: reasons, groups, lists of devices. Each
//! says what was expected where it is something else.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use lazaret_protocol::id::{DeviceId, IdError};
use lazaret_protocol::limits::{REASON_BYTES_MAX, ROLLOUT_DEVICES_MAX, ROLLOUT_GROUPS_MAX};

/// The person who typed it can put it right: exit code 2.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Misuse {
    /// A setting is neither in the configuration file nor an option.
    #[error("expected {what} in {config} or as --{option}, got neither")]
    NoSetting { what: &'static str, option: &'static str, config: PathBuf },
    /// The configuration file is not one.
    #[error("expected settings in TOML in {path}: {why}")]
    Config { path: PathBuf, why: String },
    /// The configuration file that was named cannot be read.
    #[error("cannot read the settings in {path}")]
    NoConfig {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The server's address is not one.
    #[error("expected a server address such as https://lazaret.example:8444, got {got:?}")]
    Server { got: String },
    /// A list of devices that no rollout may be for.
    #[error("{source_of} is not a list of devices")]
    Devices {
        source_of: String,
        #[source]
        fault: DevicesFault,
    },
    /// An option that belongs to the others.
    #[error("expected {what}")]
    Missing { what: &'static str },
    /// A file that is there and must not be lost.
    #[error("expected a new file, but {path} exists")]
    Exists { path: PathBuf },
    /// Nothing to sign with.
    #[error(
        "expected --ssh-key or --signature, got neither. To sign elsewhere:\n  {command}\nand then \
         --signature plan.sig"
    )]
    NoKey { command: String },
    /// As [`Self::NoKey`], of a release from quarantine.
    #[error(
        "expected --ssh-key or --signature, got neither. To sign elsewhere:\n  {command}\nand then \
         --signature statement.sig"
    )]
    NoKeyToRelease { command: String },
    /// Neither devices nor a filter.
    #[error("expected devices by name, or --filter, got neither")]
    NobodyNamed,
    /// A file that is not named as signed metadata is.
    #[error(
        "expected a file named as the repository names it, such as 2.rel-gw2.json or 2.root.json, \
         got {got:?}"
    )]
    MetadataName { got: String },
}

/// What is wrong with a list of devices.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DevicesFault {
    /// None is named.
    #[error("expected at least one device")]
    Empty,
    /// More than one request may name.
    #[error("expected at most {ROLLOUT_DEVICES_MAX} devices, got {got}")]
    TooMany { got: usize },
    /// One is named twice.
    #[error("{device} is named twice")]
    Twice { device: DeviceId },
    /// A line of the file is no device id.
    #[error("line {line}: {fault}")]
    Line { line: usize, fault: IdError },
}

/// Why something is done. It lies in the server's log, so it is not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reason(String);

/// A text that is no reason.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReasonError {
    /// Nothing but space.
    #[error("expected a reason in words, such as \"CVE-2026-1234 in openssl\", got an empty text")]
    Empty,
    /// Longer than the server takes.
    #[error("expected a reason of at most {REASON_BYTES_MAX} bytes, got {got}")]
    TooLong { got: usize },
    /// With line feeds, tabs or the like in it.
    #[error("expected a reason of one line without control characters")]
    Control,
}

impl From<Reason> for String {
    fn from(reason: Reason) -> Self {
        reason.0
    }
}

impl FromStr for Reason {
    type Err = ReasonError;
    fn from_str(text: &str) -> Result<Self, ReasonError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(ReasonError::Empty);
        }
        if text.len() > REASON_BYTES_MAX {
            return Err(ReasonError::TooLong { got: text.len() });
        }
        if text.chars().any(char::is_control) {
            return Err(ReasonError::Control);
        }
        Ok(Self(text.to_owned()))
    }
}

/// A failure that is accepted, and how often: `probe-failed=2`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub(crate) code: String,
    pub(crate) count: u64,
}

impl FromStr for Accepted {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text
            .trim()
            .split_once('=')
            .and_then(|(code, count)| (!code.is_empty()).then_some(code).zip(count.parse().ok()));
        let expected = || format!("expected CODE=COUNT such as probe-failed=2, got {text:?}");
        let (code, count) = parsed.ok_or_else(expected)?;
        Ok(Self { code: code.to_owned(), count })
    }
}

/// A label to set, `site=lyon`, or to remove, `site-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Label {
    pub(crate) key: String,
    pub(crate) value: Option<String>,
}

impl FromStr for Label {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = match (text.split_once('='), text.strip_suffix('-')) {
            (Some((key, value)), _) => Some((key, Some(value.to_owned()))),
            (None, Some(key)) => Some((key, None)),
            (None, None) => None,
        };
        let expected = || format!("expected KEY=VALUE or KEY-, got {text:?}");
        let (key, value) = parsed.filter(|(key, _)| !key.is_empty()).ok_or_else(expected)?;
        Ok(Self { key: key.to_owned(), value })
    }
}

/// Sizes of the groups of a rollout in permille, such as `100,400,500`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Groups(pub(crate) Vec<u16>);

/// A text that is no list of group sizes.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GroupsError {
    /// One is not a number of permille.
    #[error("expected group sizes in permille such as 100,400,500, got {got:?}")]
    NotPermille { got: String },
    /// Together they are not the whole.
    #[error("expected group sizes that add up to 1000 permille, got {got}")]
    Sum { got: u64 },
    /// More than the server takes.
    #[error("expected at most {ROLLOUT_GROUPS_MAX} groups, got {got}")]
    TooMany { got: usize },
}

impl FromStr for Groups {
    type Err = GroupsError;
    fn from_str(text: &str) -> Result<Self, GroupsError> {
        let not_permille = |part: &str| GroupsError::NotPermille { got: part.to_owned() };
        let size = |part: &str| match part.trim().parse::<u16>() {
            Ok(permille @ 1..=1000) => Ok(permille),
            _ => Err(not_permille(part)),
        };
        let sizes = text.split(',').map(size).collect::<Result<Vec<u16>, _>>()?;
        if sizes.len() > ROLLOUT_GROUPS_MAX {
            return Err(GroupsError::TooMany { got: sizes.len() });
        }
        let got = sizes.iter().map(|&size| u64::from(size)).sum();
        if got != 1000 {
            return Err(GroupsError::Sum { got });
        }
        Ok(Self(sizes))
    }
}

/// Checks a list of devices that was typed.
pub(crate) fn typed_devices(devices: Vec<DeviceId>) -> Result<Vec<DeviceId>, Misuse> {
    checked(devices).map_err(|fault| Misuse::Devices { source_of: "--devices".to_owned(), fault })
}

/// Reads a list of devices: one id a line, empty lines and lines from `#` on left out.
pub(crate) fn devices_in(path: &Path, text: &str) -> Result<Vec<DeviceId>, Misuse> {
    let mut devices = Vec::new();
    let mut read = || {
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let device =
                line.parse().map_err(|fault| DevicesFault::Line { line: number, fault })?;
            devices.push(device);
        }
        checked(std::mem::take(&mut devices))
    };
    read().map_err(|fault| Misuse::Devices { source_of: path.display().to_string(), fault })
}

fn checked(devices: Vec<DeviceId>) -> Result<Vec<DeviceId>, DevicesFault> {
    if devices.is_empty() {
        return Err(DevicesFault::Empty);
    }
    if devices.len() > ROLLOUT_DEVICES_MAX {
        return Err(DevicesFault::TooMany { got: devices.len() });
    }
    let mut seen = BTreeSet::new();
    match devices.iter().find(|device| !seen.insert(*device)) {
        Some(device) => Err(DevicesFault::Twice { device: device.clone() }),
        None => Ok(devices),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_that_say_nothing_are_refused() {
        assert_eq!(" \t".parse::<Reason>(), Err(ReasonError::Empty));
        assert_eq!("a\nb".parse::<Reason>(), Err(ReasonError::Control));
        assert_eq!("x".repeat(1025).parse::<Reason>(), Err(ReasonError::TooLong { got: 1025 }));
        assert_eq!(" why ".parse::<Reason>(), Ok(Reason("why".to_owned())));
    }

    #[test]
    fn groups_that_are_not_the_whole_are_refused() {
        assert_eq!("100,400,500".parse::<Groups>(), Ok(Groups(vec![100, 400, 500])));
        assert_eq!("100,400".parse::<Groups>(), Err(GroupsError::Sum { got: 500 }));
        for bad in ["", "0,1000", "1001", "a", "500,,500", "-1,1001"] {
            let refused = bad.parse::<Groups>().unwrap_err();
            assert!(matches!(refused, GroupsError::NotPermille { .. }), "{bad:?}: {refused}");
        }
        let many = vec!["1"; 33].join(",");
        assert_eq!(many.parse::<Groups>(), Err(GroupsError::TooMany { got: 33 }));
    }

    #[test]
    fn lists_of_devices_name_the_line_that_is_wrong() {
        let path = Path::new("list");
        let devices = devices_in(path, "# canaries\nd-1\n\n d-2 \n").unwrap();
        assert_eq!(devices, ["d-1".parse().unwrap(), "d-2".parse().unwrap()]);
        let fault = |text: &str| match devices_in(path, text).unwrap_err() {
            Misuse::Devices { fault, .. } => fault,
            other => panic!("{other}"),
        };
        assert!(matches!(fault("d-1\nD 2"), DevicesFault::Line { line: 2, .. }));
        assert_eq!(fault("d-1\nd-1"), DevicesFault::Twice { device: "d-1".parse().unwrap() });
        assert_eq!(fault("\n#"), DevicesFault::Empty);
    }
}
