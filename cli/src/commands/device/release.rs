//! `lazaret device release-request`, `release-sign`, `release-status`, `release-receipt` and
//! `verify-release`: out of quarantine, on proof.

use std::path::PathBuf;

use anyhow::Context as _;
use lazaret_protocol::anchors::{ANCHORS_BYTES_MAX, Anchors};
use lazaret_protocol::id::{ActId, DeviceId};
use lazaret_protocol::operator::{LeaveRequestBody, LeaveSignRequest, LeaveView};
use lazaret_protocol::release::NAMESPACE_RELEASE;
use lazaret_protocol::signed::Envelope;
use lazaret_protocol_evidence::release::{check_receipt, read_statement};
use serde::Serialize;

use crate::commands::{Session, signing};
use crate::output;
use crate::words::{Misuse, Reason};

/// Largest receipt that is read, in bytes.
const RECEIPT_BYTES_MAX: u64 = 256 * 1024;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Writes one statement over the devices and the nonces that they made when they were shut in. It lets
nobody out by itself: as many different approvers as trust/anchors asks for sign it with `lazaret
device release-sign`. Then each device checks the signatures, its own nonce, and that what it runs
is what offline keys signed; it lets itself out, and its signed answer is kept as a receipt.

A device that cannot prove this is provisioned anew: lazaret device provision, with a new claim.

Examples:
  lazaret device release-request d-41 --reason \"runs 2.1, evidence is safe\"
  lazaret device release-request --filter 'quarantine==true;version==2.1' --reason \"patched\"")]
