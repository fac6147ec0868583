//! The quarantine that this device goes by, on its disk: the order as it was signed, the nonce that
//! a release has to name, and what came of the measures. The journal says whether there is one; the
//! order beside it, verified anew each time, says what it asks for. A device whose order is lost or
//! does not verify closes everything, and says so.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use lazaret_agent_core::journal::{Journal, Quarantine};
use lazaret_protocol::anchors::Anchors;
use lazaret_protocol::containment::{ContainmentWord, Level, MeasureWord, Terms};
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::order::{Order, OrderKind};
use lazaret_protocol::signed::Envelope;
use serde::{Deserialize, Serialize};

use crate::cli::chain;
use crate::config::Config;
use crate::durable::{self, Access, Copied, Durable, DurableError, JournalFile};
use crate::measures::{self, Wanted};
use crate::program;
use crate::verify::{Findings, Repository};

/// Largest stored order, in bytes: an envelope of at most 64 KiB in base64, and its nonce.
const STORED_BYTES_MAX: u64 = 128 * 1024;

/// How long another program may take to carry the measures out, in milliseconds.
const COMMAND_MS: u64 = 300_000;

/// The addresses to which the agent itself connects while its network is closed: there are no
/// names then. Shared by everything that connects.
#[derive(Debug, Clone, Default)]
pub struct Pins(Arc<RwLock<Option<Vec<SocketAddr>>>>);

impl Pins {
    /// The addresses with this port; none where names are looked up as usual.
    #[must_use]
    pub fn of_port(&self, port: u16) -> Option<Vec<SocketAddr>> {
        let pins = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let pins = pins.as_ref()?;
        Some(pins.iter().filter(|address| address.port() == port).copied().collect())
    }

    /// Connects to these alone from here on; to any where there are none.
    pub fn set(&self, addresses: Option<Vec<SocketAddr>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = addresses;
    }
}

/// An order to enter quarantine, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// The order as it was signed.
    pub envelope: Envelope,
    /// What a release has to name: made here, and new with every order.
    pub nonce: Sha256Digest,
}

/// What the measures came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The order, none where the device is free.
    pub order: Option<u64>,
    /// Each measure.
    pub measures: Vec<MeasureWord>,
}

impl Verdict {
    /// Why the order is not in force; none where every measure is proved.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        let failed = self.measures.iter().filter_map(|measure| {
            measure.failed.as_ref().map(|why| format!("{}: {why}", measure.name))
        });
        let failed: Vec<String> = failed.collect();
        if failed.is_empty() { None } else { Some(failed.join("; ")) }
    }
}

/// The folder of all this.
#[must_use]
pub fn folder(state_dir: &Path) -> PathBuf {
    state_dir.join("containment")
}

fn order_path(state_dir: &Path, order: u64) -> PathBuf {
    folder(state_dir).join(format!("{order}.json"))
}

/// Keeps an order before the journal names it, with a nonce of its own. One that is kept already
/// keeps its nonce.
///
/// # Errors
/// The file system said no, or the system has no randomness.
pub fn keep(
    durable: &Durable,
    state_dir: &Path,
    (order, envelope): (u64, &Envelope),
) -> Result<(), KeepError> {
    durable.folder(&folder(state_dir))?;
    let mut nonce = [0; 32];
    getrandom::fill(&mut nonce).map_err(|err| KeepError::Randomness(err.to_string()))?;
    let stored = Stored { envelope: envelope.clone(), nonce: Sha256Digest::from_bytes(nonce) };
    let bytes = serde_json::to_vec(&stored).map_err(|err| KeepError::Malformed(err.to_string()))?;
    let path = order_path(state_dir, order);
    Ok(durable.write(&path, &bytes, Access::Owner, "containment-order")?)
}

/// An order that could not be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeepError {
    /// The file system said no.
    #[error("order cannot be kept")]
    Durable(#[from] DurableError),
    /// The system gives no randomness.
    #[error("the system gives no randomness: {0}")]
    Randomness(String),
    /// It has no bytes.
    #[error("order has no bytes: {0}")]
    Malformed(String),
}

