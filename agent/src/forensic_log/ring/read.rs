//! Opening a ring: its bundles are read from the first to the last, each record checked, a torn end
//! cut off. A ring that is damaged in any other way is moved aside, whole, and another begins.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol_evidence::device_log::epoch::{EPOCH, Epochs, NewEpoch};
use lazaret_protocol_evidence::device_log::grown::Grown;
use lazaret_protocol_evidence::device_log::record::{RECORD_BYTES_MAX, Record};
use lazaret_protocol_evidence::device_log::recovery::recover;
use lazaret_protocol_evidence::tlog::checkpoint::Checkpoint;
use lazaret_protocol_evidence::tlog::tile::read_entries;
use lazaret_protocol_evidence::tlog::tree::leaf_hash;

use super::{Place, Ring, WIDTH, WIDTH_64, base_of, cut, empty};
use crate::durable::{self, DurableError, told};
use crate::forensic_log::seal::{Sealed, Sealer};

/// Longest bundle, in bytes.
pub(super) const BUNDLE_BYTES_MAX: u64 = (WIDTH * (RECORD_BYTES_MAX + 2)) as u64;

/// What was found of a ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::forensic_log) enum Finding {
    /// It is as it was left.
    Whole,
    /// The power left an end of so many bytes and that digest that is no record. It is cut off.
    Torn { bytes: u64, sha256: Sha256Digest },
    /// It is not what was sealed. It lies aside under this name, and a new ring begins.
    Damaged { why: String, kept_as: String },
}

/// Why a ring cannot go on.
enum Stop {
    /// The disk says no.
    Durable(DurableError),
    /// It is not what this agent left.
    Damaged(String),
}

impl From<DurableError> for Stop {
    fn from(err: DurableError) -> Self {
        Self::Durable(err)
    }
}

fn damaged(why: impl Into<String>) -> Stop {
    Stop::Damaged(why.into())
}

impl Ring {
    /// Opens the ring, or begins it.
    ///
    /// # Errors
    /// The disk says no.
    pub(in crate::forensic_log) fn open(place: Place) -> Result<(Self, Finding), DurableError> {
        place.durable.folder(&place.ring())?;
        match Self::read(&place) {
            Ok((ring, finding)) => Ok((ring, finding)),
            Err(Stop::Durable(err)) => Err(err),
            Err(Stop::Damaged(why)) => {
                let kept_as = move_aside(&place)?;
                place.durable.folder(&place.ring())?;
                let ring = Self::begun(place, Sealer::default());
                Ok((ring, Finding::Damaged { why, kept_as }))
            }
        }
    }

    fn begun(place: Place, sealer: Sealer) -> Self {
        let identity = lazaret_protocol::key::PublicKey::Ed25519(Vec::new());
        let epochs = Epochs::before_first(&place.ring.origin(&place.device), identity);
        Self {
            place,
            grown: empty(),
            epochs,
            begun: VecDeque::new(),
            lengths: VecDeque::new(),
            tail: None,
            unsynced: 0,
            sealer,
            wanted: (0, 0),
        }
    }

    fn read(place: &Place) -> Result<(Self, Finding), Stop> {
        let mut ring = Self::begun(place.clone(), Sealer::default());
        let base = base_of(place)?;
        if base.is_none() && place.file("base").exists() {
            return Err(damaged("what stays of its pruned part cannot be read"));
        }
        if let Some(base) = base {
            let record = Record::parse(&base.epoch);
            let record = record.map_err(|err| damaged(format!("its first epoch: {err}")))?;
            ring.begun.push_back((record.seq, base.epoch));
            ring.grown = Grown::from(base.before);
        }
        let sealed = Sealer::open(place, None)?.and_then(|sealer| sealer.sealed().cloned());
        let finding = ring.replay(sealed.as_ref())?;
        let public = ring.last_epoch()?;
        let sealer = Sealer::open(place, public)?;
        ring.sealer = sealer.ok_or_else(|| damaged("the key of its last epoch is gone"))?;
        Ok((ring, finding))
    }

    /// The public key of the last epoch at hand; the chain up to there is this agent's own writing,
    /// and strangers check it.
    fn last_epoch(&mut self) -> Result<Option<[u8; 32]>, Stop> {
        let Some((_, entry)) = self.begun.back() else { return Ok(None) };
        let origin = self.origin();
        let epoch = Record::parse(entry)
            .map_err(|err| err.to_string())
            .and_then(|record| NewEpoch::of(&origin, &record).map_err(|err| err.to_string()))
            .map_err(damaged)?;
        self.epochs = Epochs::after(&origin, epoch.number, epoch.public);
        Ok(Some(epoch.public))
    }

