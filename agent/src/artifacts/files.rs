//! The files of the running release held against its signed list: which differ, and the content of
//! those alone. With `slot_content = "tree"` the list is the image itself, whose digest is checked
//! once more while it is read. Otherwise it is the file that `release_files` names; and with
//! neither the files of `watched_paths` are listed with their digests, and none of their content is
//! taken. Private keys and password files are named and never taken. Access times change where the
//! file system keeps them.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use lazaret_agent_core::slot::Content;
use lazaret_protocol::digest::Sha256Digest;
use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};
use tar::{Archive, Builder, EntryType, Header};

use super::{Failure, Scene, bounded, plain};
use crate::slots::SlotContent;

/// Most files that are looked at.
const FILES_MAX: usize = 200_000;

/// Deepest folder.
const DEPTH_MAX: usize = 32;

/// Bytes of the note on one file in a tar archive.
const HEADER_BYTES: u64 = 1024;

/// What the walk through the files has found.
#[derive(Debug, Default)]
pub struct Survey {
    /// What the files are held against, in words.
    against: String,
    /// Files that differ; without a list, all of them.
    differ: Vec<Differing>,
    /// Files that were hashed.
    hashed: u64,
    /// What was left out, and why.
    lacks: Vec<String>,
}

#[derive(Debug)]
struct Differing {
    how: How,
    path: PathBuf,
    meta: Option<Metadata>,
    sha256: Option<Sha256Digest>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// It has other bytes than the list says, or is of another kind.
    Changed,
    /// The list does not have it.
    Added,
    /// The list has it, and it is not there.
    Missing,
    /// There is no list.
    Unlisted,
}

impl How {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Added => "added",
            Self::Missing => "missing",
            Self::Unlisted => "unlisted",
        }
    }
}

/// What a list says of one path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Listed {
    File(Sha256Digest),
    Link(PathBuf),
}

/// A list, the folder that its paths are below, and where files are looked for that it lacks.
struct List {
    words: String,
    files: BTreeMap<PathBuf, Listed>,
    root: PathBuf,
    places: Vec<PathBuf>,
}

pub(super) fn differences(scene: &Scene<'_>) -> Result<Vec<u8>, Failure> {
    let survey = survey(scene);
    survey.lacks.iter().for_each(|why| scene.budget.lacks(why.clone()));
    let mut out = format!(
        "held against: {}\nfiles read: {}\nhow\tmode\tuid\tgid\tsize\tmodified\tsha256\tpath\n",
        survey.against, survey.hashed
    );
    for Differing { how, path, meta, sha256 } in &survey.differ {
        let digest = sha256.map_or_else(|| "-".to_owned(), |digest| digest.to_string());
        let about = meta.as_ref().map_or_else(
            || "-\t-\t-\t-\t-".to_owned(),
            |meta| {
                let (mode, uid, gid) = (meta.mode(), meta.uid(), meta.gid());
                format!("{mode:o}\t{uid}\t{gid}\t{}\t{}", meta.size(), meta.mtime())
            },
        );
        let path = plain(&path.to_string_lossy());
        out.push_str(&format!("{}\t{about}\t{digest}\t{path}\n", how.as_str()));
    }
    Ok(out.into_bytes())
}

/// A tar archive of the files that differ from the list.
pub(super) fn content(scene: &Scene<'_>) -> Result<Vec<u8>, Failure> {
    let survey = survey(scene);
    let mut tar = Builder::new(Vec::new());
    let (mut withheld, mut too_large) = (0_u64, 0_u64);
    let wanted = |it: &&Differing| matches!(it.how, How::Changed | How::Added);
    for Differing { path, meta, .. } in survey.differ.iter().filter(wanted) {
        let Some(meta) = meta.as_ref().filter(|meta| meta.is_file()) else { continue };
        let have = u64::try_from(tar.get_ref().len()).unwrap_or(u64::MAX);
        let left = scene.budget.bytes_max().saturating_sub(have);
        if meta.size().saturating_add(HEADER_BYTES.saturating_mul(3)) > left {
            too_large = too_large.saturating_add(1);
            continue;
        }
        let Ok(bytes) = opened(path).and_then(|file| read_to(file, meta.size())) else { continue };
        if is_secret(path, &bytes) {
            withheld = withheld.saturating_add(1);
            continue;
        }
        append(&mut tar, path, meta, &bytes).map_err(|err| format!("the archive: {err}"))?;
    }
    if withheld > 0 {
        scene.budget.lacks(format!("{withheld} files are withheld: private keys or passwords"));
    }
    if too_large > 0 {
        let why = scene.budget.why_cut();
        scene.budget.lacks(format!("{too_large} files have no room: {why}"));
    }
    tar.into_inner().map_err(|err| format!("the archive: {err}"))
}

