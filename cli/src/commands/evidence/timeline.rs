//! `lazaret evidence timeline`: what the logs of several bundles record, in one order. Nothing is
//! shown of a bundle that does not hold.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use lazaret_protocol::id::DeviceId;
use lazaret_protocol::poll::LogRing;
use lazaret_protocol::time::Timestamp;
use lazaret_protocol_evidence::bundle::{Parts, verify};
use lazaret_protocol_evidence::device_log::record::Record;
use lazaret_protocol_evidence::log::{Clock, Detail, Kind};
use serde::Serialize;

use super::Opening;
use crate::client::certificates;
use crate::commands::Session;
use crate::evidence::{certificate, opened};
use crate::output;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each bundle is checked first. Records stand in the order of their times; where a device's clock was
not to be relied on, its restarts and its own counting decide within its log.

Example:
  lazaret evidence timeline a.tar.zst.age b.tar.zst.age --device-ca device-ca.pem \\
    --identity responder.age
  lazaret --json evidence timeline a.tar.zst.age --device-ca device-ca.pem --identity r.age \\
    | jq -c '.records[]'")]
pub(crate) struct Args {
    /// The bundles
    #[arg(value_name = "FILE", required = true)]
    bundles: Vec<PathBuf>,
    #[command(flatten)]
    opening: Opening,
}

/// One record of one device.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    device: DeviceId,
    log: LogRing,
    seq: u64,
    at: Option<Timestamp>,
    clock: Clock,
    boot: u64,
    monotonic_ms: u64,
    kind: Kind,
    detail: Detail,
}

#[derive(Debug, Serialize)]
struct Timeline {
    records: Vec<Line>,
}

pub(super) fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let mut records = Vec::new();
    for bundle in &args.bundles {
        records.extend(verified(bundle, &args.opening)?.1);
    }
    records.sort_by_key(|line| (line.at, line.boot, line.monotonic_ms, line.seq));
    let timeline = Timeline { records };
    session.output.show(&timeline, |timeline| {
        let devices = args.bundles.len();
        let count = timeline.records.len();
        format!("{}\n{count} records of {devices} bundles, each checked", table(&timeline.records))
    })
}

/// The records of a bundle that holds, and whose they are.
pub(super) fn verified(path: &Path, opening: &Opening) -> anyhow::Result<(DeviceId, Vec<Line>)> {
    let device_cas = certificates(&opening.device_ca)?;
    let witnesses = opening.server_keys()?;
    let bundle = opened::read(path, &opened::keys(&opening.identity)?)??;
    let signer = certificate::signer(bundle.device(), &device_cas)?;
    let device = signer.device.clone();
    let (content, files) = (&bundle.content, &bundle.files);
    let verdict = verify(&Parts { content, files, signer: Ok(signer), witnesses: &witnesses });
    if let Some(fault) = verdict.first_fault() {
        return Err(fault.clone()).with_context(|| {
            format!("{} does not hold; see `lazaret evidence verify`", path.display())
        });
    }
    Ok((device.clone(), lines(&device, verdict.records)))
}

/// Records as they are shown, in the order in which one device made them.
pub(super) fn lines(device: &DeviceId, records: Vec<(LogRing, Record)>) -> Vec<Line> {
    let line = |(log, record): (LogRing, Record)| {
        let Record { seq, boot, monotonic, at, clock, kind, detail } = record;
        let (device, monotonic_ms) = (device.clone(), monotonic);
        Line { device, log, seq, at, clock, boot, monotonic_ms, kind, detail }
    };
    let mut lines: Vec<Line> = records.into_iter().map(line).collect();
    lines.sort_by_key(|line| (line.boot, line.monotonic_ms, line.log, line.seq));
    lines
}

/// Records for people.
pub(super) fn table(lines: &[Line]) -> String {
    let rows = lines.iter().map(|line| {
        let details: Vec<String> =
            line.detail.iter().map(|(key, value)| format!("{key}={value}")).collect();
        vec![
            line.device.to_string(),
            output::word(&line.log),
            line.seq.to_string(),
            line.at.map_or_else(|| "-".to_owned(), |at| at.to_string()),
            output::word(&line.clock),
            line.boot.to_string(),
            line.kind.to_string(),
            details.join(" "),
        ]
    });
    let columns = ["device", "log", "number>", "when", "clock", "start>", "what", "details"];
    output::table(&columns, rows)
}
