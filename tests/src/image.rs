//! Images from real files of this machine: two tars of the same tree of which some files differ,
//! and images that the probe of every device finds broken.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Folders that every Debian machine with Rust has, in the order in which they are taken.
const SOURCES: [&str; 5] = [
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib",
    "/usr/bin",
    "/usr/share",
];

/// Largest single file that is taken, in bytes: one huge library must not be the whole image.
const FILE_BYTES_MAX: u64 = 6 * 1024 * 1024;

/// Real files of about `bytes` in all, the same on every call on one machine.
///
/// # Errors
/// The folders cannot be read.
pub fn real_files(bytes: u64) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut total = 0;
    for source in SOURCES.iter().map(Path::new).filter(|source| source.is_dir()) {
        let mut entries: Vec<PathBuf> = std::fs::read_dir(source)
            .with_context(|| format!("{} cannot be read", source.display()))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect();
        entries.sort();
        for path in entries {
            let Ok(metadata) = std::fs::symlink_metadata(&path) else { continue };
            if !metadata.is_file() || metadata.len() < 1024 || metadata.len() > FILE_BYTES_MAX {
                continue;
            }
            total += metadata.len();
            files.push(path);
            if total >= bytes {
                return Ok(files);
            }
        }
    }
    Ok(files)
}

/// What is in an image besides real files.
#[derive(Debug, Clone, Copy)]
pub struct Recipe<'a> {
    /// The content of the file `version`.
    pub version: &'a str,
    /// Every how many files one is changed (a few bytes replaced, some inserted); 0 for none.
    pub changed_every: usize,
}

/// Writes a tar with a version and `files`. The same inputs give the same bytes.
///
/// # Errors
/// A file cannot be read or written.
pub fn write(out: &Path, files: &[PathBuf], recipe: Recipe<'_>) -> anyhow::Result<u64> {
    let mut tar = tar::Builder::new(io::BufWriter::new(File::create(out)?));
    add(&mut tar, "version", recipe.version.as_bytes())?;
    for (at, path) in files.iter().enumerate() {
        let mut content = Vec::new();
        File::open(path)
            .and_then(|mut file| file.read_to_end(&mut content))
            .with_context(|| format!("{} cannot be read", path.display()))?;
        if recipe.changed_every > 0 && at % recipe.changed_every == 0 {
            change(&mut content, recipe.version);
        }
        let name = path.strip_prefix("/").unwrap_or(path).to_string_lossy().into_owned();
        add(&mut tar, &name, &content)?;
    }
    tar.into_inner()?.flush()?;
    Ok(std::fs::metadata(out)?.len())
}

/// What stands at the end of an image that does not come up.
pub const BROKEN: &str = "LAZARET-BROKEN-IMAGE\n";

/// Writes an image like `from` that the probe finds broken.
///
/// # Errors
/// A file cannot be read or written.
pub fn write_broken(from: &Path, out: &Path) -> anyhow::Result<()> {
    std::fs::copy(from, out)?;
    mark_broken(out)
}

/// Makes an image one that the probe finds broken.
///
/// # Errors
/// The file cannot be written.
pub fn mark_broken(image: &Path) -> anyhow::Result<()> {
    let mut file = File::options().append(true).open(image)?;
    file.write_all(BROKEN.as_bytes())?;
    Ok(())
}

/// Bytes of a chunk of a seeded image, which is changed or not as a whole.
const CHUNK_BYTES: usize = 16 * 1024;

/// Writes an image of about `length` seeded bytes that no compressor makes smaller; the recipe says
/// which chunks differ from version to version. The same inputs give the same bytes.
///
/// # Errors
/// The file cannot be written.
pub fn write_seeded(out: &Path, length: usize, recipe: Recipe<'_>) -> anyhow::Result<()> {
    let mut file = io::BufWriter::new(File::create(out)?);
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for at in 0..length.div_ceil(CHUNK_BYTES) {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        while chunk.len() < CHUNK_BYTES {
            // Marsaglia's xorshift: cheap, and nothing for a compressor to find.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            chunk.extend_from_slice(&state.to_le_bytes());
        }
        if recipe.changed_every > 0 && at % recipe.changed_every == 0 {
            change(&mut chunk, recipe.version);
        }
        file.write_all(&chunk)?;
    }
    file.write_all(recipe.version.as_bytes())?;
    Ok(file.flush()?)
}

/// What a rebuild does to a file: constants and addresses differ here and there, and some code is
/// new.
fn change(content: &mut Vec<u8>, version: &str) {
    let mut state = u64::try_from(content.len()).unwrap_or(1) ^ 0x9e37_79b9_7f4a_7c15;
    // Knuth's linear congruential generator: the same file always changes in the same way.
    let mut next = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    for _ in 0..content.len() / 200 {
        let at = usize::try_from(next()).unwrap_or_default() % content.len().max(1);
        if let Some(byte) = content.get_mut(at) {
            *byte = byte.wrapping_add(1);
        }
    }
    let middle = content.len() / 2;
    let new: Vec<u8> = (0..4000).map(|_| u8::try_from(next() % 251).unwrap_or_default()).collect();
    content.splice(middle..middle, new.into_iter().chain(version.bytes()));
}

fn add<W: io::Write>(tar: &mut tar::Builder<W>, name: &str, content: &[u8]) -> anyhow::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(u64::try_from(content.len())?);
    header.set_mode(0o644);
    header.set_mtime(0);
    // Names too long for ustar are cut from the left: what counts here is the content.
    let short: String = name.chars().rev().take(90).collect::<Vec<_>>().into_iter().rev().collect();
    tar.append_data(&mut header, short.trim_start_matches('/'), content)?;
    Ok(())
}
