//! `lazaret repo publish`: what a ceremony signed goes to the server, all of it together or
//! nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use lazaret_protocol::limits::METADATA_BYTES_MAX;
use lazaret_protocol::operator::{PublicationRequest, PublishReply};

use crate::commands::Session;
use crate::output;
use crate::words::Misuse;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The server checks all files as devices do, refuses a set that would leave any role without valid
signatures, signs its own roles again, reads the result with a second reader, and activates it in
one commit. With --dry-run it does all this and activates nothing.

Examples:
  lazaret repo publish --change signed --dry-run
  lazaret repo publish --change signed
  lazaret repo publish --metadata signed/1.emergency.json
  lazaret repo publish --metadata signed/2.targets.json --anchors anchors.json")]
pub(crate) struct Args {
    /// The folder that `lazaret-keys change assemble` made, with anchors.json where they change
    #[arg(long, value_name = "DIR", conflicts_with = "metadata")]
    change: Option<PathBuf>,
    /// A signed file, named as the repository names it; give it once for each
    #[arg(long, value_name = "FILE", required_unless_present = "change")]
    metadata: Vec<PathBuf>,
    /// The anchors that new targets sign, where they are new
    #[arg(long, value_name = "FILE", conflicts_with = "change")]
    anchors: Option<PathBuf>,
    /// Say what would happen, and change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let (files, anchors) = match &args.change {
        Some(folder) => in_folder(folder)?,
        None => (args.metadata.clone(), args.anchors.clone()),
    };
    let mut request = PublicationRequest { files: BTreeMap::new(), anchors: None };
    for path in &files {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !is_signed_by_people(name) {
            return Err(Misuse::MetadataName { got: path.display().to_string() }.into());
        }
        request.files.insert(name.to_owned(), read(path)?);
    }
    request.anchors = anchors.as_deref().map(read).transpose()?;
    let client = session.client()?;
    let spinner = session.output.spinner("the server checks the whole");
    let route = if args.dry_run { "/v1/repo/rehearsals" } else { "/v1/repo/transactions" };
    let body = serde_json::to_vec(&request)?;
    let reply: PublishReply = client.publish(route, &body)?;
    spinner.finish_and_clear();
    session.output.show(&reply, |reply| {
        let rows = reply.files.iter().map(|file| vec![file.clone()]);
        let (column, end) = match args.dry_run {
            true => ("would be activated, in this order", "would say so; nothing was changed"),
            false => ("activated, in this order", "says so"),
        };
        let table = output::table(&[column], rows);
        format!("{table}\ntimestamp version {} {end}", reply.tuf_timestamp_version)
    })
}

/// The files of a change, and its anchors where there are any.
fn in_folder(folder: &Path) -> anyhow::Result<(Vec<PathBuf>, Option<PathBuf>)> {
    let mut files = Vec::new();
    let mut anchors = None;
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        match path.file_name().and_then(|name| name.to_str()) {
            Some("anchors.json") => anchors = Some(path),
            Some(name) if name.ends_with(".json") => files.push(path),
            _ => {}
        }
    }
    files.sort();
    Ok((files, anchors))
}

/// `2.root.json` and its kin, in the one spelling that there is.
fn is_signed_by_people(name: &str) -> bool {
    let parts = name.strip_suffix(".json").and_then(|stem| stem.split_once('.'));
    let Some((version, role)) = parts else { return false };
    let number = version.parse::<u64>().ok().filter(|number| number.to_string() == version);
    let known = matches!(role, "root" | "targets" | "emergency")
        || role
            .strip_prefix("rel-")
            .is_some_and(|model| model.parse::<lazaret_protocol::id::ModelName>().is_ok());
    number.is_some_and(|number| number > 0) && known
}

fn read(path: &Path) -> anyhow::Result<String> {
    use std::io::Read as _;
    let read = || {
        let mut text = String::new();
        let limit = METADATA_BYTES_MAX.saturating_add(1);
        std::fs::File::open(path)?.take(limit).read_to_string(&mut text)?;
        std::io::Result::Ok(text)
    };
    let text = read().with_context(|| format!("cannot read {}", path.display()))?;
    anyhow::ensure!(
        text.len() as u64 <= METADATA_BYTES_MAX,
        "expected at most {METADATA_BYTES_MAX} bytes in {}",
        path.display()
    );
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_that_people_sign_are_handed_in() {
        for good in ["1.root.json", "2.rel-gw2.json", "10.targets.json", "1.emergency.json"] {
            assert!(is_signed_by_people(good), "{good:?} was refused");
        }
        for bad in ["root.json", "0.root.json", "01.root.json", "1.rel-.json", "1.snapshot.json"] {
            assert!(!is_signed_by_people(bad), "{bad:?} was accepted");
        }
    }
}
