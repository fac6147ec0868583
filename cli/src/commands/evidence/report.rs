//! A verdict as people and programs read it. What is checked and decided is
//! `lazaret_protocol_evidence`'s; here stand only the words.

use std::fmt::Write as _;

use lazaret_protocol::id::{BundleId, DeviceId};
use lazaret_protocol::time::Timestamp;
use lazaret_protocol_evidence::manifest::{ArtifactStatus, Manifest};
use lazaret_protocol_evidence::verdict::{Check, CheckName, Fault, Outcome, Verdict};
use serde::Serialize;

use crate::evidence::age::OpenError;
use crate::evidence::opened::ReadError;
use crate::output;

/// The check that stands before all others: nothing is read from a file that is odd.
const ARCHIVE: &str = "archive";

const ARCHIVE_WORDS: &str = "the file opens, and holds plainly named files and nothing beside them";

const RECEIPT_WORDS: &str = "the server received these bytes, and its custody log is whole";

/// What `evidence verify` says.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Whether every check holds.
    pub(super) ok: bool,
    bundle: Option<BundleId>,
    device: Option<DeviceId>,
    collected_at: Option<Timestamp>,
    records: usize,
    artifacts: Vec<ArtifactLine>,
    checks: Vec<CheckLine>,
    /// The first thing that is wrong.
    pub(super) first_fault: Option<FaultLine>,
}

#[derive(Debug, Serialize)]
struct ArtifactLine {
    name: String,
    status: ArtifactStatus,
    length: u64,
    reason: Option<String>,
}

#[derive(Debug, Serialize)]
struct CheckLine {
    name: &'static str,
    what: &'static str,
    /// None where it could not be looked at, or where nothing is proved either way.
    ok: Option<bool>,
    faults: Vec<FaultLine>,
    /// The check that failed before, so that this one could not be looked at.
    waits_for: Option<&'static str>,
    /// Why nothing is proved either way.
    not_proved: Option<&'static str>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct FaultLine {
    pub(super) text: String,
    blame: &'static str,
    pub(super) means: &'static str,
}

impl Report {
    /// The report on a bundle that could be read. `receipt` is what is wrong with the receipt, none
    /// where none was given.
    pub(super) fn of(verdict: &Verdict, receipt: Option<Option<String>>) -> Self {
        let mut checks = vec![own_check(ARCHIVE, ARCHIVE_WORDS, Vec::new())];
        checks.extend(verdict.checks.iter().map(line));
        let receipt_fault = receipt.clone().flatten().map(|text| FaultLine {
            text,
            blame: "changed-after-signing",
            means: "it is not what the server received and logged: changed since, or another file",
        });
        checks.push(match receipt {
            Some(_) => {
                own_check("receipt", RECEIPT_WORDS, receipt_fault.clone().into_iter().collect())
            }
            None => CheckLine {
                ok: None,
                not_proved: Some("no --receipt was given"),
                ..own_check("receipt", RECEIPT_WORDS, Vec::new())
            },
        });
        let manifest = verdict.manifest.as_ref();
        Self {
            ok: verdict.holds() && receipt_fault.is_none(),
            bundle: manifest.map(|manifest| manifest.bundle.clone()),
            device: manifest.map(|manifest| manifest.device.clone()),
            collected_at: manifest.map(|manifest| manifest.collected_at),
            records: verdict.records.len(),
            artifacts: manifest.map(artifact_lines).unwrap_or_default(),
            checks,
            first_fault: verdict.first_fault().map(fault_line).or(receipt_fault),
        }
    }

