//! An offline bundle, opened and never unpacked: what it holds and where. The whole of it is
//! refused for one odd entry. Nothing here believes its content; TUF judges that.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lazaret_protocol::limits::METADATA_BYTES_MAX;
use lazaret_protocol::offline::{
    BUNDLE_FILES_MAX, BUNDLE_FORMAT, BUNDLE_NAME_BYTES_MAX, MANIFEST_BYTES_MAX, MANIFEST_PATH,
    METADATA_FOLDER, OfflineManifest, is_bundle_name,
};
use lazaret_protocol::time::Timestamp;
use tar::{Archive, EntryType};

/// Bytes of zeros that may follow the last entry: tar fills up to a record of 20 blocks.
const PADDING_BYTES_MAX: u64 = 20 * 512 + 1024;

/// A file that is no bundle that could be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleRefused {
    /// It cannot be read at all.
    #[error("bundle {} cannot be read", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It is not a tar, or it ends in the middle.
    #[error("bundle {} is no whole tar file: {why}", path.display())]
    NotWhole {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// An entry that has no place in a bundle.
    #[error("bundle {} holds {entry:?}, which it may not: {why}", path.display())]
    Odd {
        /// Which file.
        path: PathBuf,
        /// The entry's name.
        entry: String,
        /// What is wrong with it.
        why: String,
    },
    /// What it says of itself is not what it holds.
    #[error("bundle {} is not what its manifest says: {why}", path.display())]
    Manifest {
        /// Which file.
        path: PathBuf,
        /// What was expected and what came.
        why: String,
    },
}

/// An open bundle.
#[derive(Debug)]
pub struct OfflineBundle {
    path: PathBuf,
    file: Arc<File>,
    /// Where each entry begins, and its length, in bytes.
    entries: BTreeMap<String, (u64, u64)>,
    manifest: OfflineManifest,
}

impl OfflineBundle {
    /// Opens a bundle and looks at every entry of it.
    ///
    /// # Errors
    /// It cannot be read, or something in it has no place there: then nothing of it is used.
    pub fn open_file(path: &Path) -> Result<Self, BundleRefused> {
        let unreadable = |source| BundleRefused::Unreadable { path: path.to_owned(), source };
        let file = File::open(path).map_err(unreadable)?;
        let about = file.metadata().map_err(unreadable)?;
        if !about.is_file() {
            return Err(unreadable(io::Error::other("expected a regular file")));
        }
        let entries = entries(path, &file, about.len())?;
        let manifest = manifest(path, &file, &entries)?;
        Ok(Self { path: path.to_owned(), file: Arc::new(file), entries, manifest })
    }

