//! One ring of the forensic log on the disk, as a folder that others can read too
//! (c2sp.org/tlog-tiles): `tile/entries/NNN` are the bundles of 256 records, the last of them
//! growing; `checkpoint` is the seal, `base` what stays of bundles that were pruned, `witnessed`
//! what the server cosigned. What is worth a record is not known here.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::DeviceId;
use lazaret_protocol::poll::{LogGrowth, LogHead, LogRing, LogWitnessed};
use lazaret_protocol_evidence::device_log::base::{BASE_BYTES_MAX, Base};
use lazaret_protocol_evidence::device_log::epoch::{EPOCH, Epochs};
use lazaret_protocol_evidence::device_log::grown::Grown;
use lazaret_protocol_evidence::device_log::record::{RECORD_BYTES_MAX, Record};
use lazaret_protocol_evidence::device_log::recovery::recover;
use lazaret_protocol_evidence::log::{DETAILS_MAX, Detail, DetailValue};
use lazaret_protocol_evidence::text::plain;
use lazaret_protocol_evidence::tlog::note::SignedNote;
use lazaret_protocol_evidence::tlog::tile::{Tile, WIDTH, read_entries, write_hashes};
use lazaret_protocol_evidence::tlog::tree::{Edge, leaf_hash};

use super::ForensicLogError;
use super::Vouch;
use super::seal::{Sealed, Sealer};
use crate::bundle::Content;
use crate::durable::{self, Access, Durable, DurableError, told};

mod read;

pub(super) use read::Finding;

/// Records that are written before they are synced, where nothing hangs on them.
const UNSYNCED_MAX: u32 = 64;

/// What a ring takes beside its bundles: checkpoint, witnessed checkpoint, base, keys.
const FRAME_BYTES: u64 = 16 * 1024;

/// Bundles that are pruned at once at least: a sixteenth of the ring, so that the base is not
/// written with every bundle.
const PRUNED_SHARE: u64 = 16;

const WIDTH_64: u64 = WIDTH as u64;

/// Whether a record is on disk before its append returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sync {
    /// It is.
    Now,
    /// It is once 64 of its kind have come, or the ring is sealed.
    Soon,
}

/// Where a ring lies and how large it may be.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) ring: LogRing,
    pub(super) device: DeviceId,
    /// The folder of both rings.
    pub(super) folder: PathBuf,
    pub(super) bytes_max: u64,
    pub(super) durable: Durable,
}

impl Place {
    fn ring(&self) -> PathBuf {
        self.folder.join(self.ring.as_str())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.ring().join(name)
    }

    fn bundle(&self, index: u64) -> PathBuf {
        // A bundle of 256 always has a name.
        let name = Tile::bundle(index, WIDTH).map(|tile| tile.to_string()).unwrap_or_default();
        self.ring().join(name)
    }

    /// Longest record, in bytes: a bundle of the longest records takes half of the ring.
    fn record_bytes_max(&self) -> usize {
        let share = usize::try_from(self.bytes_max / (2 * WIDTH_64)).unwrap_or(RECORD_BYTES_MAX);
        share.clamp(384, RECORD_BYTES_MAX)
    }
}

/// An open ring.
#[derive(Debug)]
pub(super) struct Ring {
    place: Place,
    grown: Grown,
    /// The epochs so far.
    epochs: Epochs,
    /// The records that began the epochs at hand, with that in force at the beginning first.
    begun: VecDeque<(u64, Vec<u8>)>,
    /// The length of each bundle, the oldest first.
    lengths: VecDeque<u64>,
    tail: Option<File>,
    unsynced: u32,
    sealer: Sealer,
    /// From where the server wants the next proof, and the epoch whose record it has.
    wanted: (u64, u64),
}

impl Ring {
    /// How many records it has had, and the root over them.
    pub(super) fn head(&self) -> LogHead {
        let edge = self.grown.edge();
        LogHead { size: edge.size(), hash: edge.root() }
    }

