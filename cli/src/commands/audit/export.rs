//! `lazaret audit export`: the whole audit log as files.

use std::path::PathBuf;

use super::super::Session;
use super::folder;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The folder has `checkpoint`, `tile/...` and `tile/entries/...` as c2sp.org/tlog-tiles lays them out,
`checkpoints.jsonl` with every checkpoint that was signed, and `entries.jsonl` with an entry a line.
Exporting again brings the folder up to date. Keep a copy of `checkpoint` elsewhere: `audit verify
--seen` then finds a log that was cut short.

Example:
  lazaret audit export --out audit-2026-11
  lazaret audit verify audit-2026-11 --anchors anchors.json")]
pub(crate) struct Args {
    /// The folder, new or from an earlier export
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(super) fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let fetched = folder::fetch(&session.client()?, &args.out)?;
    session.output.show(&fetched, |fetched| {
        let folder::Fetched { folder, origin, size, files } = fetched;
        format!("{size} entries of {origin} in {folder}, {files} files")
    })
}
