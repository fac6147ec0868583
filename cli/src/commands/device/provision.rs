//! `lazaret device provision`: a one-time claim for a machine that is to enrol.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use lazaret_protocol::id::{DeviceId, ModelName, SerialNumber};
use lazaret_protocol::operator::{ClaimReply, ClaimRequest};
use lazaret_protocol::time::{HOUR_MS, Timestamp};
use serde::Serialize;

use crate::commands::Session;
use crate::durable::{self, Existing};
use crate::output;
use crate::words::Reason;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The claim is shown once; the server keeps only its hash. It works once, for this serial number.

Example:
  lazaret device provision --serial sn-0041 --device d-41 --model gw2 --valid-hours 24 \\
      --reason \"replaces d-17\" --out d-41.claim")]
pub(crate) struct Args {
    /// The serial number printed on the machine
    #[arg(long, value_name = "SERIAL")]
    serial: SerialNumber,
    /// Who the machine will be
    #[arg(long, value_name = "ID")]
    device: DeviceId,
    /// Its hardware model
    #[arg(long, value_name = "MODEL")]
    model: ModelName,
    /// Hours until the claim lapses
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=8760))]
    valid_hours: u64,
    /// Why it is made
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
    /// Write the claim alone to this new file, readable by you alone, and do not show it
    ///
    /// lazaret-agent takes the file in as it is.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What is shown or written.
#[derive(Debug, Serialize)]
struct Provisioned {
    serial: SerialNumber,
    device: DeviceId,
    model: ModelName,
    #[serde(skip_serializing_if = "Option::is_none")]
    claim: Option<String>,
    expires: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
}

pub(super) fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let client = session.client()?;
    // Begun before the claim is made: a claim that cannot be written down is lost.
    let file = match &args.out {
        Some(path) => Some(durable::NewFile::begin(path, Existing::Keep)?),
        None => None,
    };
    let request = ClaimRequest {
        serial: args.serial,
        device: args.device,
        model: args.model,
        valid_ms: args.valid_hours.saturating_mul(HOUR_MS),
        reason: args.reason.into(),
    };
    let ClaimReply { claim, expires } = client.post("/v1/claims", &request)?;
    let ClaimRequest { serial, device, model, .. } = request;
    let mut made = Provisioned { serial, device, model, claim: Some(claim), expires, file: None };
    if let (Some(mut file), Some(path)) = (file, args.out) {
        // The claim alone, as `lazaret-agent` takes it in.
        writeln!(file, "{}", made.claim.take().unwrap_or_default())
            .with_context(|| format!("cannot write {}", path.display()))?;
        file.finish(&path, Existing::Keep)?;
        made.file = Some(path);
    }
    session.output.show(&made, |made| {
        let claim = match (&made.claim, &made.file) {
            (Some(claim), _) => claim.clone(),
            (None, file) => format!("in {}", file.as_deref().unwrap_or("".as_ref()).display()),
        };
        output::facts(&[
            ("serial", made.serial.to_string()),
            ("device", made.device.to_string()),
            ("model", made.model.to_string()),
            ("claim", claim),
            ("expires", made.expires.to_string()),
        ])
    })
}
