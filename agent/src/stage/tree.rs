//! A tar archive as a file tree beside its slot. The archive is looked at twice: whatever is wrong
//! with any of its entries refuses the whole before the first file is made. It is the image, so its
//! digest was checked before; what is refused here is what even a signed archive must not do.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Permissions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use tar::{Archive, EntryType};

use crate::durable::{Durable, DurableError, told};

/// Most entries of an archive.
pub const ENTRIES_MAX: usize = 200_000;

/// Deepest folder.
pub const DEPTH_MAX: usize = 64;

/// Longest name with its folders, in bytes: what Linux takes.
pub const NAME_BYTES_MAX: usize = 4000;

/// Longest entry that only describes the next one, in bytes; the reader takes it into memory.
const DESCRIPTION_BYTES_MAX: u64 = 64 * 1024;

/// Bytes that are copied at once.
const PIECE_BYTES: usize = 64 * 1024;

/// An archive that is not unpacked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// It is no archive.
    #[error("expected a tar archive")]
    Archive(#[source] io::Error),
    /// One of its entries is refused, and so is all of it.
    #[error("entry {name:?} refuses the whole archive: {why}")]
    Refused {
        /// Its name, as far as it can be said, cut to 200 characters.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// There are too many entries.
    #[error("expected at most {ENTRIES_MAX} entries")]
    TooMany,
    /// The tree cannot be written.
    #[error("tree cannot be written")]
    Durable(#[from] DurableError),
}

/// What was found at a name in the first look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Folder,
    File,
    Link,
}

/// Unpacks the archive in the first `length` bytes of `archive` into the folder `tree`, in place of
/// the one that is there. A power cut leaves the old tree, none, or the new one, whole.
///
/// # Errors
/// It is refused, or cannot be written; the old tree is there then, or none.
pub fn unpack(
    archive: &File,
    length: u64,
    tree: &Path,
    durable: &Durable,
) -> Result<(), TreeError> {
    check(archive, length)?;
    let (new, old) = (beside(tree, ".new"), beside(tree, ".old"));
    if let Some(above) = tree.parent() {
        durable.folder(above)?;
    }
    clear(&new)?;
    clear(&old)?;
    durable.disk().folder(&new).map_err(told("make the folder", &new))?;
    let made = make(archive, length, &new, durable);
    if let Err(err) = made {
        clear(&new)?;
        return Err(err);
    }
    durable.disk().sync_all(&new).map_err(told("sync", &new))?;
    if tree.exists() {
        durable.rename(tree, &old, "tree-clear")?;
    }
    durable.rename(&new, tree, "tree-swap")?;
    Ok(clear(&old)?)
}

fn beside(tree: &Path, suffix: &str) -> PathBuf {
    let mut name = tree.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    tree.with_file_name(name)
}

/// Takes a tree away that nobody looks at any more.
fn clear(folder: &Path) -> Result<(), DurableError> {
    match fs::remove_dir_all(folder) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => Err(told("clear", folder)(err)),
        _ => Ok(()),
    }
}

