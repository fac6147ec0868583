//! `lazaret-tuf-client`: the client of `protocol/tuf` as a program that the TUF conformance suite
//! can drive. It trusts what is in its folder as the specification's client does; floors, journal
//! and forensic log are the agent's and not here.

mod client;
mod fetch;
mod folder;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

use crate::client::Client;
use crate::fetch::Repository;
use crate::folder::Folder;

/// Refresh TUF metadata and download targets, as the TUF conformance suite asks.
///
/// Exit code 0 when all was done and is trusted, 1 when not: the reason is on standard error.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:\n  \
    lazaret-tuf-client --metadata-dir D init root.json\n  \
    lazaret-tuf-client --metadata-dir D --metadata-url http://127.0.0.1:8080/metadata/ refresh\n  \
    lazaret-tuf-client --metadata-dir D --metadata-url http://127.0.0.1:8080/metadata/ \\\n      \
    --target-name a/b --target-base-url http://127.0.0.1:8080/targets/ --target-dir T download"
)]
struct Options {
    /// Folder of the trusted metadata: root.json, timestamp.json, and one file for each other role.
    #[arg(long, global = true, value_name = "FOLDER")]
    metadata_dir: Option<PathBuf>,
    /// Base of the repository's metadata.
    #[arg(long, global = true, value_name = "URL")]
    metadata_url: Option<String>,
    /// A target to download, by its name in the metadata. May be given several times.
    #[arg(long, global = true, value_name = "NAME")]
    target_name: Vec<String>,
    /// Base of the repository's targets.
    #[arg(long, global = true, value_name = "URL")]
    target_base_url: Option<String>,
    /// Folder to download to: each target under its percent-encoded name.
    #[arg(long, global = true, value_name = "FOLDER")]
    target_dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Trust a root from now on.
    Init {
        /// The root metadata file, which must be whole and signed by itself.
        root: PathBuf,
    },
    /// Bring the top-level metadata up to date.
    Refresh,
    /// Refresh, and download the named targets in order. What is in the folder already and is the
    /// target is not fetched again. Stops at the first target that fails.
    Download,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("error: {err:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> anyhow::Result<()> {
    let folder = options.metadata_dir.as_deref().context("expected --metadata-dir")?;
    let client = Client::new(Folder::new(folder))?;
    match &options.command {
        Command::Init { root } => client.init(root),
        Command::Refresh => client.refresh(&repository(options)?).map(drop),
        Command::Download => {
            anyhow::ensure!(!options.target_name.is_empty(), "expected --target-name");
            let base = options.target_base_url.as_deref().context("expected --target-base-url")?;
            let into = options.target_dir.as_deref().context("expected --target-dir")?;
            let repository = repository(options)?;
            let mut trusted = client.refresh(&repository)?;
            let targets = Repository::new(base);
            options.target_name.iter().try_for_each(|name| {
                let target = client.find(&mut trusted, &repository, name)?;
                client.download(&target, &targets, into)
            })
        }
    }
}

fn repository(options: &Options) -> anyhow::Result<Repository> {
    let url = options.metadata_url.as_deref().context("expected --metadata-url")?;
    Ok(Repository::new(url))
}