fn append(
    tar: &mut Builder<Vec<u8>>,
    path: &Path,
    meta: &Metadata,
    bytes: &[u8],
) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_size(u64::try_from(bytes.len()).unwrap_or(0));
    header.set_mode(meta.mode() & 0o7777);
    header.set_uid(u64::from(meta.uid()));
    header.set_gid(u64::from(meta.gid()));
    header.set_mtime(u64::try_from(meta.mtime()).unwrap_or(0));
    tar.append_data(&mut header, path.strip_prefix("/").unwrap_or(path), bytes)
}

/// The lines of a body file (the format of The Sleuth Kit 3): every file that differs or is
/// watched, with its times. In the first field, which that format has for an MD5, stands the
/// SHA-256 where it was read, 0 elsewhere.
pub(super) fn body(scene: &Scene<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    for Differing { path, meta, sha256, .. } in &survey(scene).differ {
        let Some(meta) = meta else { continue };
        let digest = sha256.map_or_else(|| "0".to_owned(), |digest| digest.to_string());
        // A bar would end the name.
        let name = plain(&path.to_string_lossy()).replace('|', "?");
        let kind = kind(meta);
        let born = meta.created().ok().and_then(|at| {
            at.duration_since(std::time::UNIX_EPOCH).ok().map(|since| since.as_secs())
        });
        out.extend_from_slice(
            format!(
                "{digest}|{name}|{}|{kind}/{kind}{}|{}|{}|{}|{}|{}|{}|{}\n",
                meta.ino(),
                rights(meta.mode()),
                meta.uid(),
                meta.gid(),
                meta.size(),
                meta.atime(),
                meta.mtime(),
                meta.ctime(),
                born.unwrap_or(0),
            )
            .as_bytes(),
        );
    }
    out
}

fn kind(meta: &Metadata) -> char {
    match meta.file_type() {
        kind if kind.is_dir() => 'd',
        kind if kind.is_symlink() => 'l',
        kind if kind.is_fifo() => 'p',
        kind if kind.is_socket() => 'h',
        kind if kind.is_char_device() => 'c',
        kind if kind.is_block_device() => 'b',
        _ => 'r',
    }
}

fn rights(mode: u32) -> String {
    let bits = ['r', 'w', 'x'];
    let shown = (0..9_u32).map(|at| {
        let set = mode >> (8_u32.saturating_sub(at)) & 1 == 1;
        bits.get(usize::try_from(at % 3).unwrap_or(0)).copied().filter(|_| set).unwrap_or('-')
    });
    shown.collect()
}

fn survey<'s>(scene: &'s Scene<'_>) -> &'s Survey {
    scene.survey.get_or_init(|| match list(scene) {
        Ok(Some(list)) => held_against(scene, list),
        Ok(None) => unlisted(scene, "no list: the settings name none"),
        Err(why) => {
            let mut survey = unlisted(scene, &format!("no list: {why}"));
            survey.lacks.push(why);
            survey
        }
    })
}

