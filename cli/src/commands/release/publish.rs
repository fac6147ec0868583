//! `lazaret release publish`: signed metadata goes to the server, which checks and activates it.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use lazaret_protocol::id::ModelName;
use lazaret_protocol::limits::METADATA_BYTES_MAX;
use lazaret_protocol::operator::PublishReply;

use crate::commands::Session;
use crate::output;
use crate::words::Misuse;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The server checks the file as devices do, reads it back with a second reader, and activates it in
one commit. It waits for the deltas of the releases that the file names.

Example:
  lazaret release publish --metadata 2.rel-gw2.json")]
pub(crate) struct Args {
    /// The signed file, named as the repository names it: N.rel-MODEL.json, N.targets.json,
    /// N.root.json
    #[arg(long, value_name = "FILE")]
    metadata: PathBuf,
}

pub(super) fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let name = repository_name(&args.metadata)?;
    let bytes = read(&args.metadata)?;
    let client = session.client()?;
    let spinner = session.output.spinner("the server checks and activates");
    let reply: PublishReply = client.publish(&format!("/v1/repo/metadata/{name}"), &bytes)?;
    spinner.finish_and_clear();
    session.output.show(&reply, |reply| {
        let rows = reply.files.iter().map(|file| vec![file.clone()]);
        let table = output::table(&["activated, in this order"], rows);
        format!("{table}\ntimestamp version {} says so", reply.tuf_timestamp_version)
    })
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = METADATA_BYTES_MAX.saturating_add(1);
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    file.take(limit)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read {}", path.display()))?;
    anyhow::ensure!(
        bytes.len() as u64 <= METADATA_BYTES_MAX,
        "expected metadata of at most {METADATA_BYTES_MAX} bytes"
    );
    Ok(bytes)
}

/// The file's own name, where it is one that ceremonies make.
fn repository_name(path: &Path) -> Result<String, Misuse> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let well_formed = || {
        let (version, rest) = name.split_once('.')?;
        let role = rest.strip_suffix(".json")?;
        let number = version.parse::<u64>().ok().filter(|number| number.to_string() == version)?;
        let release = role.strip_prefix("rel-").map(|model| model.parse::<ModelName>().is_ok());
        let known = matches!(role, "root" | "targets") || release == Some(true);
        (number > 0 && known).then(|| name.to_owned())
    };
    well_formed().ok_or_else(|| Misuse::MetadataName { got: path.display().to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_that_ceremonies_make_are_handed_in() {
        for good in ["1.root.json", "a/b/2.rel-gw2.json", "10.targets.json"] {
            assert!(repository_name(Path::new(good)).is_ok(), "{good:?} was refused");
        }
        let bad = ["root.json", "0.root.json", "01.root.json", "1.rel-.json", "1.rel-A.json"];
        for bad in bad.into_iter().chain(["1.snapshot.json", "1.root.json.sig", "..", ""]) {
            assert!(repository_name(Path::new(bad)).is_err(), "{bad:?} was accepted");
        }
    }
}
