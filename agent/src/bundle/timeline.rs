//! What the log records, one JSON object a line and in one order, for people and for the tools that
//! read timelines (Timesketch wants `message`, `datetime` and `timestamp_desc`; those that read
//! OCSF find its event in `ocsf`). It adds nothing to the log and proves nothing; the log does.

use lazaret_protocol::poll::LogRing;
use lazaret_protocol_evidence::device_log::record::Record;
use lazaret_protocol_evidence::log::{Clock, DetailValue};
use serde_json::{Map, Value, json};

use super::ocsf;

/// Largest timeline, in bytes; of a longer one the newest lines are kept.
const TIMELINE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The timeline of these records.
pub(super) fn timeline(mut records: Vec<(LogRing, Record)>) -> Vec<u8> {
    records.sort_by_key(|(ring, record)| (record.boot, record.monotonic, *ring, record.seq));
    let mut lines = Vec::new();
    let mut length = 0_usize;
    for (ring, record) in records.iter().rev() {
        let mut line = serde_json::to_vec(&line(*ring, record)).unwrap_or_default();
        line.push(b'\n');
        length = length.saturating_add(line.len());
        if length > TIMELINE_BYTES_MAX {
            break;
        }
        lines.push(line);
    }
    lines.into_iter().rev().flatten().collect()
}

fn line(ring: LogRing, record: &Record) -> Value {
    let mut said = Vec::new();
    let mut detail = Map::new();
    for (key, value) in record.detail.iter() {
        said.push(format!("{key}={value}"));
        let value = match value {
            DetailValue::Natural(number) => json!(number),
            DetailValue::Negative(number) => json!(number),
            DetailValue::Text(text) => json!(text),
        };
        detail.insert(key.to_owned(), value);
    }
    let message = [record.kind.as_str().to_owned(), said.join(" ")].join(" ");
    let mut line = json!({
        "message": message.trim_end(),
        "datetime": record.at.map(|at| at.to_string()),
        "timestamp_desc": match record.clock {
            Clock::Authenticated => "recorded, by the server's time",
            Clock::System => "recorded, by the device's own clock",
            Clock::Floor => "recorded, later than this",
        },
        "log": ring,
        "sequence": record.seq,
        "boot": record.boot,
        "monotonic_ms": record.monotonic,
        "kind": record.kind,
        "detail": detail,
    });
    if let Some(event) = ocsf::event(record, message.trim_end()) {
        line.as_object_mut().and_then(|line| line.insert("ocsf".to_owned(), event));
    }
    line
}