    /// What it says of itself.
    #[must_use]
    pub const fn manifest(&self) -> &OfflineManifest {
        &self.manifest
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// When the first of the offline signatures that lead to the release lapses: those of root and
    /// targets, as far as the bundle has them. The time of the release's own role comes with its
    /// target. None where it has neither.
    ///
    /// It speaks of files that have been verified, or of none: what TUF did not take leads nowhere.
    #[must_use]
    pub fn offline_roles_expire(&self) -> Option<Timestamp> {
        let newest = |role: &str| {
            let numbered = self.entries.keys().filter_map(|name| {
                let file = name.strip_prefix(METADATA_FOLDER)?;
                file.strip_suffix(role)?.strip_suffix('.')?.parse::<u64>().ok()
            });
            let number = numbered.max()?;
            let name = format!("{METADATA_FOLDER}{number}.{role}");
            let bytes = self.read(&name, METADATA_BYTES_MAX).ok()??;
            let document: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
            let expires = document.pointer("/signed/expires")?.as_str()?;
            Timestamp::parse_rfc3339(expires).ok()
        };
        newest("root.json").into_iter().chain(newest("targets.json")).min()
    }

    /// The entry of this name, at most `max` bytes of it and one more.
    pub(crate) fn read(&self, name: &str, max: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(&(at, length)) = self.entries.get(name) else { return Ok(None) };
        let length = usize::try_from(length.min(max.saturating_add(1))).unwrap_or(usize::MAX);
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(Some(bytes))
    }

    /// The file, where in it the entry of this name begins, and its length.
    pub(crate) fn open(&self, name: &str) -> io::Result<(Arc<File>, u64, u64)> {
        match self.entries.get(name) {
            Some(&(at, length)) => Ok((Arc::clone(&self.file), at, length)),
            None => Err(io::Error::new(io::ErrorKind::NotFound, format!("it has no {name}"))),
        }
    }
}

/// Where every entry is. Only plain files under plain names, each once.
fn entries(
    path: &Path,
    file: &File,
    whole: u64,
) -> Result<BTreeMap<String, (u64, u64)>, BundleRefused> {
    let not_whole = |why: String| BundleRefused::NotWhole { path: path.to_owned(), why };
    let mut found = BTreeMap::new();
    let (mut long_name, mut end) = (None, 0);
    let mut archive = Archive::new(file);
    let listed = archive.entries_with_seek().map_err(|err| not_whole(err.to_string()))?;
    // Raw: the library would read a long name of any length into memory by itself.
    for entry in listed.raw(true) {
        let mut entry = entry.map_err(|err| not_whole(err.to_string()))?;
        let length = entry.header().entry_size().map_err(|err| not_whole(err.to_string()))?;
        let at = entry.raw_file_position();
        end = at.saturating_add(length.div_ceil(512).saturating_mul(512));
        if at.saturating_add(length) > whole {
            return Err(not_whole("its last entry is cut off".into()));
        }
        let header_name = String::from_utf8_lossy(&entry.header().path_bytes()).into_owned();
        let kind = entry.header().entry_type();
        let odd = |entry: &str, why: &str| BundleRefused::Odd {
            path: path.to_owned(),
            entry: entry.chars().filter(|c| !c.is_control()).take(200).collect(),
            why: why.to_owned(),
        };
        if kind == EntryType::GNULongName && long_name.is_none() {
            long_name = Some(
                read_long_name(&mut entry, length)
                    .ok_or_else(|| odd(&header_name, "its name is longer than any of ours"))?,
            );
            continue;
        }
        let name = long_name.take().unwrap_or(header_name);
        if !matches!(kind, EntryType::Regular) {
            return Err(odd(&name, "expected a plain file"));
        }
        if !is_bundle_name(&name) {
            return Err(odd(&name, "expected a name below metadata/ or targets/"));
        }
        let most = match name.as_str() {
            MANIFEST_PATH => MANIFEST_BYTES_MAX,
            name if name.starts_with(METADATA_FOLDER) => METADATA_BYTES_MAX,
            _ => u64::MAX,
        };
        if length > most {
            return Err(odd(&name, &format!("expected at most {most} bytes, got {length}")));
        }
        if found.len() > BUNDLE_FILES_MAX {
            return Err(odd(&name, &format!("expected at most {BUNDLE_FILES_MAX} entries")));
        }
        if found.insert(name.clone(), (at, length)).is_some() {
            return Err(odd(&name, "it is there twice"));
        }
    }
    nothing_after(file, end, whole).map_err(not_whole)?;
    Ok(found)
}

/// A name that does not fit its header, as GNU tar writes it: the bytes and a zero.
fn read_long_name(entry: &mut impl io::Read, length: u64) -> Option<String> {
    let most = u64::try_from(BUNDLE_NAME_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    if length > most {
        return None;
    }
    let mut bytes = Vec::new();
    entry.take(most).read_to_end(&mut bytes).ok()?;
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(&bytes);
    String::from_utf8(bytes.to_vec()).ok()
}

/// What follows the last entry is padding: nothing is carried past the checks.
fn nothing_after(file: &File, end: u64, whole: u64) -> Result<(), String> {
    let left = whole.saturating_sub(end);
    if left > PADDING_BYTES_MAX {
        return Err(format!("{left} bytes follow its last entry"));
    }
    if left < 1024 {
        return Err("its end is missing".into());
    }
    let mut bytes = vec![0; usize::try_from(left).unwrap_or(0)];
    file.read_exact_at(&mut bytes, end).map_err(|err| err.to_string())?;
    if bytes.iter().any(|byte| *byte != 0) {
        return Err("something follows its last entry".into());
    }
    Ok(())
}

fn manifest(
    path: &Path,
    file: &File,
    entries: &BTreeMap<String, (u64, u64)>,
) -> Result<OfflineManifest, BundleRefused> {
    let wrong = |why: String| BundleRefused::Manifest { path: path.to_owned(), why };
    let &(at, length) =
        entries.get(MANIFEST_PATH).ok_or_else(|| wrong(format!("it has no {MANIFEST_PATH}")))?;
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    file.read_exact_at(&mut bytes, at).map_err(|err| wrong(err.to_string()))?;
    let manifest: OfflineManifest =
        serde_json::from_slice(&bytes).map_err(|err| wrong(err.to_string()))?;
    if manifest.format != BUNDLE_FORMAT {
        return Err(wrong(format!("expected the format {BUNDLE_FORMAT}, got {}", manifest.format)));
    }
    let held = entries.len().saturating_sub(1);
    if manifest.files.len() != held {
        return Err(wrong(format!("it names {} files, there are {held}", manifest.files.len())));
    }
    for named in &manifest.files {
        match entries.get(&named.path) {
            Some(&(_, length)) if length == named.length && named.path != MANIFEST_PATH => {}
            Some(&(_, length)) => {
                let (name, said) = (&named.path, named.length);
                return Err(wrong(format!("{name} has {length} bytes and not {said}")));
            }
            None => return Err(wrong(format!("there is no {}", named.path))),
        }
    }
    Ok(manifest)
}

#[cfg(test)]
mod tests;