    /// The report on a file that is not read as a bundle.
    pub(super) fn of_unread(err: &ReadError) -> Self {
        let (blame, means) = match err {
            ReadError::Age(OpenError::NotForUs { .. }) => {
                ("unproved", "it was made for other responders, or is not the file that was meant")
            }
            _ => (
                "changed-after-signing",
                "no device makes such a file: it was changed or damaged on the way",
            ),
        };
        let fault = FaultLine { text: chain(err), blame, means };
        let mut checks = vec![own_check(ARCHIVE, ARCHIVE_WORDS, vec![fault.clone()])];
        checks.extend(CheckName::ALL.into_iter().map(|name| {
            let (name, what) = (name.as_str(), name.in_words());
            let (faults, not_proved) = (Vec::new(), None);
            CheckLine { name, what, ok: None, faults, waits_for: Some(ARCHIVE), not_proved }
        }));
        Self {
            ok: false,
            bundle: None,
            device: None,
            collected_at: None,
            records: 0,
            artifacts: Vec::new(),
            checks,
            first_fault: Some(fault),
        }
    }

    /// The report for people.
    pub(super) fn in_words(&self) -> String {
        let mut text = String::new();
        for check in &self.checks {
            let (sign, rest) = match (check.ok, check.waits_for, check.not_proved) {
                (Some(true), _, _) => ("ok     ", String::new()),
                (Some(false), _, _) => ("WRONG  ", String::new()),
                (None, _, Some(why)) => ("-      ", format!(" (NOT PROVED: {why})")),
                (None, before, _) => {
                    let before = before.unwrap_or_default();
                    ("-      ", format!(" (not looked at: {before} failed)"))
                }
            };
            let _ = writeln!(text, "{sign}{:<14} {}{rest}", check.name, check.what);
            for fault in &check.faults {
                let _ = writeln!(text, "         {}", output::shown(&fault.text));
                let _ = writeln!(text, "         -> {}", fault.means);
            }
        }
        if let (Some(bundle), Some(device), Some(at)) =
            (&self.bundle, &self.device, self.collected_at)
        {
            let _ = writeln!(text, "\nbundle {bundle} of {device}, collected {at}");
            let _ = writeln!(text, "{} records in the forensic log", self.records);
            let rows = self.artifacts.iter().map(|artifact| {
                let reason = artifact.reason.clone().unwrap_or_default();
                let length = output::bytes(artifact.length);
                vec![artifact.name.clone(), output::word(&artifact.status), length, reason]
            });
            text.push_str(&output::table(&["artifact", "status", "size>", "reason"], rows));
            text.push('\n');
        }
        text.push_str(match self.ok {
            true => "\nThe bundle is what the device collected and signed.\n",
            false => "\nThe bundle is NOT to be relied on.\n",
        });
        text
    }
}

fn line(check: &Check) -> CheckLine {
    let (mut ok, mut faults, mut waits_for, mut not_proved) = (None, Vec::new(), None, None);
    match &check.outcome {
        Outcome::Holds => ok = Some(true),
        Outcome::Fails(found) => {
            ok = Some(false);
            faults = found.iter().map(fault_line).collect();
        }
        Outcome::NotChecked(before) => waits_for = Some(before.as_str()),
        Outcome::NotProved(why) => not_proved = Some(*why),
    }
    let (name, what) = (check.name.as_str(), check.name.in_words());
    CheckLine { name, what, ok, faults, waits_for, not_proved }
}

fn own_check(name: &'static str, what: &'static str, faults: Vec<FaultLine>) -> CheckLine {
    let ok = Some(faults.is_empty());
    CheckLine { name, what, ok, faults, waits_for: None, not_proved: None }
}

fn artifact_lines(manifest: &Manifest) -> Vec<ArtifactLine> {
    let line = |artifact: &lazaret_protocol_evidence::manifest::Artifact| ArtifactLine {
        name: artifact.name.to_string(),
        status: artifact.status,
        length: artifact.length,
        reason: artifact.reason.clone(),
    };
    manifest.artifacts.iter().map(line).collect()
}

fn fault_line(fault: &Fault) -> FaultLine {
    let blame = fault.blame();
    FaultLine { text: chain(fault), blame: blame.as_str(), means: blame.in_words() }
}

/// An error with its causes.
fn chain(err: &dyn std::error::Error) -> String {
    let mut text = err.to_string();
    let mut cause = err.source();
    while let Some(err) = cause {
        let _ = write!(text, ": {err}");
        cause = err.source();
    }
    text
}
