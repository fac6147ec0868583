//! Our `custom` fields in TUF targets, target names, and the signed rollout schedule. Integers and
//! strings only, so that they have one canonical spelling.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::digest::Sha256Digest;
use crate::id::{DeviceId, IdError, ModelName, VersionName};
use crate::limits::REASON_BYTES_MAX;
use crate::time::{DAY_MS, HOUR_MS, Timestamp};

/// The target that holds what devices trust beside TUF (`crate::anchors`).
pub const ANCHORS_TARGET: &str = "trust/anchors";

/// The role of the incident team (DESIGN section 3). Its paths are `emergency/*/*`, its delegation
/// ends the search, and no model may have its name.
pub const EMERGENCY_ROLE: &str = "emergency";

/// Steps of one schedule. Ten doublings cover any fleet; the rest is room for hand-made ones.
pub const SCHEDULE_STEPS_MAX: usize = 32;

/// `custom` of an image target `<model>/<version>/image`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageCustom {
    /// Release counter: strictly growing per model, what "newer" means.
    pub counter: u64,
    /// Keeping this image raises the device's floor to this; nothing with a lower counter ever runs
    /// again.
    pub floor: u64,
    /// Only from a release of this counter or a higher one: a device that runs a lower one must run
    /// another in between first. 0, which is not written, lets it in from any.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub needs: u64,
    /// The hardware it is for.
    pub model: ModelName,
    /// When which part of the fleet may take it.
    pub schedule: Schedule,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde asks for")]
const fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// `custom` of a delta target `<model>/<version>/from-<base>.delta`. It grants nothing: what it
/// yields is checked against the image's own target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeltaCustom {
    /// The container's name, `lazaret-delta-1`.
    pub format: String,
    /// What it is applied to.
    pub base_sha256: Sha256Digest,
    /// What it yields.
    pub result_sha256: Sha256Digest,
    /// Length of what it yields, in bytes.
    pub result_length: u64,
    /// Working memory that the decoder needs, in bytes.
    pub ram_bytes: u64,
}

/// The rollout schedule that release signers sign: the server may be slower, never faster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Shuffles the fleet anew for each release.
    pub salt: String,
    /// In order of time, each with a larger share than the one before.
    pub steps: Vec<ScheduleStep>,
}

/// `custom` of a target `emergency/<model>/<version>`: a faster schedule for an image that
/// `rel-<model>` has signed. It grants nothing else. The target itself is empty (length 0, the
/// SHA-256 of nothing), because there is nothing to fetch: all that it says stands here. A
/// repository whose targets do not delegate to [`EMERGENCY_ROLE`], whose snapshot does not list it,
/// or in which it lists no such target, has no emergency for that version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmergencyCustom {
    /// The image: the SHA-256 that `<model>/<version>/image` has in `rel-<model>`. For any other
    /// this counts for nothing.
    pub image_sha256: Sha256Digest,
    /// When which part of the fleet may take it, with the salt of the image's own schedule. What
    /// either of the two schedules allows is allowed.
    pub schedule: Schedule,
    /// Why, in one line, for people: 1 to [`REASON_BYTES_MAX`] bytes.
    pub reason: String,
    /// From this moment on it counts for nothing.
    pub expires: Timestamp,
}

/// An emergency schedule that says nothing sensible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EmergencyError {
    /// Its schedule is none.
    #[error("its schedule is not acceptable")]
    Schedule(#[from] ScheduleError),
    /// No reason, too long a one, or one with control characters.
    #[error("expected a reason of one line of 1 to {REASON_BYTES_MAX} bytes, got {got} bytes")]
    Reason {
        /// Its length in bytes.
        got: usize,
    },
    /// It ends before it lets anybody in.
    #[error("expected it to expire after its schedule opens at {opens}, it expires {expires}")]
    ExpiresBeforeItOpens {
        /// The first step.
        opens: Timestamp,
        /// When it expires.
        expires: Timestamp,
    },
}

impl EmergencyCustom {
    /// Checks its form, which signers and readers both do.
    ///
    /// # Errors
    /// The first thing that makes no sense.
    pub fn check(&self) -> Result<(), EmergencyError> {
        self.schedule.check()?;
        let got = self.reason.len();
        let blank = self.reason.trim().is_empty();
        if blank || got > REASON_BYTES_MAX || self.reason.chars().any(char::is_control) {
            return Err(EmergencyError::Reason { got });
        }
        let opens = self.schedule.steps.first().map_or(self.expires, |step| step.not_before);
        if self.expires <= opens {
            return Err(EmergencyError::ExpiresBeforeItOpens { opens, expires: self.expires });
        }
        Ok(())
    }

    /// The faster schedule, where it is for `image` and has not expired at `now`.
    #[must_use]
    pub fn schedule_for(&self, image: Sha256Digest, now: Timestamp) -> Option<&Schedule> {
        (self.image_sha256 == image && now < self.expires).then_some(&self.schedule)
    }
}

/// One step of a [`Schedule`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleStep {
    /// Devices whose place is below this, of 1000, may install.
    pub permille: u16,
    /// From this moment on.
    pub not_before: Timestamp,
}

