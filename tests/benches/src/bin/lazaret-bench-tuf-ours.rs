//! One refresh and search with the client of `protocol/tuf`, as a program of its own:
//! `lazaret-bench-tuf-ours REPOSITORY STATE ASKED TARGET...` finds the targets, keeps what is
//! trusted in STATE, and writes what it asked for to ASKED.
#![allow(clippy::disallowed_methods, reason = "a scratch folder of a benchmark")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use lazaret_protocol::time::Timestamp;
use lazaret_protocol_tuf::{
    Change, Floors, Limits, Machine, Refresh, Stored, Supplied, Want, WantedFile,
};

/// Where files come from, and how many did.
struct Source {
    metadata: PathBuf,
    state: PathBuf,
    requests: u32,
    bytes: usize,
    /// Time spent on files, which is not the client's.
    elsewhere: Duration,
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [repository, state, asked, targets @ ..] = arguments.as_slice() else {
        bail!("expected REPOSITORY STATE ASKED TARGET...")
    };
    let (repository, state) = (Path::new(repository), Path::new(state));
    let stored = stored(repository, state)?;
    let mut source = Source {
        metadata: repository.join("metadata"),
        state: state.to_owned(),
        requests: 0,
        bytes: 0,
        elsewhere: Duration::ZERO,
    };
    let now = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let began = Instant::now();
    let (floors, now) = (Floors::default(), Timestamp::from_ms(now));
    let mut refresh = Refresh::begin(stored, floors, now, Limits::default())?;
    drive(&mut refresh, &mut source)?;
    let mut trusted = refresh.finish()?;
    for name in targets {
        let mut search = trusted.find(name);
        drive(&mut search, &mut source)?;
        search.finish()?;
    }
    let took = began.elapsed().saturating_sub(source.elsewhere);
    let said = serde_json::json!({
        "requests": source.requests, "bytes": source.bytes,
        "milliseconds": took.as_secs_f64() * 1000.0,
    });
    Ok(std::fs::write(asked, said.to_string())?)
}

fn stored(repository: &Path, state: &Path) -> anyhow::Result<Stored> {
    if !state.join("root.json").exists() {
        std::fs::copy(repository.join("root.json"), state.join("root.json"))?;
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(state)? {
        let entry = entry?;
        if entry.file_name() != "asked" {
            let name = entry.file_name().to_string_lossy().into_owned();
            files.push((name, std::fs::read(entry.path())?));
        }
    }
    Stored::from_files(files).context("expected a root")
}

fn drive(machine: &mut dyn Machine, source: &mut Source) -> anyhow::Result<()> {
    while let Want::File(wanted) = machine.next() {
        machine.supply(source.read(&wanted)?)?;
    }
    let changes = machine.keep();
    let began = Instant::now();
    for change in changes {
        match change {
            Change::Write { file, bytes } => std::fs::write(source.state.join(file), bytes)?,
            Change::Delete { file } => std::fs::remove_file(source.state.join(file))?,
        }
    }
    source.elsewhere += began.elapsed();
    Ok(())
}

impl Source {
    fn read(&mut self, wanted: &WantedFile) -> anyhow::Result<Supplied> {
        let began = Instant::now();
        self.requests += 1;
        let path = self.metadata.join(&wanted.name);
        let supplied = match std::fs::read(path) {
            Ok(bytes) => {
                self.bytes += bytes.len();
                Supplied::Bytes(bytes)
            }
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => Supplied::Missing,
            Err(err) => return Err(err.into()),
        };
        self.elsewhere += began.elapsed();
        Ok(supplied)
    }
}