/// The list of the running release, none where it has none.
fn list(scene: &Scene<'_>) -> Result<Option<List>, Failure> {
    if scene.config.slots.content == SlotContent::Tree
        && let Some(slot) = scene.slots.booted()
    {
        let Content::Holds(release) = scene.journal.slots.content(slot) else {
            return Err(format!("what slot {} holds is not known", slot.as_str()));
        };
        let image = scene.slots.image(slot);
        let files = of_archive(&image, (release.sha256, release.length))?;
        let root = scene.config.slots.tree(slot);
        let words =
            format!("the signed image of slot {}, SHA-256 {}", slot.as_str(), release.sha256);
        return Ok(Some(List { words, files, places: vec![root.clone()], root }));
    }
    let Some(path) = &scene.config.files.list else { return Ok(None) };
    let bytes = bounded(path)?;
    let files = of_sums(&bytes).map_err(|why| format!("{}: {why}", path.display()))?;
    let words = format!(
        "{}, SHA-256 {}, of {} files; it is as trustworthy as the place that it lies in",
        path.display(),
        Sha256Digest::of(&bytes),
        files.len()
    );
    let root = scene.config.files.root.clone();
    Ok(Some(List { words, files, root, places: scene.config.files.watched.clone() }))
}

/// Lines as `sha256sum` writes them.
fn of_sums(bytes: &[u8]) -> Result<BTreeMap<PathBuf, Listed>, Failure> {
    let mut files = BTreeMap::new();
    for (at, line) in String::from_utf8_lossy(bytes).lines().enumerate() {
        let read = line.split_once(' ').and_then(|(digest, name)| {
            let name = name.strip_prefix([' ', '*'])?;
            Some((relative(Path::new(name))?, digest.parse::<Sha256Digest>().ok()?))
        });
        let line = at.saturating_add(1);
        let (name, digest) =
            read.ok_or_else(|| format!("expected a digest and a path in line {line}"))?;
        files.insert(name, Listed::File(digest));
    }
    Ok(files)
}

/// The files of a tar archive, which must have this digest and length as a whole.
fn of_archive(
    image: &Path,
    (sha256, length): (Sha256Digest, u64),
) -> Result<BTreeMap<PathBuf, Listed>, Failure> {
    let told = |err: io::Error| format!("{} cannot be read: {err}", image.display());
    let file = File::open(image).map_err(told)?;
    let mut hashing = Hashing { from: file.take(length), hash: Sha256::new() };
    let mut files = BTreeMap::new();
    let mut archive = Archive::new(&mut hashing);
    for entry in archive.entries().map_err(told)? {
        let mut entry = entry.map_err(told)?;
        let Some(name) = entry.path().ok().and_then(|path| relative(&path)) else { continue };
        if files.len() >= FILES_MAX {
            return Err(format!("{} has more than {FILES_MAX} files", image.display()));
        }
        match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous => {
                let digest = digest(&mut entry).map_err(told)?;
                files.insert(name, Listed::File(digest));
            }
            EntryType::Symlink => {
                let to = entry.link_name().ok().flatten().unwrap_or_default();
                files.insert(name, Listed::Link(to.into_owned()));
            }
            EntryType::Link => {
                let to = entry.link_name().ok().flatten().and_then(|to| relative(&to));
                let same = to.and_then(|to| files.get(&to).cloned());
                files.extend(same.map(|same| (name, same)));
            }
            _ => {}
        }
    }
    drop(archive);
    io::copy(&mut hashing, &mut io::sink()).map_err(told)?;
    let got = Sha256Digest::from_bytes(hashing.hash.finalize().into());
    if got != sha256 {
        return Err(format!(
            "{} is not what was signed: expected {sha256}, got {got}",
            image.display()
        ));
    }
    Ok(files)
}

