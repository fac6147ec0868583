//! Profiles: what a collection takes, and what it may cost. Two stand in TOML files beside this one
//! and are read as `[[profiles]]` of the settings are; these come before them where they have the
//! same name.

use std::path::Path;

use lazaret_protocol::id::ProfileName;

use super::ARTIFACTS;
use crate::config::Reader;

/// Most profiles of one device's settings.
pub const PROFILES_MAX: usize = 16;

/// Words that a profile adds to those behind which a secret stands.
const REDACTED_MAX: usize = 64;

/// The profile of an order that names none.
pub const USUAL: &str = "triage";

/// The profiles that every device has.
const BUILT_IN: &[&str] =
    &[include_str!("profiles/triage.toml"), include_str!("profiles/full.toml")];

/// What a collection takes, and what it may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Its name, which an order says.
    pub name: ProfileName,
    /// Artifacts by name; they are collected in the order of the table, whatever their order here.
    pub artifacts: Vec<String>,
    /// What it may cost.
    pub limits: Limits,
    /// How far back the system's journal is read where the order does not say, in seconds.
    pub journal_seconds: u64,
    /// Further words behind which a secret stands, in lower case.
    pub redact: Vec<String>,
}

/// What one collection may cost on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all artifacts together, before they are packed.
    pub bytes_max: u64,
    /// Bytes of one artifact.
    pub artifact_bytes_max: u64,
    /// Time from the first artifact to the end of the last, in milliseconds.
    pub time_ms_max: u64,
    /// CPU time of the agent in that, in milliseconds.
    pub cpu_ms_max: u64,
}

impl Profile {
    /// Reads one.
    pub fn read(from: &mut Reader<'_>) -> Option<Self> {
        let name = from.required("name", |text| {
            text.parse().map_err(|err: lazaret_protocol::id::IdError| err.to_string())
        });
        let mut artifacts = from.texts("artifacts");
        let known = |name: &String| ARTIFACTS.iter().any(|(known, _)| known == name);
        for unknown in artifacts.iter().filter(|name| !known(name)) {
            let names: Vec<&str> = ARTIFACTS.iter().map(|(name, _)| *name).collect();
            let names = names.join(", ");
            from.wrong("artifacts", format!("expected some of {names}, got {unknown:?}"));
        }
        if artifacts.is_empty() {
            artifacts = ARTIFACTS.iter().map(|(name, _)| (*name).to_owned()).collect();
        }
        let limits = Limits {
            bytes_max: from.number("bytes_max", 16 << 20, 65_536..=256 << 20),
            artifact_bytes_max: from.number("artifact_bytes_max", 2 << 20, 4096..=256 << 20),
            time_ms_max: from.number("seconds_max", 60, 1..=600).saturating_mul(1000),
            cpu_ms_max: from.number("cpu_seconds_max", 30, 1..=600).saturating_mul(1000),
        };
        let journal_seconds = from.number("journal_seconds", 3600, 1..=31_536_000);
        let mut redact = from.texts("redact");
        if redact.len() > REDACTED_MAX {
            let got = redact.len();
            from.wrong("redact", format!("expected at most {REDACTED_MAX} words, got {got}"));
        }
        redact.iter_mut().for_each(|word| *word = word.to_ascii_lowercase());
        redact.retain(|word| !word.is_empty());
        Some(Self { name: name?, artifacts, limits, journal_seconds, redact })
    }

    /// The profile of that name, the usual one for none: those of the settings first.
    #[must_use]
    pub fn find(own: &[Self], name: Option<&ProfileName>) -> Option<Self> {
        let name = name.map_or(USUAL, ProfileName::as_str);
        let built_in = BUILT_IN.iter().filter_map(|text| Self::built_in(text));
        own.iter().cloned().chain(built_in).find(|profile| profile.name.as_str() == name)
    }

    fn built_in(text: &str) -> Option<Self> {
        let mut from = Reader::new(text, Path::new("/"));
        Self::read(&mut from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Problem;

    fn read(text: &str) -> (Option<Profile>, Vec<Problem>) {
        let mut from = Reader::new(text, Path::new("/"));
        let profile = Profile::read(&mut from);
        (profile, from.finish())
    }

    #[test]
    fn the_profiles_that_every_device_has_are_well_formed_and_full_has_everything() {
        for text in BUILT_IN {
            let (profile, problems) = read(text);
            assert!(profile.is_some() && problems.is_empty(), "{problems:?}");
        }
        let full = Profile::find(&[], Some(&"full".parse().unwrap())).unwrap();
        assert_eq!(full.artifacts.len(), ARTIFACTS.len());
        assert_eq!(Profile::find(&[], None).unwrap().name.as_str(), USUAL);
        assert_eq!(Profile::find(&[], Some(&"other".parse().unwrap())), None);
    }

    #[test]
    fn a_devices_own_profile_goes_before_a_built_in_one_and_unknown_artifacts_are_named() {
        let (own, problems) = read("name = \"triage\"\nartifacts = [\"users.txt\"]\n");
        assert!(problems.is_empty());
        let found = Profile::find(&[own.unwrap()], None).unwrap();
        assert_eq!(found.artifacts, ["users.txt"]);
        let (_, problems) = read("name = \"x\"\nartifacts = [\"disk.img\"]\nseconds_max = 0\n");
        let settings: Vec<&str> = problems.iter().map(|it| it.setting.as_str()).collect();
        assert_eq!(settings, ["artifacts", "seconds_max"]);
    }
}
