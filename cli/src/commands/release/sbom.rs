//! `lazaret release sbom`.

use std::path::PathBuf;

use lazaret_protocol::id::{ModelName, VersionName};
use lazaret_protocol::operator::BillView;

use super::route;
use crate::commands::{Session, sweep};
use crate::output;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The bill says which components, in which versions, and which files are in the image; `sweep`
answers from it. Taken in are CycloneDX bills (ECMA-424) as JSON. The same release again replaces
it. Without a file, what is known is shown.

Examples:
  lazaret release sbom gw2 2.0 bom.json
  lazaret release sbom gw2 2.0")]
pub(crate) struct Args {
    /// The hardware model
    #[arg(value_name = "MODEL")]
    model: ModelName,
    /// The version
    #[arg(value_name = "VERSION")]
    version: VersionName,
    /// The bill, in `CycloneDX` as JSON
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

pub(super) fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let path = format!("{}/sbom", route(&args.model, &args.version));
    let bill: BillView = match &args.file {
        Some(file) => session.client()?.publish(&path, &sweep::json_file(file)?)?,
        None => session.client()?.get(&path)?,
    };
    session.output.show(&bill, |bill| {
        output::facts(&[
            ("release", format!("{} {}", bill.model, bill.version)),
            ("image", bill.image.to_string()),
            ("format", output::shown(&bill.format)),
            ("file", bill.file.to_string()),
            ("components", bill.components.to_string()),
            ("with version", bill.versioned.to_string()),
            ("with SHA-256", bill.hashed.to_string()),
            ("by", format!("{}, {}", bill.by, bill.at)),
        ])
    })
}