    /// The first entry that is still there.
    pub(super) fn from(&self) -> u64 {
        let whole = u64::try_from(self.lengths.len()).unwrap_or(0).saturating_mul(WIDTH_64);
        let end = self.grown.edge().size().div_ceil(WIDTH_64).saturating_mul(WIDTH_64);
        end.saturating_sub(whole)
    }

    /// Appends a record, whose sequence is given here.
    ///
    /// # Errors
    /// It is not on disk; the ring is as it was then.
    pub(super) fn append(
        &mut self,
        mut record: Record,
        sync: Sync,
    ) -> Result<(), ForensicLogError> {
        record.seq = self.grown.edge().size();
        let entry = fitted(&mut record, self.place.record_bytes_max())?;
        if record.seq.is_multiple_of(WIDTH_64) {
            self.begin_bundle(record.seq / WIDTH_64)?;
        }
        self.write(&entry, sync)?;
        let kind = || record.kind.to_string();
        self.grown
            .push(leaf_hash(&entry))
            .map_err(|source| ForensicLogError::Tree { kind: kind(), source })?;
        if record.kind == EPOCH {
            self.begun.push_back((record.seq, entry));
        }
        Ok(())
    }

    fn write(&mut self, entry: &[u8], sync: Sync) -> Result<(), ForensicLogError> {
        let index = self.grown.edge().size() / WIDTH_64;
        let path = self.place.bundle(index);
        let length = self.lengths.back().copied().unwrap_or(0);
        let tail = match &self.tail {
            Some(tail) => tail,
            None => {
                let opened = self.place.durable.disk().open(&path);
                self.tail.insert(opened.map_err(told("open", &path))?)
            }
        };
        let mut framed = Vec::with_capacity(entry.len().saturating_add(2));
        framed.extend(u16::try_from(entry.len()).unwrap_or(u16::MAX).to_be_bytes());
        framed.extend_from_slice(entry);
        let due = sync == Sync::Now || self.unsynced.saturating_add(1) >= UNSYNCED_MAX;
        let points = self.place.durable.points();
        if due {
            // What is not synced yet is no durable step.
            points.before("forensic-append").map_err(told("append to", &path))?;
        }
        let disk = self.place.durable.disk();
        let written = disk
            .write_at(tail, &path, &framed, length)
            .and_then(|()| if due { disk.sync(tail, &path) } else { Ok(()) });
        if let Err(err) = written {
            // Half a record must not stay: the next one would stand behind it.
            cut(tail, length, &path, &self.place.durable)?;
            return Err(told("append to", &path)(err).into());
        }
        self.unsynced = if due { 0 } else { self.unsynced.saturating_add(1) };
        if let Some(last) = self.lengths.back_mut() {
            *last = length.saturating_add(u64::try_from(framed.len()).unwrap_or(0));
        }
        if due {
            points.after("forensic-append").map_err(told("append to", &path))?;
        }
        Ok(())
    }

    /// Makes room, and the file of the next bundle. The one before is whole on disk first: what
    /// follows a torn bundle is not believed.
    fn begin_bundle(&mut self, index: u64) -> Result<(), ForensicLogError> {
        self.sync()?;
        self.prune()?;
        let path = self.place.bundle(index);
        let durable = &self.place.durable;
        if let Some(folder) = path.parent() {
            durable.folder(folder)?;
        }
        let file = durable.disk().create(&path, 0o644).map_err(told("make", &path))?;
        if let Some(folder) = path.parent() {
            durable.sync_folder(folder)?;
        }
        self.tail = Some(file);
        self.lengths.push_back(0);
        Ok(())
    }

    /// Puts what was appended on the disk.
    pub(super) fn sync(&mut self) -> Result<(), ForensicLogError> {
        if let Some(tail) = self.tail.as_ref().filter(|_| self.unsynced > 0) {
            let path = self.place.bundle(self.grown.edge().size().saturating_sub(1) / WIDTH_64);
            let points = self.place.durable.points();
            points.before("forensic-append").map_err(told("sync", &path))?;
            self.place.durable.disk().sync(tail, &path).map_err(told("sync", &path))?;
            points.after("forensic-append").map_err(told("sync", &path))?;
            self.unsynced = 0;
        }
        Ok(())
    }