    /// Reads every bundle, and holds the tree against the seal.
    fn replay(&mut self, sealed: Option<&Sealed>) -> Result<Finding, Stop> {
        let first = self.grown.edge().size() / WIDTH_64;
        let mut finding = Finding::Whole;
        let mut sealed_root = None;
        for index in first.. {
            let path = self.place.bundle(index);
            let Some(bytes) = durable::read(&path, BUNDLE_BYTES_MAX)? else { break };
            let recovered = recover(&bytes, index.saturating_mul(WIDTH_64));
            let entries = bytes.get(..recovered.good_length).unwrap_or_default();
            let entries = read_entries(entries).map_err(|err| damaged(err.to_string()))?;
            for (entry, record) in entries.into_iter().zip(&recovered.records) {
                let pushed = self.grown.push(leaf_hash(entry));
                pushed.map_err(|err| damaged(err.to_string()))?;
                if record.kind == EPOCH {
                    self.begun.push_back((record.seq, entry.to_vec()));
                }
                if sealed.is_some_and(|sealed| sealed.size == self.grown.edge().size()) {
                    sealed_root = Some(self.grown.edge().root());
                }
            }
            self.lengths.push_back(u64::try_from(recovered.good_length).unwrap_or(u64::MAX));
            let rest = bytes.get(recovered.good_length..).unwrap_or_default();
            let full = recovered.records.len() == WIDTH;
            if self.place.bundle(index.saturating_add(1)).exists() {
                if !full || !rest.is_empty() {
                    return Err(damaged(format!("bundle {index} is not whole")));
                }
                continue;
            }
            if !rest.is_empty() {
                let file = self.place.durable.disk().open(&path).map_err(told("open", &path))?;
                finding = torn(rest);
                let good = u64::try_from(recovered.good_length).unwrap_or(u64::MAX);
                self.holds(sealed, sealed_root)?;
                cut(&file, good, &path, &self.place.durable)?;
            }
            if recovered.records.is_empty() {
                // A bundle that was begun and has no record: it is begun again.
                self.lengths.pop_back();
            }
            break;
        }
        self.holds(sealed, sealed_root)?;
        self.sweep(first)?;
        Ok(finding)
    }

    /// Whether everything that was sealed is there as it was.
    fn holds(&self, sealed: Option<&Sealed>, root: Option<Sha256Digest>) -> Result<(), Stop> {
        let Some(sealed) = sealed else { return Ok(()) };
        let size = self.grown.edge().size();
        if size < sealed.size {
            return Err(damaged(format!(
                "expected {} records as sealed, found {size}",
                sealed.size
            )));
        }
        let checkpoint: Option<Checkpoint> = sealed.note.text().parse().ok();
        match (checkpoint, root) {
            (Some(checkpoint), Some(root)) if checkpoint.root != root => {
                Err(damaged(format!("its first {} records are not those sealed", sealed.size)))
            }
            _ => Ok(()),
        }
    }

    /// Bundles that were pruned, and whose deletion the power cut short.
    fn sweep(&self, first: u64) -> Result<(), Stop> {
        for index in (0..first).rev() {
            let path = self.place.bundle(index);
            match self.place.durable.disk().remove(&path) {
                Ok(()) => {}
                Err(err) if err.kind() == io::ErrorKind::NotFound => break,
                Err(err) => return Err(told("prune", &path)(err).into()),
            }
        }
        Ok(())
    }
}

fn torn(rest: &[u8]) -> Finding {
    let bytes = u64::try_from(rest.len()).unwrap_or(u64::MAX);
    Finding::Torn { bytes, sha256: Sha256Digest::of(rest) }
}

/// Moves the ring's folder aside. Its keys are erased by the first epoch of the ring that follows.
fn move_aside(place: &Place) -> Result<String, DurableError> {
    let path = place.ring();
    for number in 1..1000_u32 {
        let name = format!("{}.damaged-{number}", place.ring.as_str());
        let aside: PathBuf = place.folder.join(&name);
        if !aside.exists() {
            place.durable.rename(&path, &aside, "forensic-aside")?;
            return Ok(name);
        }
    }
    Err(told("move aside", &path)(io::ErrorKind::AlreadyExists.into()))
}
