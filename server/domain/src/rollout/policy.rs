//! How a rollout goes about it: groups, thresholds, pace, windows, preconditions, approvals and
//! statistics. Operators write it as TOML, which a shell parses into [`Policy`]; what is wrong with
//! it, all of it at once, says [`Policy::check`].

use alloc::string::String;
use alloc::vec::Vec;

use lazaret_protocol::id::DeviceId;
use lazaret_protocol::time::{DAY_MS, HOUR_MS};
use serde::{Deserialize, Serialize};

use super::span::Span;
use super::window::Window;

mod check;
mod shipped;

pub use check::Problem;
pub use shipped::SHIPPED;

/// Largest policy as text, in bytes. One with 32 groups by filter is under 20 KiB.
pub const POLICY_BYTES_MAX: usize = 64 * 1024;

/// A policy as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// What it is called.
    pub name: String,
    /// Whether it overtakes running rollouts, which only a release of the `emergency` role may.
    #[serde(default)]
    pub urgency: Urgency,
    /// People beside the author who must approve a plan.
    #[serde(default = "one")]
    pub approvals: u32,
    /// A device that took an offer or the new image and says nothing for so long is *unknown*.
    #[serde(default = "an_hour")]
    pub silent_after: Span,
    /// A device that confirmed is watched for so long: what it says then still counts.
    #[serde(default = "a_day")]
    pub watch: Span,
    /// A device that does not call for so long after its group opened is *unreachable*, so that it
    /// does not keep the rollout running.
    #[serde(default = "a_month")]
    pub give_up_after: Span,
    /// A device that confirmed and then says nothing for so long is *lost*: it stays unknown, but
    /// no soak waits for it and it does not keep the rollout running. `give_up_after` where it is
    /// absent.
    #[serde(default)]
    pub lost_after: Option<Span>,
    /// The sequential test. None leaves the thresholds alone to halt.
    #[serde(default)]
    pub statistics: Option<StatisticsPolicy>,
    /// How a rollout that cures an incident waits for evidence.
    #[serde(default)]
    pub preserve: PreservePolicy,
    /// The groups in order. A device is in the first that has it.
    #[serde(rename = "group", default)]
    pub groups: Vec<GroupPolicy>,
}

/// How pressing a rollout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Urgency {
    /// It waits its turn.
    #[default]
    Normal,
    /// It overtakes, with the schedule of the `emergency` role.
    Emergency,
}

/// What is overwritten cannot be looked at any more: a rollout that cures an incident asks each
/// device of it for its evidence first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreservePolicy {
    /// How long a device waits for its evidence to be here, from when it could have had its offer.
    #[serde(default = "a_day")]
    pub wait: Span,
    /// What comes of it then.
    #[serde(default)]
    pub then: AfterWait,
}

impl Default for PreservePolicy {
    fn default() -> Self {
        Self { wait: a_day(), then: AfterWait::default() }
    }
}

/// What comes of a device whose evidence did not come in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AfterWait {
    /// It is cured without it.
    #[default]
    Patch,
    /// It goes on waiting.
    Hold,
}

/// The sequential test's parameters; what they mean is in
/// [`statistics`](crate::rollout::statistics).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatisticsPolicy {
    /// Failures that are as usual, of 1000.
    #[serde(default = "ten")]
    pub failures_permille: u32,
    /// Devices that are usually silent, of 1000, where the cohort itself says less.
    #[serde(default = "twenty")]
    pub silent_permille: u32,
    /// Good rollouts that may be halted by mistake, of 10,000.
    #[serde(default = "fifty")]
    pub false_halts_per_10000: u32,
}

/// One group as it is written. Exactly one of `permille`, `filter`, `devices` and `rest` says who
/// is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupPolicy {
    /// What it is called.
    pub name: String,
    /// So many of 1000 devices of the plan, in the order of the signed schedule.
    #[serde(default)]
    pub permille: Option<u32>,
    /// Devices that match.
    #[serde(default)]
    pub filter: Option<String>,
    /// These devices.
    #[serde(default)]
    pub devices: Option<Vec<DeviceId>>,
    /// All that are in no group before.
    #[serde(default)]
    pub rest: bool,
    /// Passes with this much of the results done, in percent.
    #[serde(default = "ninety_five")]
    pub success_percent: u32,
    /// Halts with this much of the results failed, in percent.
    #[serde(default = "ten")]
    pub error_percent: u32,
    /// Devices that must be done before it passes; at most as many as are in the group.
    #[serde(default = "one")]
    pub minimum_sample: u32,
    /// How long devices must have run the image, and said so, before the next group opens.
    #[serde(default)]
    pub soak: Span,
    /// How many devices must have soaked, of this group and those before it; `minimum_sample` where
    /// it is absent.
    #[serde(default)]
    pub soak_sample: Option<u32>,
    /// Most devices at work at once, at the beginning. None is no cap.
    #[serde(default)]
    pub concurrency: Option<u32>,
    /// The cap grows by this much for each 100 devices that are done.
    #[serde(default)]
    pub concurrency_growth_percent: u32,
    /// The cap never grows beyond.
    #[serde(default)]
    pub concurrency_max: Option<u32>,
    /// Most offers a minute, at the beginning. None is no cap.
    #[serde(default)]
    pub per_minute: Option<u32>,
    /// The rate grows to this much of itself each time `rate_growth_every` more are done.
    #[serde(default = "hundred")]
    pub rate_growth_percent: u32,
    /// See `rate_growth_percent`.
    #[serde(default = "hundred")]
    pub rate_growth_every: u32,
    /// The rate never grows beyond.
    #[serde(default)]
    pub per_minute_max: Option<u32>,
    /// Hours of the device's own time in which it may be offered. None is always.
    #[serde(default)]
    pub windows: Vec<Window>,
    /// The charge that a device with a battery must have, in percent.
    #[serde(default)]
    pub battery_percent_min: u32,
    /// Probes that must have passed.
    #[serde(default)]
    pub probes: Vec<String>,
}