/// Looks at every entry, and writes nothing.
///
/// # Errors
/// The first that is wrong.
pub fn check(archive: &File, length: u64) -> Result<(), TreeError> {
    descriptions(archive, length)?;
    let mut found: BTreeMap<PathBuf, Kind> = BTreeMap::new();
    let mut implied: BTreeSet<PathBuf> = BTreeSet::new();
    let mut reader = rewound(archive, length)?;
    for (count, entry) in reader.entries().map_err(TreeError::Archive)?.enumerate() {
        if count >= ENTRIES_MAX {
            return Err(TreeError::TooMany);
        }
        let entry = entry.map_err(TreeError::Archive)?;
        let header = entry.header();
        let bytes = entry.path_bytes().into_owned();
        let refused = |why| Err(TreeError::Refused { name: shown(&bytes), why });
        let name = match plain(&bytes) {
            Ok(name) => name,
            Err(why) => return refused(why),
        };
        let kind = match header.entry_type() {
            EntryType::Directory => Kind::Folder,
            EntryType::Regular => Kind::File,
            EntryType::Symlink => Kind::Link,
            EntryType::Link => Kind::File,
            EntryType::Char | EntryType::Block | EntryType::Fifo => {
                return refused("devices and pipes are not unpacked");
            }
            EntryType::XGlobalHeader => continue,
            _ => return refused("entries of this kind are not unpacked"),
        };
        if name.as_os_str().is_empty() {
            // The folder itself, `./`, as tar writes it.
            if kind == Kind::Folder {
                continue;
            }
            return refused("it has no name");
        }
        if kind != Kind::File && entry.size() != 0 {
            return refused("only files have content");
        }
        for above in name.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()) {
            if found.get(above).is_some_and(|kind| *kind != Kind::Folder) {
                return refused("it lies in something that is no folder");
            }
            implied.insert(above.to_owned());
        }
        if kind != Kind::Folder && implied.contains(&name) {
            return refused("something lies in it, and it is no folder");
        }
        let to = entry.link_name_bytes().map(std::borrow::Cow::into_owned).unwrap_or_default();
        let wrong = match header.entry_type() {
            EntryType::Symlink => link_leads_out(&name, &to),
            EntryType::Link => match plain(&to).map(|to| found.get(&to) == Some(&Kind::File)) {
                Ok(true) if entry.size() == 0 => None,
                Ok(_) => Some("it is another name of a file that did not come before it"),
                Err(why) => Some(why),
            },
            _ => None,
        };
        if let Some(why) = wrong {
            return refused(why);
        }
        if found.insert(name, kind).is_some() {
            return refused("its name comes twice");
        }
    }
    Ok(())
}

/// Entries that hold a long name or further fields of the next one are read into memory whole by
/// the reader of archives, so that their length is looked at first.
fn descriptions(archive: &File, length: u64) -> Result<(), TreeError> {
    let mut reader = rewound(archive, length)?;
    let raw = reader.entries().map_err(TreeError::Archive)?.raw(true);
    for (count, entry) in raw.enumerate() {
        // Each entry has at most three that describe it.
        if count >= ENTRIES_MAX.saturating_mul(4) {
            return Err(TreeError::TooMany);
        }
        let entry = entry.map_err(TreeError::Archive)?;
        let describes = matches!(
            entry.header().entry_type(),
            EntryType::GNULongName
                | EntryType::GNULongLink
                | EntryType::XHeader
                | EntryType::XGlobalHeader
        );
        if describes && entry.size() > DESCRIPTION_BYTES_MAX {
            let name = shown(&entry.path_bytes());
            return Err(TreeError::Refused { name, why: "its description is too long" });
        }
    }
    Ok(())
}

fn rewound(archive: &File, length: u64) -> Result<Archive<io::Take<File>>, TreeError> {
    let mut file = archive.try_clone().map_err(TreeError::Archive)?;
    file.seek(SeekFrom::Start(0)).map_err(TreeError::Archive)?;
    Ok(Archive::new(file.take(length)))
}

/// A name below the tree; empty for the tree itself.
fn plain(bytes: &[u8]) -> Result<PathBuf, &'static str> {
    if bytes.len() > NAME_BYTES_MAX {
        return Err("its name is too long");
    }
    if bytes.contains(&0) {
        return Err("its name holds a zero byte");
    }
    let mut name = PathBuf::new();
    for part in Path::new(std::ffi::OsStr::from_bytes(bytes)).components() {
        match part {
            Component::Normal(part) if part.len() > 255 => return Err("its name is too long"),
            Component::Normal(part) => name.push(part),
            Component::CurDir => {}
            Component::ParentDir => return Err("its name leads out of the tree"),
            Component::RootDir | Component::Prefix(_) => return Err("its name is absolute"),
        }
    }
    if name.components().count() > DEPTH_MAX {
        return Err("it lies too deep");
    }
    Ok(name)
}

