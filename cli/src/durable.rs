//! The one place where this program writes files: each is whole and on disk, or not there.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use anyhow::Context as _;
use tempfile::NamedTempFile;

use crate::words::Misuse;

/// Whether a file that is there may be written over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    /// Evidence and secrets: never.
    Keep,
    /// Copies of what the server still has.
    Replace,
}

/// A file in the making. It has no name of its own until it is finished, and only its owner reads
/// it.
#[derive(Debug)]
pub(crate) struct NewFile {
    file: NamedTempFile,
}

impl NewFile {
    /// Begins a file that will be `path`.
    pub(crate) fn begin(path: &Path, existing: Existing) -> anyhow::Result<Self> {
        // Said before the work is done; finishing checks again, without a gap.
        if existing == Existing::Keep && path.symlink_metadata().is_ok() {
            return Err(Misuse::Exists { path: path.to_owned() }.into());
        }
        let folder = folder_of(path);
        let file = tempfile::Builder::new()
            .prefix(".lazaret-")
            .tempfile_in(folder)
            .with_context(|| format!("cannot make a file in {}", folder.display()))?;
        Ok(Self { file })
    }

    /// How many bytes it has.
    pub(crate) fn length(&self) -> anyhow::Result<u64> {
        Ok(self.file.as_file().metadata()?.len())
    }

    /// Syncs the file, gives it its name, and syncs the folder that now holds the name.
    pub(crate) fn finish(self, path: &Path, existing: Existing) -> anyhow::Result<()> {
        let cannot = || format!("cannot write {}", path.display());
        self.file.as_file().sync_all().with_context(cannot)?;
        let named = match existing {
            Existing::Replace => self.file.persist(path),
            Existing::Keep => self.file.persist_noclobber(path),
        };
        named.map_err(|err| err.error).with_context(cannot)?;
        let folder = File::open(folder_of(path)).with_context(cannot)?;
        folder.sync_all().with_context(cannot)
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Writes a whole file, readable by its owner alone.
pub(crate) fn write(path: &Path, bytes: &[u8], existing: Existing) -> anyhow::Result<()> {
    let mut file = NewFile::begin(path, existing)?;
    file.write_all(bytes).with_context(|| format!("cannot write {}", path.display()))?;
    file.finish(path, existing)
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_there_is_kept_where_it_must_be() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write(&path, b"one", Existing::Keep).unwrap();
        let refused = write(&path, b"two", Existing::Keep).unwrap_err();
        assert!(refused.is::<Misuse>(), "{refused}");
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        write(&path, b"two", Existing::Replace).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(folder.path().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_appears_meanwhile_is_kept_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let mut file = NewFile::begin(&path, Existing::Keep).unwrap();
        file.write_all(b"one").unwrap();
        write(&path, b"two", Existing::Keep).unwrap();
        assert!(file.finish(&path, Existing::Keep).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_reads_what_is_written() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write(&path, b"secret", Existing::Keep).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}