/// The order of that number as it is kept; none where it is lost or cannot be read.
#[must_use]
pub fn stored(state_dir: &Path, order: u64) -> Option<Stored> {
    let bytes = durable::read(&order_path(state_dir, order), STORED_BYTES_MAX).ok()??;
    serde_json::from_slice(&bytes).ok()
}

/// Deletes every kept order but the one that the journal names.
pub fn sweep(state_dir: &Path, keep: Option<u64>) {
    let kept = keep.map(|order| format!("{order}.json"));
    let Ok(entries) = std::fs::read_dir(folder(state_dir)) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let number = name.strip_suffix(".json").is_some_and(|stem| stem.parse::<u64>().is_ok());
        if number && Some(&name) != kept.as_ref() {
            // One that stays is in nobody's way.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// What the journal's quarantine asks of this device, from the kept order, verified anew.
///
/// # Errors
/// Why the kept order cannot be used; the terms are then those that close everything.
pub fn terms(
    state_dir: &Path,
    quarantine: &Quarantine,
    anchors: Option<&Anchors>,
) -> Result<Terms, (Terms, String)> {
    let Quarantine::Held { order: number, level, .. } = quarantine else {
        return Ok(Terms::of(Level::Observe));
    };
    if !level.closes_network() && stored(state_dir, *number).is_none() {
        // From before orders were kept: there is nothing that a device would have to do.
        return Ok(Terms::of(*level));
    }
    let unusable = |why: String| (Terms::of(*level), why);
    let Some(stored) = stored(state_dir, *number) else {
        return Err(unusable(format!("order {number} is lost")));
    };
    let keys = anchors.map_or(&[][..], |anchors| &anchors.order_keys);
    let order = stored.envelope.verify::<Order>(keys).map_err(|err| unusable(chain(&err)))?;
    let order = order.into_message();
    if order.sequence != *number {
        return Err(unusable(format!("order {number} is kept as {}", order.sequence)));
    }
    match order.kind {
        OrderKind::Quarantine { terms, .. } if terms.level == *level => {
            terms.check().map_err(|err| unusable(err.to_string()))?;
            Ok(terms)
        }
        _ => Err(unusable(format!("order {number} asks for something else"))),
    }
}

/// Carries out what the journal says: the measures of its quarantine, or none of them. This is all
/// that happens before the network comes up, and it asks the network for nothing.
#[must_use]
pub fn apply(config: &Config, durable: &Durable, journal: &Journal) -> Verdict {
    let (order, wanted) = wanted(config, journal);
    let folder = folder(&config.state_dir);
    let verdict = match &journal.quarantine {
        Quarantine::Free => Verdict { order: None, measures: measures::undo_all(&folder) },
        Quarantine::Held { .. } => {
            let (terms, unusable) = match wanted {
                Ok(terms) => (terms, None),
                Err((terms, why)) => (terms, Some(why)),
            };
            let made = durable.folder(&folder);
            let mut measures =
                measures::carry_out(Wanted { terms: &terms, folder: &folder, durable });
            let failed = unusable.or_else(|| made.err().map(|err| chain(&err)));
            if let Some(why) = failed {
                measures.push(MeasureWord { name: "order".into(), failed: Some(why) });
            }
            Verdict { order, measures }
        }
    };
    let bytes = serde_json::to_vec(&verdict).unwrap_or_default();
    if folder.exists() {
        let path = folder.join("verdict.json");
        // Nothing rests on this file over a restart: the verdict is made anew.
        #[allow(clippy::disallowed_methods, reason = "nothing that has to last")]
        if let Err(err) = std::fs::write(&path, bytes) {
            tracing::warn!("{} cannot be written: {err}", path.display());
        }
    }
    verdict
}

/// Tries what the journal asks for, and changes nothing.
#[must_use]
pub fn look(config: &Config, durable: &Durable, journal: &Journal) -> Verdict {
    let (order, wanted) = wanted(config, journal);
    if journal.quarantine == Quarantine::Free {
        return Verdict { order: None, measures: Vec::new() };
    }
    let (terms, unusable) = match wanted {
        Ok(terms) => (terms, None),
        Err((terms, why)) => (terms, Some(why)),
    };
    let folder = folder(&config.state_dir);
    let mut measures = measures::look(Wanted { terms: &terms, folder: &folder, durable });
    measures.extend(unusable.map(|why| MeasureWord { name: "order".into(), failed: Some(why) }));
    Verdict { order, measures }
}

fn wanted(config: &Config, journal: &Journal) -> (Option<u64>, Result<Terms, (Terms, String)>) {
    let repository = Repository::new(&config.state_dir, &config.tuf_root, Durable::default());
    let anchors = repository.cached_anchors(&mut Findings::default());
    let terms = terms(&config.state_dir, &journal.quarantine, anchors.as_ref());
    (journal.quarantine.order(), terms)
}

/// As [`apply`], by the program that the settings name where there is one: the agent itself may not
/// be allowed to touch the network.
#[must_use]
pub fn carry_out(config: &Config, durable: &Durable, journal: &Journal) -> Verdict {
    pin(config, journal);
    if config.measures_command.is_empty() {
        return apply(config, durable, journal);
    }
    let order = journal.quarantine.order();
    let failed = |why: String| Verdict {
        order,
        measures: vec![MeasureWord { name: "measures_command".into(), failed: Some(why) }],
    };
    let path = folder(&config.state_dir).join("verdict.json");
    // An old verdict must not pass for the new one.
    let _ = std::fs::remove_file(&path);
    if let Err(err) = program::run(&config.measures_command, &[], COMMAND_MS) {
        tracing::warn!("measures_command: {} {}", err.why, err.output);
    }
    let bytes = match durable::read(&path, STORED_BYTES_MAX) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return failed("it has left no verdict".into()),
        Err(err) => return failed(chain(&err)),
    };
    match serde_json::from_slice::<Verdict>(&bytes) {
        Ok(verdict) if verdict.order == order => verdict,
        Ok(verdict) => failed(format!("its verdict is on order {:?}", verdict.order)),
        Err(err) => failed(err.to_string()),
    }
}

/// Has the agent connect to the ordered addresses alone while its network is closed.
pub fn pin(config: &Config, journal: &Journal) {
    let closes = journal.quarantine.level().is_some_and(Level::closes_network);
    let open = closes.then(|| {
        let (_, terms) = wanted(config, journal);
        terms.unwrap_or_else(|(terms, _)| terms).open_once()
    });
    config.pins.set(open);
}

/// What a poll says of it.
#[must_use]
pub fn word(
    state_dir: &Path,
    quarantine: &Quarantine,
    verdict: Option<&Verdict>,
) -> Option<ContainmentWord> {
    let Quarantine::Held { order, level, .. } = quarantine else { return None };
    let tried = verdict.filter(|verdict| verdict.order == Some(*order));
    Some(ContainmentWord {
        order: *order,
        level: *level,
        nonce: stored(state_dir, *order).map(|stored| stored.nonce),
        measures: tried.map(|verdict| verdict.measures.clone()).unwrap_or_default(),
    })
}

/// The journal as far as it can be read, for the program that runs before the network: where both
/// its records are lost, its copy says whether there is a quarantine.
///
/// # Errors
/// Neither can be read. That is no device in quarantine and no free one either.
pub fn journal(config: &Config) -> Result<Journal, DurableError> {
    let path = config.journal();
    if !path.exists() && !config.state_dir.join("journal.copy").exists() {
        return Ok(Journal::fresh());
    }
    match JournalFile::load(&path) {
        Ok(journal) => Ok(journal),
        Err(err) => match JournalFile::load_copy(&path) {
            Copied::Good(copy) => Ok(*copy),
            _ => Err(err),
        },
    }
}

#[cfg(test)]
mod tests;