    /// Drops the oldest bundles where the next one might not fit. What stays of them is durable
    /// before the first of them goes; one that the power left behind goes at the next start.
    fn prune(&mut self) -> Result<(), ForensicLogError> {
        let most = u64::try_from(self.place.record_bytes_max().saturating_add(2)).unwrap_or(0);
        let budget = self.place.bytes_max.saturating_sub(FRAME_BYTES);
        let next = most.saturating_mul(WIDTH_64).min(budget / 2);
        let mut total: u64 = self.lengths.iter().sum();
        if total.saturating_add(next) <= budget {
            return Ok(());
        }
        let goal = total.saturating_sub(budget / PRUNED_SHARE).min(budget.saturating_sub(next));
        let mut gone = 0_usize;
        while total > goal && gone < self.lengths.len() {
            total = total.saturating_sub(self.lengths.get(gone).copied().unwrap_or(0));
            gone = gone.saturating_add(1);
        }
        let first = self.from();
        let from = first.saturating_add(u64::try_from(gone).unwrap_or(0).saturating_mul(WIDTH_64));
        self.keep_base(from)?;
        let points = self.place.durable.points().clone();
        points.before("forensic-prune").map_err(told("prune", &self.place.ring()))?;
        for index in first / WIDTH_64..from / WIDTH_64 {
            let path = self.place.bundle(index);
            match self.place.durable.disk().remove(&path) {
                Err(err) if err.kind() != io::ErrorKind::NotFound => {
                    return Err(told("prune", &path)(err).into());
                }
                _ => {}
            }
            self.lengths.pop_front();
        }
        self.grown.forget(from);
        points.after("forensic-prune").map_err(told("prune", &self.place.ring()))?;
        Ok(())
    }

    fn keep_base(&mut self, from: u64) -> Result<(), ForensicLogError> {
        while self.begun.get(1).is_some_and(|(seq, _)| *seq < from) {
            self.begun.pop_front();
        }
        let epoch = self.begun.front().map(|(_, entry)| entry.clone()).unwrap_or_default();
        let tree = |source| ForensicLogError::Tree { kind: "base".to_owned(), source };
        let before = self.grown.edge_at(from).map_err(tree)?;
        let bytes = Base { before, epoch }.to_bytes();
        let path = self.place.file("base");
        Ok(self.place.durable.write(&path, &bytes, Access::Folder, "forensic-base")?)
    }

    /// Seals the ring where it has grown: its records are durable before the checkpoint is, and the
    /// checkpoint before anybody gets it.
    ///
    /// # Errors
    /// One of them is not on disk.
    pub(super) fn seal(&mut self) -> Result<(), ForensicLogError> {
        let head = self.head();
        if self.sealer.sealed().is_some_and(|sealed| sealed.size == head.size) {
            return Ok(());
        }
        self.sync()?;
        self.sealer.seal(&self.place, &head)
    }

    /// Begins an epoch: a new key seals from here on, and the one before is erased. `record` is the
    /// record without kind and particulars.
    ///
    /// # Errors
    /// Something is not on disk, or there is no randomness. Wherever that happens, one of the two
    /// keys is there and fits the log.
    pub(super) fn begin_epoch(
        &mut self,
        mut record: Record,
        vouch: Vouch<'_>,
    ) -> Result<(), ForensicLogError> {
        let number = self.epochs.number().saturating_add(1);
        let seq = self.grown.edge().size();
        let next = self.sealer.prepare(&self.place, (number, seq), vouch)?;
        record.kind = EPOCH;
        record.detail = next.detail();
        self.append(record, Sync::Now)?;
        self.epochs = Epochs::after(&self.origin(), number, next.public());
        self.sealer.promote(&self.place, next)?;
        self.seal()
    }

