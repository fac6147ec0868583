//! An export of the audit log: a folder in the layout of c2sp.org/tlog-tiles, with the earlier
//! checkpoints beside it and each entry once more as a line that people can read.

use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::operator::{AuditCheckpointView, AuditEntry, Page};
use lazaret_protocol_evidence::audit::{Finding, Report, Verifier};
use lazaret_protocol_evidence::tlog::checkpoint::Checkpoint;
use lazaret_protocol_evidence::tlog::note::{NOTE_BYTES_MAX, SignedNote};
use lazaret_protocol_evidence::tlog::tile::{Tile, WIDTH, read_entries, read_hashes};
use lazaret_protocol_evidence::tlog::tree::LEVELS_MAX;

use super::Trusted;
use crate::client::Client;
use crate::durable::{self, Existing};

/// The checkpoint's file.
const CHECKPOINT: &str = "checkpoint";

/// Earlier checkpoints, one JSON object a line.
const EARLIER: &str = "checkpoints.jsonl";

/// The entries, one a line.
const ENTRIES: &str = "entries.jsonl";

/// The entries that a filter selected, one a line.
pub(super) const SELECTED: &str = "selected.jsonl";

/// Largest tile or bundle, in bytes: 256 entries of at most 64 KiB.
const TILE_BYTES_MAX: u64 = 17 * 1024 * 1024;

/// Largest file of checkpoints, in bytes.
const EARLIER_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Checkpoints on one page.
const PAGE: u64 = 500;

/// The bytes of a file, its size checked first.
pub(super) fn bounded(path: &Path, bytes_max: u64) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes));
    read.with_context(|| format!("cannot read {}", path.display()))?;
    anyhow::ensure!(
        bytes.len() as u64 <= bytes_max,
        "expected {} to have at most {bytes_max} bytes",
        path.display()
    );
    Ok(bytes)
}

/// A file of the log as the server has it.
pub(super) fn fetched(client: &Client, path: &str) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    client.open(path, TILE_BYTES_MAX)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// How many entries a checkpoint is about, believed or not.
pub(super) fn size_of(note: &[u8]) -> anyhow::Result<u64> {
    let note = std::str::from_utf8(note).context("the checkpoint is no text")?;
    let note = SignedNote::parse(note).context("the server's checkpoint is no signed note")?;
    Ok(note.text().parse::<Checkpoint>().context("the server's note is no checkpoint")?.size)
}

/// What was fetched.
#[derive(Debug, serde::Serialize)]
pub(super) struct Fetched {
    /// Where it lies.
    pub(super) folder: String,
    /// The log's name.
    pub(super) origin: String,
    /// Entries.
    pub(super) size: u64,
    /// Files that were written.
    pub(super) files: u64,
}

/// Fetches the whole log into a folder, which is new or holds an earlier export.
pub(super) fn fetch(client: &Client, folder: &Path) -> anyhow::Result<Fetched> {
    let note = fetched(client, "/v1/audit/checkpoint")?;
    let size = size_of(&note)?;
    let mut files = 3_u64;
    let mut lines = Vec::new();
    for tile in tiles(size) {
        let bytes = fetched(client, &format!("/v1/audit/{tile}"))?;
        write(folder, &tile.to_string(), &bytes)?;
        files = files.saturating_add(1);
        let Some(bundle) = tile.entries() else { continue };
        let bytes = fetched(client, &format!("/v1/audit/{bundle}"))?;
        write(folder, &bundle.to_string(), &bytes)?;
        files = files.saturating_add(1);
        for entry in read_entries(&bytes).context("the server's bundle of entries is none")? {
            lines.extend_from_slice(entry);
            lines.push(b'\n');
        }
    }
    write(folder, ENTRIES, &lines)?;
    write(folder, EARLIER, &earlier(client)?)?;
    // Last: an export that was cut short has none, or that of the export before.
    write(folder, CHECKPOINT, &note)?;
    let text = String::from_utf8_lossy(&note);
    let origin = text.lines().next().unwrap_or_default().to_owned();
    Ok(Fetched { folder: folder.display().to_string(), origin, size, files })
}

/// Writes the entries of an export that are wanted into a file of their own; says how many.
pub(super) fn select(
    folder: &Path,
    is_wanted: impl Fn(&AuditEntry) -> bool,
) -> anyhow::Result<u64> {
    let lines = bounded(&folder.join(ENTRIES), u64::MAX - 1)?;
    let (mut selected, mut count) = (Vec::new(), 0_u64);
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        let entry: AuditEntry = serde_json::from_slice(line)
            .with_context(|| format!("a line of {ENTRIES} is no entry of the log"))?;
        if is_wanted(&entry) {
            selected.extend_from_slice(line);
            count = count.saturating_add(1);
        }
    }
    write(folder, SELECTED, &selected)?;
    Ok(count)
}

/// The tiles of a tree, level by level, as wide as they are.
fn tiles(size: u64) -> Vec<Tile> {
    let mut tiles = Vec::new();
    for level in 0..LEVELS_MAX {
        let Ok(level) = u8::try_from(level) else { break };
        let mut at = 0;
        while let Some(tile) = Tile::holding(level, at, size) {
            tiles.push(tile);
            at += WIDTH as u64;
        }
    }
    tiles
}

