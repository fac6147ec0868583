//! The rules, one row each: what event speaks against a device, how much, and in which words. A
//! rule is deterministic: the same event says the same. None of them contains a device.

use alloc::format;
use alloc::string::{String, ToString as _};

use lazaret_protocol::id::DeviceId;
use lazaret_protocol::order::Outcome;

use crate::event::Fact;

/// One rule.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// What it is called; names are stored and never reused.
    pub name: &'static str,
    /// How much it speaks against a device, 1 to 100: 50 and above is proof of something wrong, if
    /// not of what.
    pub score: u32,
    /// The technique of MITRE ATT&CK for ICS that shows so, where there is one.
    pub technique: Option<&'static str>,
    /// What it is about, in one line.
    pub about: &'static str,
    /// The device that an event speaks against, and the word on it; nothing of other events.
    pub says: fn(&Fact) -> Option<(&DeviceId, String)>,
}

/// Every rule.
pub const RULES: &[Rule] = &[
    Rule {
        name: "log-forked",
        score: 80,
        technique: Some("T0872"),
        about: "the device signed two pasts of its forensic log",
        says: |fact| match fact {
            Fact::LogForked { device, .. } => {
                Some((device, "two checkpoints of one log contradict each other".to_string()))
            }
            _ => None,
        },
    },
    Rule {
        name: "log-regressed",
        score: 60,
        technique: Some("T0872"),
        about: "the forensic log is shorter than it was",
        says: |fact| match fact {
            Fact::LogRegressed { device, known, got } => {
                Some((device, format!("its log went from {known} records to {got}")))
            }
            _ => None,
        },
    },
    Rule {
        name: "clone",
        score: 50,
        technique: Some("T0848"),
        about: "two machines share one identity",
        says: |fact| match fact {
            Fact::CloneSuspected { device, sign, evidence } => {
                Some((device, format!("{sign}: {evidence}")))
            }
            _ => None,
        },
    },
    Rule {
        name: "replay",
        score: 20,
        technique: Some("T0848"),
        about: "a poll with a number that was used before",
        says: |fact| match fact {
            Fact::PollReplayed { device, expected_above, got } => {
                Some((device, format!("poll {got} after {expected_above} was accepted")))
            }
            _ => None,
        },
    },
    Rule {
        name: "number-changed",
        score: 30,
        technique: None,
        about: "another modem or SIM",
        says: |fact| match fact {
            Fact::NumberChanged { device, kind, .. } => {
                Some((device, format!("its {kind} is another than the one it is bound to")))
            }
            _ => None,
        },
    },
    Rule {
        name: "number-shared",
        score: 40,
        technique: None,
        about: "the modem or SIM of this device speaks in another",
        says: |fact| match fact {
            Fact::NumberShared { device, with, kind, .. } => {
                Some((device, format!("{with} says its {kind}")))
            }
            _ => None,
        },
    },
    Rule {
        name: "claim-reused",
        score: 30,
        technique: None,
        about: "somebody showed the claim of this device again",
        says: |fact| match fact {
            Fact::ClaimReused { device, serial } | Fact::FactoryReused { device, serial } => {
                Some((device, format!("what {serial} enrolled with was shown again")))
            }
            _ => None,
        },
    },
    Rule {
        name: "wrong-digest",
        score: 60,
        technique: Some("T0857"),
        about: "it says that an install is done and runs something else",
        says: |fact| match fact {
            Fact::OrderEnded { device, outcome: Outcome::Failed { code, reason }, .. }
                if code == "wrong-digest" =>
            {
                Some((device, reason.clone()))
            }
            _ => None,
        },
    },
    Rule {
        name: "not-contained",
        score: 40,
        technique: None,
        about: "a measure of its quarantine does not hold",
        says: |fact| match fact {
            Fact::NotContained { device, why } => Some((device, why.clone())),
            _ => None,
        },
    },
];
