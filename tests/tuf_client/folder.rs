//! The folder of trusted metadata: one file for each role, byte for byte as it was received, and
//! nothing else. Whatever is written is whole or not there.

use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol_tuf::Change;

/// Digests of files that are to be read no more, one a line.
const DROPPED: &str = "dropped";

/// Most files that are taken up: 16,384 bins and more than enough beside.
const FILES_MAX: usize = 20_000;

/// A folder, which need not be there yet.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// What is stored, by file name. Files longer than any role's may be are left aside.
    pub(crate) fn files(&self, length_max: u64) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
        let dropped = self.dropped()?;
        let entries = std::fs::read_dir(&self.path)
            .with_context(|| format!("{} cannot be read", self.path.display()))?;
        let mut files = Vec::new();
        for entry in entries.take(FILES_MAX) {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name.ends_with(".json")
                && entry.path().is_file()
                && let Some(bytes) = read(&entry.path(), length_max)?
                && !dropped.contains(&Sha256Digest::of(&bytes).to_string())
            {
                files.push((name, bytes));
            }
        }
        Ok(files)
    }

    pub(crate) fn carry_out(&self, change: Change) -> anyhow::Result<()> {
        match change {
            Change::Write { file, bytes } => self.write(&file, &bytes),
            Change::Delete { file } => self.drop_file(&file),
        }
    }

    /// Makes a file untrusted for good, and lets it lie (TUF 5.3.11 deletes it). Whoever watches
    /// this folder, as the conformance suite does, expects to see the version that was trusted last
    /// until there is another.
    fn drop_file(&self, file: &str) -> anyhow::Result<()> {
        let path = self.path.join(file);
        if !path.exists() {
            return Ok(());
        }
        let digest = Sha256Digest::of(&std::fs::read(&path)?).to_string();
        let mut dropped = self.dropped()?;
        if dropped.lines().any(|line| line == digest) {
            return Ok(());
        }
        dropped.push_str(&format!("{digest}\n"));
        self.write(DROPPED, dropped.as_bytes())
    }

    fn dropped(&self) -> anyhow::Result<String> {
        match std::fs::read_to_string(self.path.join(DROPPED)) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            read => Ok(read?),
        }
    }

    pub(crate) fn write(&self, file: &str, bytes: &[u8]) -> anyhow::Result<()> {
        std::fs::create_dir_all(&self.path)?;
        let mut new = tempfile::NamedTempFile::new_in(&self.path)?;
        new.write_all(bytes)?;
        new.as_file().sync_all()?;
        new.persist(self.path.join(file))?;
        self.sync()
    }

    fn sync(&self) -> anyhow::Result<()> {
        Ok(std::fs::File::open(&self.path)?.sync_all()?)
    }
}

/// A file's bytes; none where it is longer, so that nobody's file fills the memory.
pub(crate) fn read(path: &Path, length_max: u64) -> anyhow::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path);
    let file = file.with_context(|| format!("{} cannot be read", path.display()))?;
    let read = file.take(length_max.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((u64::try_from(read)? <= length_max).then_some(bytes))
}
