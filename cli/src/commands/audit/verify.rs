//! `lazaret audit verify`: is the audit log what was signed? With a public key alone, and over an
//! export without any server.

use std::path::PathBuf;

use lazaret_protocol_evidence::audit::{Finding, Report};
use serde::Serialize;

use super::super::Session;
use super::{Trusted, folder};
use crate::output;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit code 0 only where nothing is wrong. An entry that was changed is named with its index, who and
what. Without DIR the log is fetched from the server first. The key must come from whom you trust:
the anchors of the ceremony, not the server.

Example:
  lazaret audit verify audit-2026-11 --anchors anchors.json
  lazaret audit verify --anchors anchors.json --seen checkpoint-of-last-month")]
pub(crate) struct Args {
    /// The folder of an export [default: fetch it from the server]
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
    #[command(flatten)]
    trusted: Trusted,
    /// A checkpoint from an earlier visit, which this log must go on from
    #[arg(long, value_name = "FILE")]
    seen: Option<PathBuf>,
}

/// The answer.
#[derive(Debug, Serialize)]
struct Answer {
    ok: bool,
    #[serde(flatten)]
    report: Report,
}

pub(super) fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let seen = args.seen.as_deref();
    let report = match &args.folder {
        Some(dir) => folder::verify(dir, &args.trusted, seen)?,
        None => {
            let dir = tempfile::tempdir()?;
            folder::fetch(&session.client()?, dir.path())?;
            folder::verify(dir.path(), &args.trusted, seen)?
        }
    };
    let answer = Answer { ok: report.findings.is_empty(), report };
    session.output.show(&answer, in_words)?;
    match answer.report.findings.as_slice() {
        [] => Ok(()),
        findings => anyhow::bail!("the audit log is not what was signed: {}", said(findings)),
    }
}

fn said(findings: &[Finding]) -> String {
    let first = findings.first().map(line).unwrap_or_default();
    match findings.len() {
        1 => first,
        count => format!("{first} (the first of {count} findings)"),
    }
}

fn in_words(answer: &Answer) -> String {
    let report = &answer.report;
    let mut text = output::facts(&[
        ("log", report.origin.clone()),
        ("entries", report.size.to_string()),
        ("checkpoints compared", report.checkpoints.to_string()),
    ]);
    if report.passed_over > 0 {
        text += &format!("{} checkpoints are by keys not trusted here\n", report.passed_over);
    }
    for finding in &report.findings {
        text += &output::shown(&line(finding));
        text.push('\n');
    }
    if answer.ok {
        text += "every entry is what was signed\n";
    }
    text
}

fn line(finding: &Finding) -> String {
    match finding {
        Finding::Edited { index, who, what, why } => {
            format!("entry {index} was changed; it says {who}, {what}: {why}")
        }
        Finding::WrongHash { index } => format!("the hash that is kept of entry {index} is wrong"),
        Finding::WrongTile { tile } => format!("{tile} is not what its entries make it"),
        Finding::Rewritten { from, to } => {
            format!("entries from {from} to {} were rewritten", to.saturating_sub(1))
        }
        Finding::Missing { from, to } => {
            format!("entries {from} to {} are missing", to.saturating_sub(1))
        }
        Finding::Unsigned { from } => format!("entries from {from} on are signed by nobody"),
        Finding::Checkpoint { why } => format!("an earlier checkpoint is not believed: {why}"),
        other => format!("{other:?}"),
    }
}
