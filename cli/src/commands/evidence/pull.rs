//! `lazaret evidence pull`: a bundle is ordered, waited for, and fetched whole or not at all.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::{BundleId, DeviceId};
use lazaret_protocol::limits::BUNDLE_BYTES_MAX;
use lazaret_protocol::operator::{
    BundleState, BundleView, CollectionReply, CollectionRequest, CustodyEntry,
};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::collect::WantedArgs;
use crate::client::Client;
use crate::commands::Session;
use crate::durable::{self, Existing, NewFile};
use crate::output::{self, Output};
use crate::words::Reason;

/// How often the server is asked whether the bundle is there.
const WAIT_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The device collects at its next poll; the order stays with the server when this command gives up
waiting, and --bundle fetches what has come meanwhile. A file that exists is never written over.

What comes is encrypted to the responders. Beside it, in OUT.receipt.json, stand the server's
receipt and the custody log, for `evidence verify --receipt`.

Example:
  lazaret evidence pull d-41 --reason \"case 2026-17\" --profile full --out d-41.tar.zst.age
  lazaret evidence pull d-41 --bundle d-41-1790000000000 --out d-41.tar.zst.age")]
pub(crate) struct Args {
    /// Which device
    #[arg(value_name = "ID")]
    device: DeviceId,
    /// Why
    #[arg(long, value_name = "TEXT", required_unless_present = "bundle")]
    reason: Option<Reason>,
    /// The new file for the bundle
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Seconds to wait for the device
    #[arg(long, value_name = "N", default_value_t = 600)]
    timeout_seconds: u64,
    /// Fetch this bundle, ordered before, and order nothing
    #[arg(long, value_name = "BUNDLE")]
    #[arg(conflicts_with_all = ["reason", "profile", "since", "until"])]
    bundle: Option<BundleId>,
    #[command(flatten)]
    wanted: WantedArgs,
}

#[derive(Debug, Serialize)]
struct Pulled {
    bundle: BundleId,
    device: DeviceId,
    file: PathBuf,
    receipt: PathBuf,
    sha256: Sha256Digest,
    length: u64,
    custody: Vec<CustodyEntry>,
}

pub(super) fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let client = session.client()?;
    // Begun before anything is ordered: a device does not collect for a full disk.
    let file = NewFile::begin(&args.out, Existing::Keep)?;
    if beside(&args.out).symlink_metadata().is_ok() {
        return Err(crate::words::Misuse::Exists { path: beside(&args.out) }.into());
    }
    let bundle = match (args.bundle, args.reason) {
        (Some(bundle), _) => bundle,
        (None, Some(reason)) => order(&client, &args.device, reason, args.wanted)?,
        (None, None) => anyhow::bail!("expected --reason or --bundle"),
    };
    session.output.remark(&format!("waiting for bundle {bundle} of {}", args.device));
    let patience = Duration::from_secs(args.timeout_seconds);
    let view = wait(&client, &bundle, patience, session.output)?;
    let (named, wanted) = (&view.device, &args.device);
    anyhow::ensure!(named == wanted, "bundle {bundle} is of {named}, not of {wanted}");
    let sha256 = fetch(&client, &view, file, &args.out, session.output)?;
    // Asked again, because fetching is itself an act of custody.
    let view: BundleView = client.get(&route(&bundle))?;
    let receipt = beside(&args.out);
    let mut text = serde_json::to_vec_pretty(&view)?;
    text.push(b'\n');
    durable::write(&receipt, &text, Existing::Keep)?;
    let BundleView { device, length, custody, .. } = view;
    let pulled = Pulled { bundle, device, file: args.out, receipt, sha256, length, custody };
    session.output.show(&pulled, in_words)
}

/// Where the receipt goes.
fn beside(out: &std::path::Path) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(".receipt.json");
    out.with_file_name(name)
}