/// What holds for the devices of one group, as a rollout carries it. Polls rest on it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GroupRules {
    /// What it is called.
    pub name: String,
    /// Passes with this much done, in percent.
    pub success_percent: u8,
    /// Halts with this much failed, in percent.
    pub error_percent: u8,
    /// Devices that must be done before it passes. With 0 the percentages are of the whole group.
    #[serde(default)]
    pub minimum_sample: u64,
    /// How long devices must have run the image, in milliseconds.
    #[serde(default)]
    pub soak_ms: u64,
    /// How many must have, of this group and those before it.
    #[serde(default)]
    pub soak_sample: u64,
    /// Devices at work at once.
    #[serde(default)]
    pub concurrency: Option<Growing>,
    /// Offers a minute.
    #[serde(default)]
    pub rate: Option<Growing>,
    /// Hours in the device's own time.
    #[serde(default)]
    pub windows: Vec<Window>,
    /// Charge in percent.
    #[serde(default)]
    pub battery_percent_min: u8,
    /// Probes that must have passed.
    #[serde(default)]
    pub probes: Vec<String>,
}

/// A cap that grows with confirmed successes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Growing {
    /// At the beginning.
    pub start: u64,
    /// Never beyond.
    pub most: u64,
    /// How.
    pub growth: Growth,
}

/// How a cap grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum Growth {
    /// By `percent` for each 100 devices that are done.
    Linear {
        /// Of each 100.
        percent: u64,
    },
    /// To `percent` of itself for each `every` devices that are done.
    Exponential {
        /// Above 100.
        percent: u64,
        /// At least 1.
        every: u64,
    },
}

impl Growing {
    /// The cap with `done` devices confirmed. More done never makes it smaller.
    #[must_use]
    pub fn at(self, done: u64) -> u64 {
        let grown = match self.growth {
            Growth::Linear { percent } => {
                let more = done.saturating_mul(percent).checked_div(100).unwrap_or(0);
                self.start.saturating_add(more)
            }
            Growth::Exponential { percent, every } => {
                let mut cap = self.start;
                // Past 64 doublings there is nothing left to grow.
                for _ in 0..done.checked_div(every).unwrap_or(0).min(1000) {
                    if cap >= self.most {
                        break;
                    }
                    let next = cap.saturating_mul(percent).checked_div(100).unwrap_or(cap);
                    // Below 100 devices a small growth would be rounded away for ever.
                    cap =
                        if percent > 100 { next.max(cap.saturating_add(1)) } else { next.max(cap) };
                }
                cap
            }
        };
        grown.min(self.most)
    }
}

impl GroupPolicy {
    /// As a rollout carries it. Numbers out of range are brought into it: [`Policy::check`] has
    /// refused them before.
    #[must_use]
    pub fn rules(&self) -> GroupRules {
        let percent = |n: u32| u8::try_from(n.min(100)).unwrap_or(100);
        let most = |cap: Option<u32>| cap.map_or(u64::MAX, u64::from);
        let linear = Growth::Linear { percent: u64::from(self.concurrency_growth_percent) };
        let exponential = Growth::Exponential {
            percent: u64::from(self.rate_growth_percent.max(100)),
            every: u64::from(self.rate_growth_every.max(1)),
        };
        let cap = |start: Option<u32>, most, growth| {
            start.map(|start| Growing { start: u64::from(start), most, growth })
        };
        GroupRules {
            name: self.name.clone(),
            success_percent: percent(self.success_percent),
            error_percent: percent(self.error_percent),
            minimum_sample: u64::from(self.minimum_sample.max(1)),
            soak_ms: self.soak.as_ms(),
            soak_sample: u64::from(self.soak_sample.unwrap_or(self.minimum_sample).max(1)),
            concurrency: cap(self.concurrency, most(self.concurrency_max), linear),
            rate: cap(self.per_minute, most(self.per_minute_max), exponential),
            windows: self.windows.clone(),
            battery_percent_min: percent(self.battery_percent_min),
            probes: self.probes.clone(),
        }
    }
}

impl GroupRules {
    /// Whether devices of this group wait for their turn: only then does somebody count them.
    #[must_use]
    pub const fn takes_turns(&self) -> bool {
        self.concurrency.is_some() || self.rate.is_some()
    }
}

const fn one() -> u32 {
    1
}
const fn ten() -> u32 {
    10
}
const fn twenty() -> u32 {
    20
}
const fn fifty() -> u32 {
    50
}
const fn ninety_five() -> u32 {
    95
}
const fn hundred() -> u32 {
    100
}
const fn an_hour() -> Span {
    Span::from_ms(HOUR_MS)
}
const fn a_day() -> Span {
    Span::from_ms(DAY_MS)
}
const fn a_month() -> Span {
    Span::from_ms(30 * DAY_MS)
}

#[cfg(test)]
mod tests;
