//! What the writer writes and the test expects to find: some lanes, each a row of numbered batches
//! that only one task commits, one after the other. Shared by both programs.

use lazaret_server_store::backend::Key;

/// Tasks that commit at the same time, so that commits meet in groups.
pub(crate) const LANES: u8 = 6;

/// Batches of a lane whose rows are kept. Older ones are deleted, so the engine reclaims space.
pub(crate) const KEPT: u64 = 40;

/// What the writer says when it has opened the store.
pub(crate) const OPENED: &str = "opened";

/// The record that holds a lane's last number.
pub(crate) fn last_key(lane: u8) -> Key {
    Key::from(format!("last/{lane}"))
}

/// The rows of one batch: 5 to 36 of them, mostly of some hundred bytes, some of many pieces.
pub(crate) fn rows(lane: u8, number: u64) -> Vec<(Key, Vec<u8>)> {
    let mut state = (u64::from(lane) << 32 | number).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let count = 5 + next() % 32;
    let row = |row| {
        let length = match next() % 64 {
            0 => 20_000 + next() % 50_000,
            1..4 => 4_000 + next() % 3_000,
            _ => next() % 500,
        };
        let bytes = (0..length.div_ceil(8)).flat_map(|_| next().to_le_bytes()).collect();
        (Key::from(format!("row/{lane}/{number:010}/{row:02}")), bytes)
    };
    (0..count).map(row).collect()
}

/// The event of one batch.
pub(crate) fn event(lane: u8, number: u64) -> Vec<u8> {
    format!("{lane} {number}").into_bytes()
}