fn order(
    client: &Client,
    device: &DeviceId,
    reason: Reason,
    wanted: WantedArgs,
) -> anyhow::Result<BundleId> {
    let body = CollectionRequest { reason: reason.into(), wanted: wanted.into() };
    let reply: CollectionReply = client.post(&format!("/v1/devices/{device}/evidence"), &body)?;
    Ok(reply.bundle)
}

fn route(bundle: &BundleId) -> String {
    format!("/v1/bundles/{bundle}")
}

fn wait(
    client: &Client,
    bundle: &BundleId,
    patience: Duration,
    output: Output,
) -> anyhow::Result<BundleView> {
    let begun = Instant::now();
    let spinner = output.spinner("the device collects at its next poll");
    loop {
        match client.get::<BundleView>(&route(bundle)) {
            Ok(view) if view.state == BundleState::Received => return Ok(view),
            Ok(view) if view.state == BundleState::Deleted => {
                anyhow::bail!("bundle {bundle} was deleted; see `lazaret evidence list`")
            }
            Ok(view) if view.state == BundleState::Failed => {
                anyhow::bail!("the device could not collect bundle {bundle}; see `lazaret events`")
            }
            Ok(_) => {}
            Err(err) if err.may_pass() => {}
            Err(err) => return Err(err.into()),
        }
        anyhow::ensure!(
            begun.elapsed() < patience,
            "bundle {bundle} has not come within {} s; it stays ordered: --bundle {bundle}",
            patience.as_secs()
        );
        spinner.tick();
        std::thread::sleep(WAIT_INTERVAL.min(patience));
    }
}

fn fetch(
    client: &Client,
    view: &BundleView,
    mut file: NewFile,
    path: &std::path::Path,
    output: Output,
) -> anyhow::Result<Sha256Digest> {
    let expected = view.sha256.context("the server has the bundle but not its digest")?;
    let content = format!("{}/content", route(&view.id));
    let limit = BUNDLE_BYTES_MAX.saturating_add(1);
    let mut reader = client.open(&content, limit)?.take(view.length.saturating_add(1));
    let bar = output.bytes_bar("fetching", view.length);
    let mut hash = Sha256::new();
    let mut length = 0u64;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = reader.read(&mut buffer).context("the bundle did not come whole")?;
        let Some(read @ [_, ..]) = buffer.get(..count) else { break };
        hash.update(read);
        file.write_all(read).with_context(|| format!("cannot write {}", path.display()))?;
        length = length.saturating_add(read.len() as u64);
        bar.set_position(length);
    }
    bar.finish_and_clear();
    anyhow::ensure!(
        length == view.length,
        "expected a bundle of {} bytes, got {}",
        view.length,
        if length > view.length { "more".to_owned() } else { length.to_string() }
    );
    let got = Sha256Digest::from_bytes(hash.finalize().into());
    anyhow::ensure!(got == expected, "expected a bundle with the digest {expected}, got {got}");
    file.finish(path, Existing::Keep)?;
    Ok(got)
}

fn in_words(pulled: &Pulled) -> String {
    let mut text = output::facts(&[
        ("bundle", pulled.bundle.to_string()),
        ("device", pulled.device.to_string()),
        ("file", pulled.file.display().to_string()),
        ("receipt", pulled.receipt.display().to_string()),
        ("sha256", pulled.sha256.to_string()),
        ("length", format!("{} ({} bytes)", output::bytes(pulled.length), pulled.length)),
    ]);
    let rows = pulled.custody.iter().map(|entry| {
        let reason = entry.reason.clone().unwrap_or_default();
        vec![entry.at.to_string(), entry.act.clone(), entry.who.clone(), reason]
    });
    text.push_str(&output::table(&["when", "custody", "who", "why"], rows));
    let file = output::shown(&pulled.file.display().to_string());
    text.push_str(&format!(
        "\ncheck it: lazaret evidence verify {file} --device-ca CA.pem --identity KEY"
    ));
    text
}
