//! `lazaret evidence verify`: is this bundle what a device of ours collected? No server is asked.

use std::path::PathBuf;

use lazaret_protocol_evidence::bundle::{Parts, verify};

use super::open;
use super::report::Report;
use crate::client::certificates;
use crate::commands::Session;
use crate::evidence::archive::{self, ArchiveError};
use crate::evidence::certificate;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Needs no server and no network. Exit code 0 only where every check holds. The CA's certificate must
come from whom you trust, not from whom the bundle came.

Example:
  lazaret evidence verify b-41.tar --device-ca device-ca.pem")]
pub(crate) struct Args {
    /// The bundle
    #[arg(value_name = "FILE")]
    bundle: PathBuf,
    /// Certificates of the device CA, PEM
    #[arg(long, value_name = "FILE")]
    device_ca: PathBuf,
}

pub(super) fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let device_cas = certificates(&args.device_ca)?;
    let report = match archive::read(open(&args.bundle)?) {
        Ok(bundle) => {
            let signer = certificate::signer(bundle.device.as_deref(), &device_cas);
            Report::of(&verify(&Parts {
                manifest: bundle.manifest.as_deref(),
                log: bundle.log.as_deref(),
                files: &bundle.files,
                signer,
            }))
        }
        // A disk that fails says nothing about the bundle.
        Err(ArchiveError::Unreadable(err)) if err.raw_os_error().is_some() => {
            return Err(err.into());
        }
        Err(err) => Report::of_odd_archive(&err),
    };
    session.output.show(&report, Report::in_words)?;
    match report.first_fault {
        Some(fault) => anyhow::bail!("{} ({})", fault.text, fault.means),
        None if report.ok => Ok(()),
        None => anyhow::bail!("not every check could be made"),
    }
}
