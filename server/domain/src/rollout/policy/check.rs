//! Everything that is wrong with a policy, at once.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use lazaret_protocol::limits::ROLLOUT_GROUPS_MAX;
use lazaret_protocol::time::DAY_MS;

use super::super::span::Span;
use super::{GroupPolicy, Policy, StatisticsPolicy, Urgency};
use crate::attribute;
use crate::filter::Filter;

/// People that a policy may ask for.
const APPROVALS_MAX: u32 = 16;
/// Longest span that a policy may name.
const SPAN_MAX: Span = Span::from_ms(366 * DAY_MS);
/// Windows or probes of one group.
const LIST_MAX: usize = 32;
/// Devices that one group may list.
const DEVICES_MAX: usize = 10_000;

/// One thing that is wrong with a policy.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, thiserror::Error)]
#[error("{at}: expected {expected}, got {got}")]
pub struct Problem {
    /// Where, such as `group 2 (rest).soak`.
    pub at: String,
    /// What could have stood there.
    pub expected: String,
    /// What stood there.
    pub got: String,
}

impl Policy {
    /// All that is wrong with it; nothing where it can be used.
    #[must_use]
    pub fn check(&self) -> Vec<Problem> {
        let mut found = Findings(Vec::new());
        found.name("name", &self.name);
        found.range("approvals", self.approvals, 0, APPROVALS_MAX);
        found.span("silent_after", self.silent_after, Span::from_ms(1000));
        found.span("watch", self.watch, Span::default());
        found.span("give_up_after", self.give_up_after, Span::from_ms(1000));
        if self.give_up_after < self.silent_after {
            found.add("give_up_after", "at least silent_after", self.give_up_after.to_string());
        }
        if let Some(lost_after) = self.lost_after {
            found.span("lost_after", lost_after, Span::from_ms(1000));
            if lost_after < self.silent_after {
                found.add("lost_after", "at least silent_after", lost_after.to_string());
            }
        }
        if self.urgency == Urgency::Emergency && self.approvals == 0 {
            found.add("approvals", "at least 1 in an emergency policy", "0");
        }
        if let Some(statistics) = &self.statistics {
            found.statistics(statistics);
        }
        found.groups(&self.groups);
        found.0
    }
}

struct Findings(Vec<Problem>);

impl Findings {
    fn add(&mut self, at: &str, expected: &str, got: impl Into<String>) {
        self.0.push(Problem { at: at.into(), expected: expected.into(), got: got.into() });
    }

    fn name(&mut self, at: &str, name: &str) {
        if !attribute::is_key(name) {
            let got: String = name.chars().take(64).collect();
            self.add(
                at,
                "1 to 128 letters, digits, dots, dashes and underscores",
                format!("{got:?}"),
            );
        }
    }

    fn range(&mut self, at: &str, got: u32, least: u32, most: u32) {
        if got < least || got > most {
            self.add(at, &format!("{least} to {most}"), got.to_string());
        }
    }

    fn span(&mut self, at: &str, got: Span, least: Span) {
        if got < least || got > SPAN_MAX {
            self.add(at, &format!("{least} to {SPAN_MAX}"), got.to_string());
        }
    }

    fn statistics(&mut self, statistics: &StatisticsPolicy) {
        self.range("statistics.failures_permille", statistics.failures_permille, 1, 500);
        self.range("statistics.silent_permille", statistics.silent_permille, 1, 500);
        let false_halts = statistics.false_halts_per_10000;
        self.range("statistics.false_halts_per_10000", false_halts, 1, 1000);
    }

    fn groups(&mut self, groups: &[GroupPolicy]) {
        if groups.is_empty() || groups.len() > ROLLOUT_GROUPS_MAX {
            let expected = format!("1 to {ROLLOUT_GROUPS_MAX} groups");
            self.add("group", &expected, groups.len().to_string());
        }
        let mut names = BTreeSet::new();
        for (number, group) in (1u32..).zip(groups) {
            let at = format!("group {number} ({})", group.name);
            self.group(&at, group);
            if !names.insert(group.name.as_str()) {
                self.add(
                    &format!("{at}.name"),
                    "a name that no other group has",
                    format!("{:?}", group.name),
                );
            }
            if group.rest && usize::try_from(number).unwrap_or(usize::MAX) != groups.len() {
                self.add(
                    &format!("{at}.rest"),
                    "only the last group to take the rest",
                    "a group behind it",
                );
            }
        }
        let sum: u64 = groups.iter().filter_map(|group| group.permille).map(u64::from).sum();
        let covered = groups.iter().any(|group| group.rest);
        if sum > 1000 {
            self.add("group", "shares of at most 1000 permille together", format!("{sum}"));
        }
        if !covered && sum < 1000 && !groups.is_empty() {
            let expected = "a last group with rest = true, or shares of 1000 permille together: \
                            otherwise some devices are in no group";
            self.add("group", expected, format!("{sum} permille"));
        }
    }

