//! `lazaret release fetch-metadata`: what release signers build on goes into a folder. Nothing is
//! believed here: `lazaret-keys` checks the signatures, against the root that the signers hold.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use lazaret_protocol::id::ModelName;
use lazaret_protocol::target::release_role;
use serde::Serialize;
use serde_json::Value;

use crate::client::Client;
use crate::commands::Session;
use crate::durable::{self, Existing};
use crate::output;

/// Roots that are walked. A root a month for 80 years.
const ROOTS_MAX: u64 = 1024;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Fetches every root from 1.root.json up, and the current timestamp, snapshot, targets and rel-MODEL.
Signatures are not checked here but by lazaret-keys.

Example:
  lazaret release fetch-metadata --model gw2 --out metadata")]
pub(crate) struct Args {
    /// The hardware model
    #[arg(long, value_name = "MODEL")]
    model: ModelName,
    /// Folder for the files; made where it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Debug, Serialize)]
struct Fetched {
    folder: PathBuf,
    files: Vec<FetchedFile>,
    /// None before the first release of the model.
    release_role: Option<String>,
}

#[derive(Debug, Serialize)]
struct FetchedFile {
    name: String,
    length: usize,
}

pub(super) fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let client = session.client()?;
    std::fs::create_dir_all(&args.out)
        .with_context(|| format!("cannot make {}", args.out.display()))?;
    let mut fetch = Fetch { client: &client, folder: &args.out, files: Vec::new() };
    fetch.roots()?;
    let timestamp = fetch.wanted("timestamp.json")?;
    let snapshot = version_of(&timestamp, "timestamp.json", "snapshot.json")?
        .context("timestamp.json names no snapshot.json")?;
    let snapshot_name = format!("{snapshot}.snapshot.json");
    let snapshot = fetch.wanted(&snapshot_name)?;
    let targets = version_of(&snapshot, &snapshot_name, "targets.json")?
        .with_context(|| format!("{snapshot_name} names no targets.json"))?;
    fetch.wanted(&format!("{targets}.targets.json"))?;
    let role = release_role(&args.model);
    let release = version_of(&snapshot, &snapshot_name, &format!("{role}.json"))?;
    let release_role = release.map(|version| format!("{version}.{role}.json"));
    if let Some(name) = &release_role {
        fetch.wanted(name)?;
    }
    let fetched = Fetched { files: fetch.files, folder: args.out.clone(), release_role };
    session.output.show(&fetched, |fetched| in_words(fetched, &role))
}

struct Fetch<'a> {
    client: &'a Client,
    folder: &'a Path,
    files: Vec<FetchedFile>,
}

impl Fetch<'_> {
    /// Every root, for whoever holds an old one must see each change signed.
    fn roots(&mut self) -> anyhow::Result<()> {
        for version in 1..=ROOTS_MAX {
            let name = format!("{version}.root.json");
            let Some(bytes) = self.client.metadata(&name)? else {
                anyhow::ensure!(version > 1, "the server has no {name}");
                return Ok(());
            };
            self.keep(name, &bytes)?;
        }
        anyhow::bail!("expected at most {ROOTS_MAX} roots")
    }

    fn wanted(&mut self, name: &str) -> anyhow::Result<Value> {
        let bytes = self.client.metadata(name)?;
        let bytes = bytes.with_context(|| format!("the server has no {name}"))?;
        let value = serde_json::from_slice(&bytes)
            .with_context(|| format!("{name} from the server is not JSON"))?;
        self.keep(name.to_owned(), &bytes)?;
        Ok(value)
    }

    fn keep(&mut self, name: String, bytes: &[u8]) -> anyhow::Result<()> {
        durable::write(&self.folder.join(&name), bytes, Existing::Replace)?;
        self.files.push(FetchedFile { name, length: bytes.len() });
        Ok(())
    }
}

/// The version that timestamp or snapshot metadata gives for `of` (TUF 4.4, 4.6), none where it
/// does not name it.
fn version_of(metadata: &Value, name: &str, of: &str) -> anyhow::Result<Option<u64>> {
    let meta = metadata.get("signed").and_then(|signed| signed.get("meta"));
    let meta = meta.and_then(Value::as_object).with_context(|| format!("{name} lists no files"))?;
    let Some(entry) = meta.get(of) else { return Ok(None) };
    let version = entry.get("version").and_then(Value::as_u64);
    version.map(Some).with_context(|| format!("{name} gives no version of {of}"))
}

fn in_words(fetched: &Fetched, role: &str) -> String {
    let rows = fetched.files.iter().map(|file| vec![file.name.clone(), file.length.to_string()]);
    let table = output::table(&["file", "bytes>"], rows);
    let folder = output::shown(&fetched.folder.display().to_string());
    let missing = match fetched.release_role {
        Some(_) => String::new(),
        None => format!("\nthere is no {role} yet: the first release of this model makes it"),
    };
    format!("{table}\nin {folder}; signatures are checked by lazaret-keys, not here{missing}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_their_absence_is_told_from_nonsense() {
        let said =
            serde_json::json!({"signed": {"meta": {"a.json": {"version": 7}, "b.json": {}}}});
        assert_eq!(version_of(&said, "x", "a.json").unwrap(), Some(7));
        assert_eq!(version_of(&said, "x", "c.json").unwrap(), None);
        assert!(version_of(&said, "x", "b.json").is_err());
        assert!(version_of(&serde_json::json!([]), "x", "a.json").is_err());
    }
}