    /// Whether it has a key that seals it.
    pub(super) const fn has_epoch(&self) -> bool {
        self.epochs.number() > 0
    }

    fn origin(&self) -> String {
        self.place.ring.origin(&self.place.device)
    }

    /// The growth since the server's last word; none where it has all of it.
    ///
    /// # Errors
    /// The ring cannot be sealed.
    pub(super) fn growth(&mut self) -> Result<Option<LogGrowth>, ForensicLogError> {
        self.seal()?;
        let Some(sealed) = self.sealer.sealed() else { return Ok(None) };
        let (from, known) = self.wanted;
        if from == sealed.size && known == self.epochs.number() {
            return Ok(None);
        }
        let leaves = |index| self.leaves(index);
        // What was pruned proves nothing; an empty proof says so.
        let proof = self.grown.consistency_from(from, leaves).unwrap_or_default();
        let epoch = (known != self.epochs.number())
            .then(|| self.begun.back().map(|(_, entry)| base64(entry)))
            .flatten();
        let checkpoint = sealed.note.to_text();
        Ok(Some(LogGrowth { ring: self.place.ring, checkpoint, from, proof, epoch }))
    }

    /// The hashes of the entries of a bundle, read from the disk.
    fn leaves(&self, index: u64) -> Option<Vec<Sha256Digest>> {
        let bytes = fs::read(self.place.bundle(index)).ok()?;
        Some(read_entries(&bytes).ok()?.into_iter().map(leaf_hash).collect())
    }

    /// Takes the server's word on what it has. A cosigned checkpoint is kept only where it is of
    /// this very log and one of the witness' keys has signed it.
    ///
    /// # Errors
    /// It cannot be kept.
    pub(super) fn witnessed(
        &mut self,
        word: &LogWitnessed,
        is_witness: impl Fn(&SignedNote) -> bool,
    ) -> Result<(), ForensicLogError> {
        self.wanted = (word.size, word.epoch);
        let Some(text) = &word.checkpoint else { return Ok(()) };
        let Ok(note) = SignedNote::parse(text) else { return Ok(()) };
        let ours = self.sealer.sealed().is_some_and(|sealed| sealed.note.text() == note.text());
        if !ours || !is_witness(&note) {
            return Ok(());
        }
        let path = self.place.file("witnessed");
        let bytes = text.as_bytes();
        Ok(self.place.durable.write(&path, bytes, Access::Folder, "forensic-witnessed")?)
    }

    /// The ring as files of a bundle, sealed: their paths below the ring's own folder.
    ///
    /// # Errors
    /// It cannot be sealed or read.
    pub(super) fn files(&mut self) -> Result<Vec<(String, Content)>, ForensicLogError> {
        self.seal()?;
        let mut files = Vec::new();
        if let Some(Sealed { note, .. }) = self.sealer.sealed() {
            files.push(("checkpoint".to_owned(), Content::Bytes(note.to_text().into_bytes())));
        }
        let small = |name: &str| durable::read(&self.place.file(name), 256 * 1024);
        if let Some(witnessed) = small("witnessed")? {
            files.push(("witnessed".to_owned(), Content::Bytes(witnessed)));
        }
        if self.from() > 0
            && let Some(base) = small("base")?
        {
            files.push(("base".to_owned(), Content::Bytes(base)));
        }
        for (tile, hashes) in self.grown.upper_tiles() {
            files.push((tile.to_string(), Content::Bytes(write_hashes(&hashes))));
        }
        let size = self.grown.edge().size();
        for (index, length) in (self.from() / WIDTH_64..).zip(&self.lengths) {
            let width = size.saturating_sub(index.saturating_mul(WIDTH_64)).min(WIDTH_64);
            let Some(tile) = Tile::bundle(index, usize::try_from(width).unwrap_or(0)) else {
                continue;
            };
            files.push((tile.to_string(), Content::File(self.place.bundle(index), *length)));
        }
        Ok(files)
    }