    fn group(&mut self, at: &str, group: &GroupPolicy) {
        let field = |name: &str| format!("{at}.{name}");
        self.name(&field("name"), &group.name);
        self.members(at, group);
        self.range(&field("success_percent"), group.success_percent, 1, 100);
        self.range(&field("error_percent"), group.error_percent, 1, 100);
        self.range(&field("minimum_sample"), group.minimum_sample, 1, 1_000_000);
        self.span(&field("soak"), group.soak, Span::default());
        if let Some(sample) = group.soak_sample {
            self.range(&field("soak_sample"), sample, 1, 1_000_000);
        }
        self.caps(at, group);
        self.range(&field("battery_percent_min"), group.battery_percent_min, 0, 100);
        for (name, count) in [("windows", group.windows.len()), ("probes", group.probes.len())] {
            if count > LIST_MAX {
                self.add(&field(name), &format!("at most {LIST_MAX}"), count.to_string());
            }
        }
        for probe in &group.probes {
            self.name(&field("probes"), probe);
        }
        for window in group.windows.iter().filter(|window| window.minutes_a_week() == 0) {
            self.add(&field("windows"), "at least one minute a week", window.to_string());
        }
    }

    fn caps(&mut self, at: &str, group: &GroupPolicy) {
        let field = |name: &str| format!("{at}.{name}");
        let caps = [
            ("concurrency", group.concurrency, "concurrency_max", group.concurrency_max),
            ("per_minute", group.per_minute, "per_minute_max", group.per_minute_max),
        ];
        for (name, start, name_max, most) in caps {
            if start == Some(0) {
                self.add(&field(name), "at least 1: with 0 nothing is ever offered", "0");
            }
            if most.is_some_and(|most| start.is_none_or(|start| most < start)) {
                let got = most.map_or_else(String::new, |most| most.to_string());
                self.add(
                    &field(name_max),
                    &format!("at least {name}, which must be given too"),
                    got,
                );
            }
        }
        self.range(
            &field("concurrency_growth_percent"),
            group.concurrency_growth_percent,
            0,
            10_000,
        );
        self.range(&field("rate_growth_percent"), group.rate_growth_percent, 100, 10_000);
        self.range(&field("rate_growth_every"), group.rate_growth_every, 1, 1_000_000);
        if group.concurrency.is_none() && group.concurrency_growth_percent > 0 {
            let expected = "concurrency, which it lets grow";
            self.add(&field("concurrency_growth_percent"), expected, "none");
        }
        if group.per_minute.is_none() && group.rate_growth_percent > 100 {
            self.add(&field("rate_growth_percent"), "per_minute, which it lets grow", "none");
        }
    }

    fn members(&mut self, at: &str, group: &GroupPolicy) {
        let given = [
            ("permille", group.permille.is_some()),
            ("filter", group.filter.is_some()),
            ("devices", group.devices.is_some()),
            ("rest", group.rest),
        ];
        let names: Vec<&str> = given.iter().filter(|(_, is)| *is).map(|(name, _)| *name).collect();
        if names.len() != 1 {
            let got = if names.is_empty() { "none".to_string() } else { names.join(" and ") };
            self.add(at, "exactly one of permille, filter, devices and rest", got);
        }
        if let Some(permille) = group.permille {
            self.range(&format!("{at}.permille"), permille, 1, 1000);
        }
        if let Some(text) = &group.filter
            && let Err(err) = text.parse::<Filter>()
        {
            let expected = format!("{} in column {}", err.expected, err.column);
            self.add(&format!("{at}.filter"), &expected, err.got);
        }
        if let Some(devices) = &group.devices
            && (devices.is_empty() || devices.len() > DEVICES_MAX)
        {
            let expected = format!("1 to {DEVICES_MAX} devices");
            self.add(&format!("{at}.devices"), &expected, devices.len().to_string());
        }
    }
}
