//! `lazaret repo fetch`: all signed metadata goes into a folder, verified from your own root on.

use std::path::PathBuf;

use anyhow::Context as _;
use serde::Serialize;

use super::read;
use crate::client::pem_bytes;
use crate::commands::Session;
use crate::durable::{self, Existing};
use crate::output;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Fetches every root from your own one on, and the current version of every other role. A change of
keys (lazaret-keys change plan) and a release build on this folder. For a first root of version 1
the folder then holds the whole chain.

Example:
  lazaret repo fetch --root 1.root.json --out metadata")]
pub(crate) struct Args {
    /// Any root that you trust, such as the first
    #[arg(long, value_name = "N.root.json")]
    root: PathBuf,
    /// Folder for the files; made where it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Debug, Serialize)]
struct Fetched {
    folder: PathBuf,
    files: Vec<String>,
}

pub(super) fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let root = pem_bytes(&args.root)?;
    let repository = read::repository(&session.client()?, root)?;
    std::fs::create_dir_all(&args.out)
        .with_context(|| format!("cannot make {}", args.out.display()))?;
    let mut files = Vec::new();
    let mut keep = |name: String, bytes: &[u8]| {
        durable::write(&args.out.join(&name), bytes, Existing::Replace)?;
        files.push(name);
        anyhow::Ok(())
    };
    for (name, bytes) in &repository.roots {
        keep(name.clone(), bytes)?;
    }
    for (role, bytes) in &repository.roles {
        let Some(bytes) = bytes.as_deref().filter(|_| role != "root") else { continue };
        let version = read::version_of(bytes).with_context(|| format!("no version in {role}"))?;
        let name = match role.as_str() {
            "timestamp" => "timestamp.json".to_owned(),
            _ => format!("{version}.{role}.json"),
        };
        keep(name, bytes)?;
    }
    let fetched = Fetched { folder: args.out.clone(), files };
    session.output.show(&fetched, |fetched| {
        let rows = fetched.files.iter().map(|file| vec![file.clone()]);
        let folder = output::shown(&fetched.folder.display().to_string());
        format!("{}\nin {folder}, verified from your own root", output::table(&["file"], rows))
    })
}
