//! A verdict as people and programs read it. What is checked and decided is
//! `lazaret_protocol_evidence`'s; here stand only the words.

use std::fmt::Write as _;

use lazaret_protocol::id::{BundleId, DeviceId};
use lazaret_protocol::time::Timestamp;
use lazaret_protocol_evidence::manifest::{ArtifactStatus, Manifest};
use lazaret_protocol_evidence::verdict::{CheckName, Fault, Outcome, Verdict};
use serde::Serialize;

use crate::evidence::archive::ArchiveError;
use crate::output;

/// The check that stands before all others: nothing is read from an archive that is odd.
const ARCHIVE: &str = "archive";

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
    /// None where it could not be looked at.
    ok: Option<bool>,
    faults: Vec<FaultLine>,
    /// The check that failed before, so that this one could not be looked at.
    waits_for: Option<&'static str>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct FaultLine {
    pub(super) text: String,
    blame: &'static str,
    pub(super) means: &'static str,
}

impl Report {
    /// The report on an archive that could be read.
    pub(super) fn of(verdict: &Verdict) -> Self {
        let mut checks = vec![archive_check(Vec::new())];
        checks.extend(verdict.checks.iter().map(|check| {
            let (ok, faults, waits_for) = match &check.outcome {
                Outcome::Holds => (Some(true), Vec::new(), None),
                Outcome::Fails(faults) => {
                    (Some(false), faults.iter().map(fault_line).collect(), None)
                }
                Outcome::NotChecked(before) => (None, Vec::new(), Some(before.as_str())),
            };
            let name = check.name;
            CheckLine { name: name.as_str(), what: name.in_words(), ok, faults, waits_for }
        }));
        let manifest = verdict.manifest.as_ref();
        Self {
            ok: verdict.holds(),
            bundle: manifest.map(|manifest| manifest.bundle.clone()),
            device: manifest.map(|manifest| manifest.device.clone()),
            collected_at: manifest.map(|manifest| manifest.collected_at),
            records: verdict.records.len(),
            artifacts: manifest.map(artifact_lines).unwrap_or_default(),
            checks,
            first_fault: verdict.first_fault().map(fault_line),
        }
    }

    /// The report on an archive that is not read.
    pub(super) fn of_odd_archive(err: &ArchiveError) -> Self {
        let fault = FaultLine {
            text: chain(err),
            blame: "changed-after-signing",
            means: "no device makes such an archive: it was changed or damaged on the way",
        };
        let mut checks = vec![archive_check(vec![fault.clone()])];
        checks.extend(CheckName::ALL.into_iter().map(|name| {
            let (name, what) = (name.as_str(), name.in_words());
            CheckLine { name, what, ok: None, faults: Vec::new(), waits_for: Some(ARCHIVE) }
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
            let (sign, rest) = match (check.ok, check.waits_for) {
                (Some(true), _) => ("ok     ", String::new()),
                (Some(false), _) => ("WRONG  ", String::new()),
                (None, before) => {
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

fn archive_check(faults: Vec<FaultLine>) -> CheckLine {
    CheckLine {
        name: ARCHIVE,
        what: "the archive holds plainly named files and nothing beside them",
        ok: Some(faults.is_empty()),
        faults,
        waits_for: None,
    }
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
