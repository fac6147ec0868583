//! Transparency logs and the records of a device's log: what is read is written as it was.

use lazaret_protocol::time::Timestamp;
use lazaret_protocol_evidence::device_log::record::Record;
use lazaret_protocol_evidence::device_log::recovery;
use lazaret_protocol_evidence::log::{Clock, Detail, Kind};
use lazaret_protocol_evidence::tlog::{note::SignedNote, proof::LoggedProof, tile};

pub(crate) fn note(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Ok(note) = SignedNote::parse(&text) {
        assert_eq!(SignedNote::parse(&note.to_text()), Ok(note), "a note is not what it was");
    }
    let _proof = LoggedProof::parse(&text);
}

pub(crate) fn note_seeds() -> Vec<Vec<u8>> {
    let note = "example.com/log\n3\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n\
        \u{2014} example.com/log AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\
        AAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
    vec![note.into()]
}

pub(crate) fn tiles(input: &[u8]) {
    let _hashes = tile::read_hashes(input);
    if let Ok(entries) = tile::read_entries(input) {
        let held: usize = entries.iter().map(|entry| entry.len().saturating_add(2)).sum();
        assert_eq!(held, input.len(), "entries and their lengths are the whole bundle");
    }
}

pub(crate) fn tiles_seeds() -> Vec<Vec<u8>> {
    vec![vec![0; 64], b"\0\x05hello\0\0".to_vec()]
}

pub(crate) fn record(input: &[u8]) {
    if let Ok(record) = Record::parse(input) {
        assert_eq!(record.to_bytes().as_deref(), Ok(input), "a record has one form");
    }
    let _recovered = recovery::recover(input, 1);
}

pub(crate) fn record_seeds() -> Vec<Vec<u8>> {
    let detail = Detail::none().text("why", "power").number("attempt", 2_u64);
    let at = Some(Timestamp::from_ms(1_700_000_000_000));
    let kind = Kind::known("boot");
    let record = Record { seq: 1, boot: 3, monotonic: 9, at, clock: Clock::System, kind, detail };
    vec![record.to_bytes().expect("a record")]
}