/// A schedule that says nothing sensible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// No step, or more than [`SCHEDULE_STEPS_MAX`].
    #[error("expected 1 to {SCHEDULE_STEPS_MAX} schedule steps, got {got}")]
    Steps {
        /// How many there are.
        got: usize,
    },
    /// A step above 1000 permille, or not after the one before in both share and time.
    #[error("expected steps that grow in time and up to 1000 permille, step {step} does not")]
    NotGrowing {
        /// Which step, from zero.
        step: usize,
    },
}

impl Schedule {
    /// A schedule that lets everybody install from `not_before` on.
    #[must_use]
    pub fn everybody_from(salt: &str, not_before: Timestamp) -> Self {
        Self { salt: salt.into(), steps: alloc::vec![ScheduleStep { permille: 1000, not_before }] }
    }

    /// Checks its form, which signers and readers both do.
    ///
    /// # Errors
    /// No steps, too many, or steps that do not grow.
    pub fn check(&self) -> Result<(), ScheduleError> {
        if self.steps.is_empty() || self.steps.len() > SCHEDULE_STEPS_MAX {
            return Err(ScheduleError::Steps { got: self.steps.len() });
        }
        let mut before: Option<&ScheduleStep> = None;
        for (step, this) in self.steps.iter().enumerate() {
            let grows = before
                .is_none_or(|b| this.permille > b.permille && this.not_before >= b.not_before);
            if this.permille > 1000 || !grows {
                return Err(ScheduleError::NotGrowing { step });
            }
            before = Some(this);
        }
        Ok(())
    }

    /// The place of a device in this release's rollout, 0 to 999. Stable, and new for each salt.
    #[must_use]
    pub fn place(&self, device: &DeviceId) -> u16 {
        let mut hash = Sha256::new();
        hash.update(self.salt.as_bytes());
        hash.update([0]);
        hash.update(device.as_str().as_bytes());
        let digest: [u8; 32] = hash.finalize().into();
        let [a, b, c, d, ..] = digest;
        u16::try_from(u32::from_be_bytes([a, b, c, d]) % 1000).unwrap_or(0)
    }

    /// The share of the fleet that may install at `now`, in permille.
    #[must_use]
    pub fn permille_at(&self, now: Timestamp) -> u16 {
        let open = self.steps.iter().filter(|step| step.not_before <= now);
        open.map(|step| step.permille).max().unwrap_or(0)
    }

    /// When `device` may install: the first step that reaches its place, none where no step does.
    #[must_use]
    pub fn opens_for(&self, device: &DeviceId) -> Option<Timestamp> {
        let place = self.place(device);
        self.steps.iter().find(|step| place < step.permille).map(|step| step.not_before)
    }
}

/// The target name of an image.
#[must_use]
pub fn image_target(model: &ModelName, version: &VersionName) -> String {
    format!("{model}/{version}/image")
}

/// The target name of a delta.
#[must_use]
pub fn delta_target(model: &ModelName, version: &VersionName, base: &VersionName) -> String {
    format!("{model}/{version}/from-{base}.delta")
}

/// The TUF role that signs the images of a model.
#[must_use]
pub fn release_role(model: &ModelName) -> String {
    format!("rel-{model}")
}

/// The target name of a faster schedule for an image.
#[must_use]
pub fn emergency_target(model: &ModelName, version: &VersionName) -> String {
    format!("{EMERGENCY_ROLE}/{model}/{version}")
}

/// Reads `emergency/<model>/<version>` back; none where the name is not of that form.
#[must_use]
pub fn parse_emergency_target(name: &str) -> Option<Result<(ModelName, VersionName), IdError>> {
    let rest = name.strip_prefix(EMERGENCY_ROLE)?.strip_prefix('/')?;
    let (model, version) = rest.split_once('/')?;
    let parsed = model.parse().and_then(|model| Ok((model, version.parse()?)));
    Some(parsed)
}

/// Reads `<model>/<version>/image` back; none where the name is not of that form.
#[must_use]
pub fn parse_image_target(name: &str) -> Option<Result<(ModelName, VersionName), IdError>> {
    let rest = name.strip_suffix("/image")?;
    let (model, version) = rest.split_once('/')?;
    let parsed = model.parse().and_then(|model| Ok((model, version.parse()?)));
    Some(parsed)
}

/// How pressing the expiry of a role is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Urgency {
    /// Not yet.
    Fine,
    /// It is time to sign it again.
    Soon,
    /// Devices refuse it.
    Expired,
}

/// How pressing it is that `role` expires at `expires`. People need time to hold a ceremony; what
/// the server signs by itself is late already when half of its last stretch is gone.
#[must_use]
pub fn expiry_urgency(role: &str, expires: Timestamp, now: Timestamp) -> Urgency {
    let warn_ms = match role {
        "timestamp" => 12 * HOUR_MS,
        "snapshot" => 3 * DAY_MS,
        "deltas" => 7 * DAY_MS,
        _ => 30 * DAY_MS,
    };
    match expires.since_ms(now) {
        0 => Urgency::Expired,
        left if left < warn_ms => Urgency::Soon,
        _ => Urgency::Fine,
    }
}

#[cfg(test)]
mod tests;
