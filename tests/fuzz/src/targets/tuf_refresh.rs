//! A whole refresh: the input is a sequence of pieces, parted by the byte 0xFF, which no metadata
//! has. The first is the state of the device (which of its files it has), and the others are
//! answered in turn to whatever is asked for: empty for a file that is not there, `=` for the good
//! one, and otherwise as it is or signed.

use std::collections::BTreeMap;

use lazaret_protocol_tuf::{Floors, Limits, Machine, Refresh, Stored, Supplied, Want};
use serde_json::Value;

use super::tuf_role::{WANTED, now, repository, root_of};
use crate::signer;

const PARTED_BY: u8 = 0xff;

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let pieces = |pieces: &[&[u8]]| pieces.join(&PARTED_BY);
    let root = root_of(2).to_string().into_bytes();
    let root_3 = root_of(3).to_string().into_bytes();
    vec![
        pieces(&[b"", b"", b"=", b"=", b"=", b"="]),
        pieces(&[b"\x0f", b"", b"="]),
        pieces(&[b"\x03", &root, &root_3, b"", b"=", b"=", b"=", b"="]),
        pieces(&[b"\x01", &root, &root_3, b"", b"=", b"=", b"=", b""]),
    ]
}

pub(crate) fn run(input: &[u8]) {
    let good = repository();
    let mut pieces = input.split(|byte| *byte == PARTED_BY);
    let has = pieces.next().and_then(|state| state.first().copied()).unwrap_or(0);
    let mut answers = pieces;
    let Some(mut refresh) = begin(has, &good) else { return };
    if !drive(&mut refresh, &good, &mut answers) {
        return;
    }
    let mut trusted = refresh.finish().expect("a refresh without an error has an outcome");
    let mut search = trusted.find(WANTED);
    let told = drive(&mut search, &good, &mut answers);
    assert!(told || search.finish().is_err(), "a target was found after an error");
}

/// The device has a good root, and those other files whose bit is set.
fn begin(has: u8, good: &BTreeMap<String, Vec<u8>>) -> Option<Refresh> {
    let file = |bit: u8, name: &str| good.get(name).filter(|_| has & bit != 0).cloned();
    let mut stored = Stored::factory(signer::tuf_file(&root_of(1))?);
    stored.timestamp = file(1, "timestamp.json");
    stored.snapshot = file(2, "1.snapshot.json");
    stored.roles.extend(file(4, "1.targets.json").map(|bytes| ("targets".to_string(), bytes)));
    stored.roles.extend(file(8, "1.rel-m.json").map(|bytes| ("rel-m".to_string(), bytes)));
    Refresh::begin(stored, Floors::default(), now(), Limits::default()).ok()
}

/// Answers until nothing is wanted; whether it went well.
fn drive<'a>(
    machine: &mut impl Machine,
    good: &BTreeMap<String, Vec<u8>>,
    answers: &mut impl Iterator<Item = &'a [u8]>,
) -> bool {
    while let Want::File(wanted) = machine.next() {
        let supplied = match answers.next().unwrap_or_default() {
            b"" => Supplied::Missing,
            b"=" => good.get(&wanted.name).cloned().map_or(Supplied::Missing, Supplied::Bytes),
            piece => Supplied::Bytes(signed(piece).unwrap_or_else(|| piece.to_vec())),
        };
        if machine.supply(supplied).is_err() {
            return false;
        }
        let _changes = machine.keep();
    }
    true
}

fn signed(piece: &[u8]) -> Option<Vec<u8>> {
    signer::tuf_file(&serde_json::from_slice::<Value>(piece).ok()?)
}