    /// The newest records, at most so many.
    ///
    /// # Errors
    /// They cannot be read.
    pub(super) fn records(&self, most: usize) -> Result<Vec<Record>, ForensicLogError> {
        let first = self.from() / WIDTH_64;
        let bundles = u64::try_from(self.lengths.len()).unwrap_or(0);
        let wanted = u64::try_from(most.div_ceil(WIDTH)).unwrap_or(u64::MAX).saturating_add(1);
        let mut records = Vec::new();
        for index in
            first.saturating_add(bundles.saturating_sub(wanted))..first.saturating_add(bundles)
        {
            let path = self.place.bundle(index);
            let bytes = fs::read(&path).map_err(told("read", &path))?;
            let entries = read_entries(&bytes).unwrap_or_default();
            records.extend(entries.into_iter().filter_map(|entry| Record::parse(entry).ok()));
        }
        Ok(records.split_off(records.len().saturating_sub(most)))
    }
}

/// The records of a ring in a folder, as far as they are whole.
pub(super) fn kept(folder: &Path) -> Result<Vec<Record>, DurableError> {
    let most = u64::try_from(BASE_BYTES_MAX).unwrap_or(u64::MAX);
    let base = durable::read(&folder.join("base"), most)?;
    let base = base.and_then(|bytes| Base::parse(&bytes).ok());
    let first = base.map_or(0, |base| base.before.size() / WIDTH_64);
    let mut records = Vec::new();
    for index in first.. {
        let name = Tile::bundle(index, WIDTH).map(|tile| tile.to_string()).unwrap_or_default();
        let Some(bytes) = durable::read(&folder.join(name), read::BUNDLE_BYTES_MAX)? else { break };
        let recovered = recover(&bytes, index.saturating_mul(WIDTH_64));
        records.extend(recovered.records);
    }
    Ok(records)
}

fn cut(file: &File, length: u64, path: &Path, durable: &Durable) -> Result<(), DurableError> {
    let points = durable.points();
    points.before("forensic-cut").map_err(told("cut", path))?;
    let disk = durable.disk();
    disk.set_length(file, path, length).map_err(told("cut", path))?;
    disk.sync(file, path).map_err(told("sync", path))?;
    points.after("forensic-cut").map_err(told("cut", path))
}

/// The record's bytes, its texts cut until they fit: a record is never lost for its words.
fn fitted(record: &mut Record, bytes_max: usize) -> Result<Vec<u8>, ForensicLogError> {
    let mut last = None;
    for text_bytes_max in [usize::MAX, 512, 256, 128, 64, 40] {
        if text_bytes_max < usize::MAX {
            record.detail = shortened(&record.detail, text_bytes_max);
        }
        match record.to_bytes() {
            Ok(bytes) if bytes.len() <= bytes_max => return Ok(bytes),
            Ok(_) => {}
            Err(source) => last = Some(source),
        }
    }
    record.detail = Detail::none().text("cut", "the particulars do not fit");
    record.to_bytes().map_err(|source| {
        let kind = record.kind.to_string();
        ForensicLogError::Append { kind, source: last.unwrap_or(source) }
    })
}

fn shortened(detail: &Detail, text_bytes_max: usize) -> Detail {
    let mut short = Detail::none();
    for (key, value) in detail.iter().take(DETAILS_MAX) {
        let key = plain(key, 64);
        short = match value {
            DetailValue::Text(text) => short.text(key, plain(text, text_bytes_max)),
            DetailValue::Natural(number) => short.number(key, *number),
            DetailValue::Negative(number) => short.number(key, *number),
        };
    }
    short
}

fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The edge before the first entry, and the record of the epoch in force there.
fn base_of(place: &Place) -> Result<Option<Base>, DurableError> {
    let most = u64::try_from(BASE_BYTES_MAX).unwrap_or(u64::MAX);
    let bytes = durable::read(&place.file("base"), most)?;
    Ok(bytes.and_then(|bytes| Base::parse(&bytes).ok()))
}

fn empty() -> Grown {
    Grown::from(Edge::new())
}

#[cfg(test)]
mod tests;
