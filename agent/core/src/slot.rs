//! The two slots and what the journal knows of their content. What the bootloader thinks of a slot
//! is the bootloader's; it comes in as [`lazaret_protocol::poll::SlotHealth`].

use core::fmt;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::VersionName;
use lazaret_protocol::poll::RunningRelease;
use serde::{Deserialize, Serialize};

/// One of the two places that an image can run from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Slot {
    /// The first.
    A,
    /// The second.
    B,
}

impl Slot {
    /// Both, in order.
    pub const ALL: [Self; 2] = [Self::A, Self::B];

    /// The slot that this one is not.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// Where an update goes while `booted` runs: the first slot on a device that runs nothing yet.
    #[must_use]
    pub const fn inactive(booted: Option<Self>) -> Self {
        match booted {
            Some(slot) => slot.other(),
            None => Self::A,
        }
    }

    /// `a` or `b`, as in paths and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A release as bytes in a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Its version, for people.
    pub version: VersionName,
    /// Its release counter: what "newer" means.
    pub counter: u64,
    /// The digest of its image.
    pub sha256: Sha256Digest,
    /// The length of its image, in bytes.
    pub length: u64,
}

impl Release {
    /// The release as a poll or a report says it.
    #[must_use]
    pub fn running(&self) -> RunningRelease {
        RunningRelease { version: self.version.clone(), counter: self.counter, sha256: self.sha256 }
    }
}

/// What a slot holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// Nothing that this agent put there, or something half written.
    #[default]
    Unknown,
    /// A release, whole and verified when it was written.
    Holds(Release),
}

/// What both slots hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Slots {
    /// The first.
    pub a: Content,
    /// The second.
    pub b: Content,
}

impl Slots {
    /// What `slot` holds.
    #[must_use]
    pub const fn content(&self, slot: Slot) -> &Content {
        match slot {
            Slot::A => &self.a,
            Slot::B => &self.b,
        }
    }

    /// Notes what `slot` holds.
    pub fn set(&mut self, slot: Slot, content: Content) {
        match slot {
            Slot::A => self.a = content,
            Slot::B => self.b = content,
        }
    }

    /// The release in `slot`, none where its content is unknown.
    #[must_use]
    pub const fn release(&self, slot: Slot) -> Option<&Release> {
        match self.content(slot) {
            Content::Holds(release) => Some(release),
            Content::Unknown => None,
        }
    }
}