/// Why a symbolic link is refused. It may go up first, never above the tree, and then down: after a
/// name, which may itself be a link, nobody knows where `..` leads.
fn link_leads_out(name: &Path, to: &[u8]) -> Option<&'static str> {
    if to.is_empty() || to.contains(&0) || to.len() > NAME_BYTES_MAX {
        return Some("its target is no name");
    }
    let mut depth = name.components().count().saturating_sub(1);
    let mut down = false;
    for part in Path::new(std::ffi::OsStr::from_bytes(to)).components() {
        match part {
            Component::CurDir => {}
            Component::Normal(_) => down = true,
            Component::ParentDir if down || depth == 0 => return Some("it leads out of the tree"),
            Component::ParentDir => depth = depth.saturating_sub(1),
            Component::RootDir | Component::Prefix(_) => return Some("it leads out of the tree"),
        }
    }
    None
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().take(200).collect()
}

/// Makes what was looked at before. Owner, times and further attributes of entries are not taken
/// over, nor are the bits that let a program run as somebody else.
fn make(archive: &File, length: u64, tree: &Path, durable: &Durable) -> Result<(), TreeError> {
    let disk = durable.disk();
    let mut reader = rewound(archive, length)?;
    // Folders get their rights last, so that one which nobody may write to can be filled.
    let mut rights = Vec::new();
    for entry in reader.entries().map_err(TreeError::Archive)? {
        let mut entry = entry.map_err(TreeError::Archive)?;
        let name = plain(&entry.path_bytes()).unwrap_or_default();
        if name.as_os_str().is_empty() || entry.header().entry_type() == EntryType::XGlobalHeader {
            continue;
        }
        let path = tree.join(&name);
        let mode = entry.header().mode().map_err(TreeError::Archive)? & 0o777;
        let kind = entry.header().entry_type();
        let above = if kind == EntryType::Directory { Some(path.as_path()) } else { path.parent() };
        if let Some(above) = above {
            folders(above, durable)?;
        }
        let to = entry.link_name_bytes().map(std::borrow::Cow::into_owned).unwrap_or_default();
        match kind {
            EntryType::Directory => rights.push((path, mode)),
            EntryType::Symlink => {
                let to = String::from_utf8(to).map_err(|_| TreeError::Refused {
                    name: shown(name.as_os_str().as_bytes()),
                    why: "its target is not UTF-8",
                })?;
                disk.link(&path, &to).map_err(told("link", &path))?;
            }
            EntryType::Link => {
                let from = tree.join(plain(&to).unwrap_or_default());
                fs::hard_link(&from, &path).map_err(told("link", &path))?;
            }
            _ => {
                let file = disk.create(&path, 0o600).map_err(told("create", &path))?;
                let mut piece = vec![0; PIECE_BYTES];
                let mut at = 0_u64;
                loop {
                    let read = entry.read(&mut piece).map_err(TreeError::Archive)?;
                    let Some(bytes) = piece.get(..read).filter(|bytes| !bytes.is_empty()) else {
                        break;
                    };
                    disk.write_at(&file, &path, bytes, at).map_err(told("write", &path))?;
                    at = at.saturating_add(u64::try_from(read).unwrap_or(0));
                }
                file.set_permissions(Permissions::from_mode(mode)).map_err(told("make", &path))?;
            }
        }
    }
    for (path, mode) in rights.into_iter().rev() {
        fs::set_permissions(&path, Permissions::from_mode(mode)).map_err(told("make", &path))?;
    }
    Ok(())
}

fn folders(path: &Path, durable: &Durable) -> Result<(), TreeError> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent() {
        folders(above, durable)?;
    }
    Ok(durable.disk().folder(path).map_err(told("make the folder", path))?)
}

#[cfg(test)]
mod tests;
