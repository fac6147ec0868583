//! The roles of a repository. Those that a server signs and those that people sign are two types,
//! so that server code has no value with which to ask for a root, targets or release signature.

use core::fmt;
use core::str::FromStr;

use lazaret_protocol::id::ModelName;
use lazaret_protocol::target::{EMERGENCY_ROLE, release_role};

/// A role whose key is on the server (DESIGN section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OnlineRole {
    /// Which versions belong together.
    Snapshot,
    /// What is current.
    Timestamp,
    /// Encodings of signed images. It grants nothing.
    Deltas,
}

impl OnlineRole {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Snapshot, Self::Timestamp, Self::Deltas];

    /// The TUF role name, which also names its key file `<name>.pem`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Timestamp => "timestamp",
            Self::Deltas => "deltas",
        }
    }
}

/// A role that only people sign, each with a key of their own, on machines without a network.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OfflineRole {
    /// Who may sign what.
    Root,
    /// Delegations, and `trust/anchors`.
    Targets,
    /// The images of one hardware model.
    Release(ModelName),
    /// Faster schedules for images that a release role has signed.
    Emergency,
}

impl fmt::Display for OfflineRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("root"),
            Self::Targets => f.write_str("targets"),
            Self::Release(model) => f.write_str(&release_role(model)),
            Self::Emergency => f.write_str(EMERGENCY_ROLE),
        }
    }
}

/// Any role of the repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RoleName {
    /// Signed by people.
    Offline(OfflineRole),
    /// Signed by the server.
    Online(OnlineRole),
}

/// A text that names no role or no metadata file of this repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a metadata name such as {expected}, got {got:?}")]
pub struct NameError {
    /// An example of what was expected.
    pub expected: &'static str,
    /// What came, cut after 120 characters.
    pub got: String,
}

impl FromStr for RoleName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let refused =
            || NameError { expected: "root or rel-gw2", got: text.chars().take(120).collect() };
        if let Some(online) = OnlineRole::ALL.into_iter().find(|role| role.as_str() == text) {
            return Ok(Self::Online(online));
        }
        match text {
            "root" => Ok(Self::Offline(OfflineRole::Root)),
            "targets" => Ok(Self::Offline(OfflineRole::Targets)),
            EMERGENCY_ROLE => Ok(Self::Offline(OfflineRole::Emergency)),
            _ => {
                let model = text.strip_prefix("rel-").ok_or_else(refused)?;
                let model = model.parse().map_err(|_| refused())?;
                Ok(Self::Offline(OfflineRole::Release(model)))
            }
        }
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offline(role) => write!(f, "{role}"),
            Self::Online(role) => f.write_str(role.as_str()),
        }
    }
}

/// The name of a metadata file under consistent snapshots (TUF 6.2): `3.rel-gw2.json`, and
/// `timestamp.json`, which alone has no version in its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileName {
    /// `timestamp.json`.
    Timestamp,
    /// `<version>.<role>.json`.
    Versioned {
        /// Which role; never timestamp.
        role: RoleName,
        /// From 1.
        version: u64,
    },
}

impl FileName {
    /// The file name of `role` at `version`.
    #[must_use]
    pub fn of(role: RoleName, version: u64) -> Self {
        if role == RoleName::Online(OnlineRole::Timestamp) {
            return Self::Timestamp;
        }
        Self::Versioned { role, version }
    }
}

impl FromStr for FileName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        if text == "timestamp.json" {
            return Ok(Self::Timestamp);
        }
        let refused = || NameError {
            expected: "1.root.json, 7.rel-gw2.json or timestamp.json",
            got: text.chars().take(120).collect(),
        };
        let stem = text.strip_suffix(".json").ok_or_else(refused)?;
        let (number, role) = stem.split_once('.').ok_or_else(refused)?;
        let version: u64 = number.parse().map_err(|_| refused())?;
        let role: RoleName = role.parse().map_err(|_| refused())?;
        let name = Self::Versioned { role, version };
        // One spelling per file: no `01.root.json`, no `1.timestamp.json`.
        if version == 0 || Self::of_versioned(&name) || name.to_string() != text {
            return Err(refused());
        }
        Ok(name)
    }
}

impl FileName {
    fn of_versioned(name: &Self) -> bool {
        matches!(name, Self::Versioned { role: RoleName::Online(OnlineRole::Timestamp), .. })
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timestamp => f.write_str("timestamp.json"),
            Self::Versioned { role, version } => write!(f, "{version}.{role}.json"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_read_back_as_written() {
        for name in [
            "1.root.json",
            "2.targets.json",
            "3.rel-gw2.1.json",
            "4.emergency.json",
            "9.deltas.json",
        ] {
            assert_eq!(name.parse::<FileName>().unwrap().to_string(), name);
        }
        assert_eq!("timestamp.json".parse::<FileName>(), Ok(FileName::Timestamp));
    }

    #[test]
    fn file_names_with_a_second_spelling_or_of_no_role_are_refused() {
        for bad in [
            "root.json",
            "01.root.json",
            "0.root.json",
            "+1.root.json",
            "1.timestamp.json",
            "1.rel-.json",
            "1.rel-../x.json",
            "1.mirrors.json",
            "1.root",
            "",
        ] {
            assert!(bad.parse::<FileName>().is_err(), "{bad:?} was accepted");
        }
    }
}