pub(crate) struct RequestArgs {
    /// Which devices
    #[arg(value_name = "ID", conflicts_with = "filter")]
    devices: Vec<DeviceId>,
    /// Those that match
    #[arg(long, value_name = "FILTER")]
    filter: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Signs the statement as you see it. ssh-keygen does the signing, so keys in files, in ssh-agent (give
the public key) and in FIDO2 tokens will do. The key must stand under your name in trust/anchors.
One touch lets out every device of the statement.

Without --ssh-key and --signature it shows the command that signs elsewhere.

Examples:
  lazaret device release-sign x-1795-ab12cd --ssh-key ~/.ssh/id_ed25519
  lazaret device release-sign x-1795-ab12cd --signature statement.sig")]
pub(crate) struct SignArgs {
    /// Which release from quarantine
    #[arg(value_name = "RELEASE")]
    release: ActId,
    /// Your SSH key; a public key where the private one is in ssh-agent
    #[arg(long, value_name = "FILE", conflicts_with = "signature")]
    ssh_key: Option<PathBuf>,
    /// A signature that was made elsewhere
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  lazaret device release-status x-1795-ab12cd")]
pub(crate) struct StatusArgs {
    /// Which release from quarantine
    #[arg(value_name = "RELEASE")]
    release: ActId,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  lazaret device release-receipt d-41 --out d-41.release.json")]
pub(crate) struct ReceiptArgs {
    /// Which device
    #[arg(value_name = "ID")]
    device: DeviceId,
    /// Where the receipt goes
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Needs no server and no network. Checks that the server's order key signed the receipt, that enough
different approvers of the anchors signed the statement, that the device is in it under its own
nonce, and that the device's key signed the answer. The anchors must come from whom you trust, not
from whom the receipt came. Exit code 0 only where all of it holds.

Example:
  lazaret device verify-release d-41.release.json --anchors anchors.json")]
pub(crate) struct VerifyArgs {
    /// The receipt
    #[arg(value_name = "FILE")]
    receipt: PathBuf,
    /// trust/anchors, from whom you trust
    #[arg(long, value_name = "FILE")]
    anchors: PathBuf,
}

pub(super) fn request(args: RequestArgs, session: &Session) -> anyhow::Result<()> {
    if args.devices.is_empty() && args.filter.is_none() {
        return Err(Misuse::NobodyNamed.into());
    }
    let body =
        LeaveRequestBody { reason: args.reason.into(), devices: args.devices, filter: args.filter };
    let view: LeaveView = session.client()?.post("/v1/quarantine-releases", &body)?;
    session.output.show(&view, in_words)
}

pub(super) fn sign(args: &SignArgs, session: &Session) -> anyhow::Result<()> {
    let client = session.client()?;
    let path = format!("/v1/quarantine-releases/{}", args.release);
    let view: LeaveView = client.get(&path)?;
    let text = view.statement.as_str();
    let statement = read_statement(text.as_bytes()).context("the server sent no statement")?;
    anyhow::ensure!(
        statement.id == args.release.as_str() && statement.devices == view.devices,
        "the statement is not the one of {}",
        args.release
    );
    let signature = match (&args.ssh_key, &args.signature) {
        (Some(key), _) => signing::sign(key, NAMESPACE_RELEASE, text)?,
        (None, Some(file)) => signing::read(file)?,
        (None, None) => {
            let command = format!(
                "printf %s '{}' | ssh-keygen -Y sign -n {NAMESPACE_RELEASE} -f ~/.ssh/id_ed25519 \
                 > statement.sig",
                text.replace('\'', "'\\''")
            );
            session.output.show(&view, in_words)?;
            return Err(Misuse::NoKeyToRelease { command }.into());
        }
    };
    signing::check(&signature, NAMESPACE_RELEASE, text)?;
    let view: LeaveView = client.post(&format!("{path}/sign"), &LeaveSignRequest { signature })?;
    session.output.show(&view, in_words)
}

pub(super) fn status(args: &StatusArgs, session: &Session) -> anyhow::Result<()> {
    let path = format!("/v1/quarantine-releases/{}", args.release);
    let view: LeaveView = session.client()?.get(&path)?;
    session.output.show(&view, in_words)
}

pub(super) fn receipt(args: &ReceiptArgs, session: &Session) -> anyhow::Result<()> {
    let path = format!("/v1/devices/{}/release-receipt", args.device);
    let receipt: Envelope = session.client()?.get(&path)?;
    crate::durable::write(
        &args.out,
        &serde_json::to_vec(&receipt)?,
        crate::durable::Existing::Replace,
    )?;
    session.output.show(&receipt, |_| format!("the receipt is in {}", args.out.display()))
}

/// What a receipt that holds says.
#[derive(Debug, Serialize)]
struct Checked {
    ok: bool,
    device: DeviceId,
    release: String,
    reason: String,
    author: String,
    signers: Vec<String>,
    runs: String,
    sha256: String,
    at: String,
}

pub(super) fn verify(args: &VerifyArgs, session: &Session) -> anyhow::Result<()> {
    let max = u64::try_from(ANCHORS_BYTES_MAX).unwrap_or(u64::MAX);
    let anchors = Anchors::parse(&signing::bytes(&args.anchors, max)?)
        .with_context(|| format!("{} cannot be used", args.anchors.display()))?;
    let envelope: Envelope =
        serde_json::from_slice(&signing::bytes(&args.receipt, RECEIPT_BYTES_MAX)?)
            .with_context(|| format!("{} is no receipt", args.receipt.display()))?;
    let checked = check_receipt(&envelope, &anchors)
        .with_context(|| format!("{} proves no release", args.receipt.display()))?;
    let (statement, report) = (checked.proved.statement(), &checked.report);
    let running = report.running.as_ref();
    let said = Checked {
        ok: true,
        device: checked.receipt.device.clone(),
        release: statement.id.clone(),
        reason: statement.reason.clone(),
        author: statement.author.to_string(),
        signers: checked.proved.signers().iter().map(ToString::to_string).collect(),
        runs: running.map(|it| it.version.to_string()).unwrap_or_default(),
        sha256: running.map(|it| it.sha256.to_string()).unwrap_or_default(),
        at: report.at.to_string(),
    };
    session.output.show(&said, |said| {
        output::facts(&[
            ("device", said.device.to_string()),
            ("released", format!("by {}, at {}", said.release, said.at)),
            ("reason", output::shown(&said.reason)),
            ("asked by", said.author.clone()),
            ("signed by", said.signers.join(", ")),
            ("runs", format!("{} ({})", said.runs, said.sha256)),
        ])
    })
}

fn in_words(view: &LeaveView) -> String {
    let counts: Vec<String> =
        view.counts.iter().map(|(state, count)| format!("{count} {state}")).collect();
    let signed: Vec<String> = view.signed_by.iter().map(ToString::to_string).collect();
    let need = match view.threshold {
        Some(threshold) => format!("{} of {threshold}", signed.len()),
        None => format!("{}; the anchors name no approvers", signed.len()),
    };
    let rows = view.members.iter().map(|member| {
        let why = member.why.as_deref().unwrap_or("-");
        vec![member.device.to_string(), member.state.clone(), output::shown(why)]
    });
    let head = output::facts(&[
        ("release", view.id.clone()),
        ("asked by", view.author.to_string()),
        ("reason", output::shown(&view.reason)),
        ("expires", view.expires.to_string()),
        ("signatures", format!("{need}: {}", signed.join(", "))),
        ("devices", format!("{}: {}", view.devices, counts.join(", "))),
    ]);
    format!("{head}\n{}", output::table(&["device", "stands", "why"], rows))
}
