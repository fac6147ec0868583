//! Playbooks: what is to be done in an incident, by whom, until when, and what shows that it is
//! done. Operators write them as TOML, which a shell parses into [`Playbook`]; what is wrong with
//! one, all of it at once, says [`Playbook::check`].

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use lazaret_protocol::id::OperatorName;
use lazaret_protocol::operator::{ProofKind, Role, StepView};
use lazaret_protocol::time::{DAY_MS, Timestamp};
use serde::{Deserialize, Serialize};

use crate::attribute;
use crate::rollout::policy::Problem;
use crate::rollout::span::Span;

/// Largest playbook as text, in bytes.
pub const PLAYBOOK_BYTES_MAX: usize = 64 * 1024;

/// Steps of one playbook.
const STEPS_MAX: usize = 64;

/// Longest description of a step, in bytes.
const WHAT_BYTES_MAX: usize = 1024;

/// What a name may be.
const NAME: &str = "1 to 64 bytes of letters, digits, dots, underscores and hyphens";

/// Name and text of each that comes with Lazaret.
pub const SHIPPED: &[(&str, &str)] = &[
    ("compromised-device", include_str!("../../playbooks/compromised-device.toml")),
    ("vulnerability", include_str!("../../playbooks/vulnerability.toml")),
];

/// A playbook as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Playbook {
    /// What it is called.
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub about: String,
    /// Its steps, in the order in which they are begun.
    #[serde(rename = "step", default)]
    pub steps: Vec<StepText>,
}

/// A step as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepText {
    /// What it is called.
    pub name: String,
    /// What is to be done.
    pub what: String,
    /// Whose it is: a role.
    pub owner: String,
    /// Until when, counted from the moment at which the incident was declared.
    pub due: Span,
    /// What shows that it is done.
    #[serde(default = "word")]
    pub proof: ProofKind,
}

/// A step of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What it is called.
    pub name: String,
    /// What is to be done.
    pub what: String,
    /// Whose it is.
    pub owner: String,
    /// Until when, in milliseconds after the declaration.
    pub due_ms: u64,
    /// What shows that it is done.
    pub proof: ProofKind,
    /// How it ended.
    pub ended: Option<Ended>,
}

/// The end of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// When.
    pub at: Timestamp,
    /// Who says so.
    pub by: OperatorName,
    /// It was not done and will not be.
    pub waived: bool,
    /// What was done, or why not.
    pub text: String,
}

impl Playbook {
    /// All that is wrong with it; nothing where it can be used.
    #[must_use]
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut add = |at: String, expected: &str, got: String| {
            problems.push(Problem { at, expected: expected.into(), got });
        };
        if !attribute::is_key(&self.name) {
            add("name".into(), NAME, cut(&self.name));
        }
        if self.about.len() > WHAT_BYTES_MAX {
            add("about".into(), "at most 1024 bytes", self.about.len().to_string());
        }
        if self.steps.is_empty() || self.steps.len() > STEPS_MAX {
            add("step".into(), "1 to 64 steps", self.steps.len().to_string());
        }
        let mut names = BTreeSet::new();
        for (number, step) in (1..).zip(&self.steps).take(STEPS_MAX) {
            let at = |field: &str| format!("step {number} ({}).{field}", cut(&step.name));
            if !attribute::is_key(&step.name) {
                add(at("name"), NAME, cut(&step.name));
            } else if !names.insert(&step.name) {
                add(at("name"), "a name that no other step has", cut(&step.name));
            }
            if step.what.trim().is_empty() || step.what.len() > WHAT_BYTES_MAX {
                add(at("what"), "1 to 1024 bytes", step.what.len().to_string());
            }
            if Role::parse(&step.owner).is_none() {
                let roles: Vec<&str> = Role::ALL.into_iter().map(Role::as_str).collect();
                add(at("owner"), &format!("one of {}", roles.join(", ")), cut(&step.owner));
            }
            if step.due == Span::default() || step.due > Span::from_ms(366 * DAY_MS) {
                add(at("due"), "a span of more than nothing up to 366d", step.due.to_string());
            }
        }
        problems
    }

    /// Its name, and the steps of an incident that goes by it.
    #[must_use]
    pub fn into_parts(self) -> (String, Vec<Step>) {
        let steps = self.steps.into_iter().map(|step| Step {
            name: step.name,
            what: step.what,
            owner: step.owner,
            due_ms: step.due.as_ms(),
            proof: step.proof,
            ended: None,
        });
        (self.name, steps.collect())
    }
}

impl Step {
    /// As responders see it, in an incident that was declared then.
    #[must_use]
    pub fn view(&self, declared: Option<Timestamp>, now: Timestamp) -> StepView {
        let due = declared.map(|at| at.plus_ms(self.due_ms));
        StepView {
            name: self.name.clone(),
            what: self.what.clone(),
            owner: self.owner.clone(),
            due,
            proof: self.proof,
            ended: self.ended.as_ref().map(|ended| ended.at),
            by: self.ended.as_ref().map(|ended| ended.by.clone()),
            waived: self.ended.as_ref().is_some_and(|ended| ended.waived),
            text: self.ended.as_ref().map(|ended| ended.text.clone()),
            late: self.ended.is_none() && due.is_some_and(|due| due < now),
        }
    }
}

fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}

const fn word() -> ProofKind {
    ProofKind::Word
}
