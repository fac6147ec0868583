//! What one record of a device's log costs: the CPU of making and entering it, its hash apart, and
//! its bytes on the disk; beside it journald's cost of a line, where there is a journald to ask.

use std::io::Write as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Instant;

use lazaret_protocol::time::Timestamp;
use lazaret_protocol_evidence::device_log::grown::Grown;
use lazaret_protocol_evidence::device_log::record::Record;
use lazaret_protocol_evidence::device_log::recovery::recover;
use lazaret_protocol_evidence::log::{Clock, Detail, Kind};
use lazaret_protocol_evidence::tlog::tile::write_entry;
use lazaret_protocol_evidence::tlog::tree::{Edge, leaf_hash};

use crate::Options;
use crate::report::Row;

/// Rounds of which the best counts.
const ROUNDS: u32 = 10;

/// Where journald takes lines.
const JOURNAL: &str = "/run/systemd/journal/socket";

/// Measures, and holds the figures against issue 8.
pub(crate) fn run(options: &Options) -> anyhow::Result<Vec<Row>> {
    let count: u32 = if options.quick { 20_000 } else { 500_000 };
    let mut bytes = 0_usize;
    let encoded = per_record(count, |number| {
        let entry = record(number).to_bytes()?;
        bytes += entry.len() + 2;
        Ok(())
    })?;
    let entry = record(7).to_bytes()?;
    let hashed = per_record(count, |_| {
        std::hint::black_box(leaf_hash(std::hint::black_box(&entry)));
        Ok(())
    })?;
    let mut grown = Grown::from(Edge::new());
    let leaf = leaf_hash(&entry);
    let entered = per_record(count, |_| Ok(grown.push(leaf)?))?;
    let each = bytes as f64 / f64::from(count.div_ceil(ROUNDS) * ROUNDS);
    let mut bundle = Vec::new();
    for number in 0..256 {
        write_entry(&mut bundle, &record(number).to_bytes()?)?;
    }
    let recovered = per_record(count / 256 + 1, |_| {
        anyhow::ensure!(recover(std::hint::black_box(&bundle), 0).records.len() == 256);
        Ok(())
    })?;
    let cpu = Row::new("record", "CPU beside the hash", "us", encoded).at_most(0.5);
    Ok(vec![
        cpu.peer("journald, one line sent", journald(count.min(50_000))),
        Row::new("record", "CPU of its hash", "us", hashed),
        Row::new("record", "CPU of the tree over it", "us", entered),
        Row::new("record", "bytes on the disk", "B", each).at_most(110.0),
        Row::new("bundle of 256 records", "reading it back after a power cut", "us", recovered),
    ])
}

/// Microseconds of each of so many runs: the best of some rounds, for these machines are noisy.
fn per_record(count: u32, mut run: impl FnMut(u64) -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let each = count.div_ceil(ROUNDS);
    let mut best = f64::INFINITY;
    for round in 0..ROUNDS {
        let begun = Instant::now();
        for number in 0..each {
            run(u64::from(round * each + number))?;
        }
        best = best.min(begun.elapsed().as_secs_f64() * 1e6 / f64::from(each));
    }
    Ok(best)
}

/// A record as the agent makes them by the thousand.
fn record(number: u64) -> Record {
    let detail = Detail::none().number("order", number).text("code", "replay");
    Record {
        seq: number,
        boot: 12,
        monotonic: 1_000 + number,
        at: Some(Timestamp::from_ms(1_790_000_000_000 + number)),
        clock: Clock::Authenticated,
        kind: Kind::known("order-refused"),
        detail,
    }
}

/// What sending the same line to journald costs the sender alone; what journald itself spends on it
/// comes on top.
fn journald(count: u32) -> Option<f64> {
    if !Path::new(JOURNAL).exists() {
        let _ = writeln!(std::io::stderr(), "there is no journald here");
        return None;
    }
    let socket = UnixDatagram::unbound().ok()?;
    per_record(count, |number| {
        let line = format!("MESSAGE=order-refused\nORDER={number}\nCODE=replay\n");
        socket.send_to(line.as_bytes(), JOURNAL)?;
        Ok(())
    })
    .ok()
}
