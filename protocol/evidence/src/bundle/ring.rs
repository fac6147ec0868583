//! A ring of the forensic log from the files of a bundle.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use lazaret_protocol::poll::LogRing;

use super::{Parts, Signer};
use crate::device_log::base::Base;
use crate::device_log::epoch::Epochs;
use crate::device_log::record::Record;
use crate::device_log::verify::{self, Proved, Witnessed, witness_keys};
use crate::manifest::LOG_FOLDER;
use crate::tlog::checkpoint::Checkpoint;
use crate::tlog::note::SignedNote;
use crate::tlog::tile::{Tile, read_entries};
use crate::tlog::tree::Edge;
use crate::verdict::{CheckName, Fault, Since};

/// The paths of a ring begin so.
pub(super) fn prefix(ring: LogRing) -> String {
    format!("{LOG_FOLDER}{}/", ring.as_str())
}

/// The check that a ring is whole.
pub(super) const fn check_of(ring: LogRing) -> CheckName {
    match ring {
        LogRing::Security => CheckName::SecurityLog,
        LogRing::Operations => CheckName::OperationsLog,
    }
}

/// Reads a ring and proves it.
pub(super) fn read(
    ring: LogRing,
    parts: &Parts<'_>,
    signer: &Signer,
    since: Since,
) -> Result<Proved, Fault> {
    let prefix = prefix(ring);
    let unreadable = |what: String| Fault::LogUnreadable { ring, what, since };
    let content = |name: &str| parts.content.get(&format!("{prefix}{name}")).map(Vec::as_slice);
    let note = |name: &str| {
        let bytes = content(name)?;
        let text = core::str::from_utf8(bytes).map_err(|err| err.to_string());
        let note = text.and_then(|text| SignedNote::parse(text).map_err(|err| err.to_string()));
        Some(note.map_err(|err| unreadable(format!("{name}: {err}"))))
    };
    let missing = || Fault::Missing { name: format!("{prefix}checkpoint") };
    let seal = note("checkpoint").ok_or_else(missing)??;
    let origin = ring.origin(&signer.device);
    let (before, epochs) = match content("base") {
        None => (Edge::new(), Epochs::before_first(&origin, signer.key.clone())),
        Some(bytes) => {
            let base = Base::parse(bytes).map_err(|err| unreadable(format!("base: {err}")))?;
            let begun = Record::parse(&base.epoch)
                .map_err(|err| unreadable(format!("the epoch in its base: {err}")))?;
            let epochs = Epochs::vouched(&origin, &signer.key, &begun)
                .map_err(|err| unreadable(format!("the epoch in its base: {err}")))?;
            (base.before, epochs)
        }
    };
    let bundles = bundles(parts, &prefix, before.size() >> 8).map_err(&unreadable)?;
    let mut entries = Vec::new();
    for (name, bytes) in bundles {
        let read = read_entries(bytes).map_err(|err| unreadable(format!("{name}: {err}")))?;
        entries.extend(read);
    }
    let witnessed = match note("witnessed") {
        Some(note) if !parts.witnesses.is_empty() => Some(head_of(&note?, (ring, &origin), parts)?),
        _ => None,
    };
    let witnessed = witnessed
        .as_ref()
        .map(|checkpoint| Witnessed { size: checkpoint.size, root: &checkpoint.root });
    let parts = verify::Parts { before, epochs, entries, seal: &seal, origin: &origin, witnessed };
    verify::verify(&parts).map_err(|fault| Fault::LogBroken { ring, fault, since })
}

/// What a witness cosigned, where one of its keys has.
fn head_of(
    note: &SignedNote,
    (ring, origin): (LogRing, &str),
    parts: &Parts<'_>,
) -> Result<Checkpoint, Fault> {
    let keys = witness_keys(parts.witnesses);
    note.verify(&keys).map_err(|source| Fault::NotWitnessed { ring, source })?;
    let unreadable = |what: String| Fault::LogUnreadable { ring, what, since: Since::Unknown };
    let head: Checkpoint =
        note.text().parse().map_err(|err| unreadable(format!("witnessed: {err}")))?;
    if head.origin != origin {
        return Err(unreadable(format!("witnessed: it is of {}, not of {origin}", head.origin)));
    }
    Ok(head)
}

/// The bundles of entries in their order, without a gap from the first on.
fn bundles<'a>(
    parts: &'a Parts<'_>,
    prefix: &str,
    first: u64,
) -> Result<Vec<(&'a str, &'a [u8])>, String> {
    let mut found: Vec<(u64, &str, &[u8])> = Vec::new();
    for (name, bytes) in parts.content {
        let Some(path) = name.strip_prefix(prefix).filter(|path| path.starts_with("tile/entries/"))
        else {
            continue;
        };
        let tile: Tile = path.parse().map_err(|err| format!("{err}"))?;
        let count = read_entries(bytes).map(|entries| entries.len());
        if count != Ok(tile.width()) {
            return Err(format!("expected {} entries in {path}", tile.width()));
        }
        found.push((tile.index(), name, bytes));
    }
    found.sort_unstable_by_key(|(index, _, _)| *index);
    for (expected, (index, _, _)) in (first..).zip(&found) {
        if *index != expected {
            return Err(format!("expected the bundle of entries {expected}, found {index}"));
        }
    }
    Ok(found.into_iter().map(|(_, name, bytes)| (name, bytes)).collect())
}
