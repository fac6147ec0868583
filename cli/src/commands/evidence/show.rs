//! `lazaret evidence show`: the timeline of a bundle's forensic log.

use std::path::PathBuf;

use anyhow::Context as _;
use lazaret_protocol::id::DeviceId;
use lazaret_protocol_evidence::bundle::{Parts, verify};
use lazaret_protocol_evidence::log::{Record, verify_log};
use serde::Serialize;

use super::open;
use crate::client::certificates;
use crate::commands::Session;
use crate::evidence::archive::{self, Bundle};
use crate::evidence::certificate;
use crate::output;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
With --device-ca the bundle is checked first and nothing is shown of one that does not hold. Without
it, only the log's own chain is checked, which anyone could have made.

Example:
  lazaret evidence show b-41.tar --device-ca device-ca.pem")]
pub(crate) struct Args {
    /// The bundle
    #[arg(value_name = "FILE")]
    bundle: PathBuf,
    /// Certificates of the device CA, PEM
    #[arg(long, value_name = "FILE")]
    device_ca: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Timeline {
    device: DeviceId,
    /// Whether the bundle was checked against the device CA.
    verified: bool,
    records: Vec<Record>,
}

pub(super) fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let bundle = archive::read(open(&args.bundle)?)?;
    let timeline = match &args.device_ca {
        Some(path) => verified(&bundle, &certificates(path)?)?,
        None => unverified(&bundle)?,
    };
    session.output.show(&timeline, in_words)
}

fn verified(
    bundle: &Bundle,
    device_cas: &[rustls_pki_types::CertificateDer<'static>],
) -> anyhow::Result<Timeline> {
    let signer = certificate::signer(bundle.device.as_deref(), device_cas)?;
    let device = signer.device.clone();
    let (manifest, log) = (bundle.manifest.as_deref(), bundle.log.as_deref());
    let verdict = verify(&Parts { manifest, log, files: &bundle.files, signer: Ok(signer) });
    if let Some(fault) = verdict.first_fault() {
        return Err(fault.clone())
            .context("the bundle does not hold; see `lazaret evidence verify`");
    }
    Ok(Timeline { device, verified: true, records: verdict.records })
}

fn unverified(bundle: &Bundle) -> anyhow::Result<Timeline> {
    let device = certificate::claimed_signer(bundle.device.as_deref())?.device;
    let log = bundle.log.as_deref().context("the bundle has no forensic log")?;
    let records = verify_log(&device, log)?.records;
    Ok(Timeline { device, verified: false, records })
}

fn in_words(timeline: &Timeline) -> String {
    let rows = timeline.records.iter().map(|record| {
        let details: Vec<String> =
            record.detail.iter().map(|(key, value)| format!("{key}={value}")).collect();
        vec![
            record.seq.to_string(),
            record.at.to_string(),
            output::word(&record.clock),
            record.boot.to_string(),
            record.kind.to_string(),
            details.join(" "),
        ]
    });
    let columns = ["number>", "when", "clock", "start>", "what", "details"];
    let table = output::table(&columns, rows);
    let device = &timeline.device;
    let proof = match timeline.verified {
        true => format!("the word of {device}: every check of the bundle holds"),
        false => format!("NOT VERIFIED to be the word of {device}: give --device-ca"),
    };
    format!("{table}\n{} records, {proof}", timeline.records.len())
}
