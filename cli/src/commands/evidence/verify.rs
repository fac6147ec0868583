//! `lazaret evidence verify`: is this bundle what a device of ours collected? No server is asked.

use std::path::PathBuf;

use lazaret_protocol_evidence::bundle::{Parts, verify};

use super::Opening;
use super::receipt;
use super::report::Report;
use crate::client::certificates;
use crate::commands::Session;
use crate::evidence::opened::{self, ReadError};
use crate::evidence::{archive::ArchiveError, certificate};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Needs no server and no network. Exit code 0 only where nothing is wrong; what could not be proved
either way, for want of a key or of a file, is said. The CA's certificate and the anchors must come
from whom you trust, not from whom the bundle came. The bundle may be as it was pulled
(.tar.zst.age, with --identity), or opened by `age -d` and `zstd -d` before.

Example:
  lazaret evidence verify b-41.tar.zst.age --device-ca device-ca.pem --identity responder.age
  lazaret evidence verify b-41.tar --device-ca device-ca.pem --anchors anchors.json
  lazaret evidence verify b-41.tar.zst.age --device-ca device-ca.pem --identity responder.age \\
    --anchors anchors.json --receipt b-41.tar.zst.age.receipt.json")]
pub(crate) struct Args {
    /// The bundle
    #[arg(value_name = "FILE")]
    bundle: PathBuf,
    #[command(flatten)]
    opening: Opening,
    /// The receipt and custody log that `pull` put beside the bundle
    #[arg(long, value_name = "FILE", requires = "anchors")]
    receipt: Option<PathBuf>,
}

pub(super) fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let device_cas = certificates(&args.opening.device_ca)?;
    let witnesses = args.opening.server_keys()?;
    let identities = opened::keys(&args.opening.identity)?;
    let receipt = match &args.receipt {
        Some(path) => Some(receipt::fault(&args.bundle, path, &witnesses)?),
        None => None,
    };
    let report = match opened::read(&args.bundle, &identities)? {
        Ok(bundle) => {
            let signer = certificate::signer(bundle.device(), &device_cas);
            let (content, files) = (&bundle.content, &bundle.files);
            let parts = Parts { content, files, signer, witnesses: &witnesses };
            Report::of(&verify(&parts), receipt)
        }
        // Neither a disk that fails nor a key that is not given says anything of the bundle.
        Err(err @ (ReadError::Unreadable(_) | ReadError::Encrypted)) => return Err(err.into()),
        Err(ReadError::Archive(ArchiveError::Unreadable(err))) if err.raw_os_error().is_some() => {
            return Err(err.into());
        }
        Err(err) => Report::of_unread(&err),
    };
    session.output.show(&report, Report::in_words)?;
    match report.first_fault {
        Some(fault) => anyhow::bail!("{} ({})", fault.text, fault.means),
        None if report.ok => Ok(()),
        None => anyhow::bail!("not every check could be made"),
    }
}