/// A reader that hashes what goes through it.
struct Hashing<R> {
    from: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.hash.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

/// A path without its root and its dots; none where it leads out.
fn relative(path: &Path) -> Option<PathBuf> {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => out.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    (!out.as_os_str().is_empty()).then_some(out)
}

fn held_against(scene: &Scene<'_>, list: List) -> Survey {
    let mut survey = Survey { against: list.words, ..Survey::default() };
    for (name, listed) in &list.files {
        if let Some(why) = scene.budget.spent() {
            survey.lacks.push(format!("files from {} on were not read: {why}", name.display()));
            return survey;
        }
        let path = list.root.join(name);
        let Ok(meta) = path.symlink_metadata() else {
            survey.differ.push(Differing { how: How::Missing, path, meta: None, sha256: None });
            continue;
        };
        let found = match listed {
            Listed::Link(to) => {
                let same = meta.is_symlink() && fs::read_link(&path).is_ok_and(|it| it == *to);
                if same {
                    continue;
                }
                None
            }
            Listed::File(_) if !meta.is_file() => None,
            Listed::File(expected) => {
                let found = opened(&path).and_then(|mut file| digest(&mut file)).ok();
                survey.hashed = survey.hashed.saturating_add(1);
                if found == Some(*expected) {
                    continue;
                }
                found
            }
        };
        survey.differ.push(Differing { how: How::Changed, path, meta: Some(meta), sha256: found });
    }
    let known =
        |path: &Path| path.strip_prefix(&list.root).is_ok_and(|name| list.files.contains_key(name));
    walk(scene, &list.places, (How::Added, &known), &mut survey);
    survey
}

fn unlisted(scene: &Scene<'_>, against: &str) -> Survey {
    let mut survey = Survey { against: against.to_owned(), ..Survey::default() };
    walk(scene, &scene.config.files.watched, (How::Unlisted, &|_| false), &mut survey);
    survey
}

/// Enters every file below these places that is not known, but for the agent's own state.
fn walk(
    scene: &Scene<'_>,
    places: &[PathBuf],
    (how, known): (How, &dyn Fn(&Path) -> bool),
    survey: &mut Survey,
) {
    let mut open: Vec<(PathBuf, usize)> =
        places.iter().rev().map(|place| (place.clone(), 0)).collect();
    while let Some((path, depth)) = open.pop() {
        if path == scene.config.state_dir {
            continue;
        }
        let Ok(meta) = path.symlink_metadata() else { continue };
        if meta.is_dir() {
            if depth >= DEPTH_MAX {
                survey.lacks.push(format!("{} is too deep", path.display()));
                continue;
            }
            let entries = fs::read_dir(&path).into_iter().flatten().filter_map(Result::ok);
            let mut below: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
            below.sort_by(|a, b| b.cmp(a));
            open.extend(below.into_iter().map(|path| (path, depth.saturating_add(1))));
            continue;
        }
        if known(&path) {
            continue;
        }
        let why = scene.budget.spent().or_else(|| {
            (survey.differ.len() >= FILES_MAX).then(|| format!("more than {FILES_MAX} files"))
        });
        if let Some(why) = why {
            survey.lacks.push(format!("files from {} on were not read: {why}", path.display()));
            return;
        }
        let sha256 = if meta.is_file() {
            survey.hashed = survey.hashed.saturating_add(1);
            opened(&path).and_then(|mut file| digest(&mut file)).ok()
        } else {
            None
        };
        survey.differ.push(Differing { how, path, meta: Some(meta), sha256 });
    }
}

/// Opens a regular file; a pipe in its place does not hold anybody up.
fn opened(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    Ok(file)
}

fn digest(from: &mut impl Read) -> io::Result<Sha256Digest> {
    let mut hash = Sha256::new();
    let mut piece = vec![0; 64 * 1024];
    loop {
        let count = from.read(&mut piece)?;
        let Some(read @ [_, ..]) = piece.get(..count) else { break };
        hash.update(read);
    }
    Ok(Sha256Digest::from_bytes(hash.finalize().into()))
}

/// At most so many bytes, as many as there were when it was looked at.
fn read_to(file: File, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether a file is a secret of its own.
fn is_secret(path: &Path, bytes: &[u8]) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    let by_name = ["shadow", "shadow-", "gshadow", "gshadow-"].contains(&name.as_str())
        || name.ends_with(".key")
        || name.ends_with(".age")
        || (name.starts_with("ssh_host_") && name.ends_with("_key"));
    let text = String::from_utf8_lossy(bytes.get(..8192).unwrap_or(bytes));
    by_name || ["PRIVATE KEY-----", "AGE-SECRET-KEY-"].iter().any(|mark| text.contains(mark))
}

#[cfg(test)]
mod tests;