fn earlier(client: &Client) -> anyhow::Result<Vec<u8>> {
    let mut lines = Vec::new();
    let mut after = String::new();
    loop {
        let path = format!("/v1/audit/checkpoints?limit={PAGE}{after}");
        let page: Page<AuditCheckpointView> = client.get(&path)?;
        for one in &page.items {
            serde_json::to_writer(&mut lines, one)?;
            lines.push(b'\n');
        }
        match page.next {
            Some(next) if !page.items.is_empty() => after = format!("&after={next}"),
            _ => return Ok(lines),
        }
    }
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let path = folder.join(name);
    if let Some(parent) = path.parent() {
        let made = std::fs::create_dir_all(parent);
        made.with_context(|| format!("cannot make the folder {}", parent.display()))?;
    }
    durable::write(&path, bytes, Existing::Replace)
}

/// Judges an export with trusted keys alone. `seen` is a checkpoint from an earlier visit.
pub(super) fn verify(
    folder: &Path,
    trusted: &Trusted,
    seen: Option<&Path>,
) -> anyhow::Result<Report> {
    let text = |path: &Path, max: u64| -> anyhow::Result<String> {
        String::from_utf8(bounded(path, max)?)
            .with_context(|| format!("{} is no text", path.display()))
    };
    let note_max = NOTE_BYTES_MAX as u64;
    let latest = text(&folder.join(CHECKPOINT), note_max)?;
    let mut notes = Vec::new();
    if let Some(seen) = seen {
        notes.push(text(seen, note_max)?);
    }
    let path = folder.join(EARLIER);
    if path.exists() {
        for line in text(&path, EARLIER_BYTES_MAX)?.lines() {
            let one: AuditCheckpointView = serde_json::from_str(line)
                .with_context(|| format!("{} holds something else", path.display()))?;
            notes.push(one.note);
        }
    }
    let keys = trusted.keys(&latest)?;
    let mut verifier = Verifier::new(&latest, &notes, &keys)?;
    read(folder, &mut verifier)?;
    Ok(verifier.finish()?)
}

/// Gives the verifier every row with what the tiles keep of it.
fn read(folder: &Path, verifier: &mut Verifier) -> anyhow::Result<()> {
    let lines = match folder.join(ENTRIES) {
        path if path.exists() => Some(bounded(&path, u64::MAX - 1)?),
        _ => None,
    };
    let mut lines = lines.as_deref().map(|bytes| bytes.split(|byte| *byte == b'\n'));
    let size = verifier.size();
    let mut at = 0;
    while let Some(tile) = Tile::holding(0, at, size) {
        let hashes = kept(folder, tile).unwrap_or_default();
        let rows = match tile.entries().map(|bundle| bytes_of(folder, bundle)) {
            Some(Ok(bytes)) => rows_of(&bytes),
            _ => Vec::new(),
        };
        for place in 0..tile.width() {
            let index = at + place as u64;
            let listed = hashes.get(place).copied();
            let line = lines.as_mut().and_then(Iterator::next);
            let row = rows.get(place).map(Vec::as_slice).or(line);
            let Some(row) = row else { return Ok(()) };
            for (full, made) in verifier.row(row, listed)? {
                compare(folder, verifier, &full, &made);
            }
            if let Some(line) = line.filter(|line| *line != row) {
                verifier.find(edited_line(index, line));
            }
        }
        at += WIDTH as u64;
    }
    Ok(())
}

/// A line that people read, and that is not the entry.
fn edited_line(index: u64, line: &[u8]) -> Finding {
    let entry = serde_json::from_slice::<lazaret_protocol::operator::AuditEntry>(line).ok();
    let unreadable = || "unreadable".to_owned();
    Finding::Edited {
        index,
        who: entry.as_ref().map_or_else(unreadable, |entry| entry.act.who.name.clone()),
        what: entry.as_ref().map_or_else(unreadable, |entry| entry.act.what.clone()),
        why: format!("its line in {ENTRIES} is not the entry that was logged"),
    }
}

/// The entries of a bundle. Where one was made longer or shorter the rest is out of step, and the
/// first that is so is the one that was changed.
fn rows_of(bytes: &[u8]) -> Vec<Vec<u8>> {
    if let Ok(rows) = read_entries(bytes) {
        return rows.into_iter().map(<[u8]>::to_vec).collect();
    }
    let mut rows = Vec::new();
    let mut rest = bytes;
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(after.len());
        let (row, after) = after.split_at(length);
        rows.push(row.to_vec());
        rest = after;
    }
    rows
}

/// Compares a tile above the rows; those of the lowest level are compared row by row.
fn compare(folder: &Path, verifier: &mut Verifier, tile: &Tile, made: &[Sha256Digest]) {
    if tile.entries().is_none() {
        verifier.tile(tile, made, &kept(folder, *tile).unwrap_or_default());
    }
}

/// The hashes of a tile, from the file of that width or from that of the full tile.
fn kept(folder: &Path, tile: Tile) -> anyhow::Result<Vec<Sha256Digest>> {
    Ok(read_hashes(&bytes_of(folder, tile)?)?)
}

fn bytes_of(folder: &Path, tile: Tile) -> anyhow::Result<Vec<u8>> {
    let own = folder.join(tile.to_string());
    let path = if own.exists() { own } else { folder.join(tile.full().to_string()) };
    bounded(&path, TILE_BYTES_MAX)
}
