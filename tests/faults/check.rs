//! What of the workload is in a store, and whether that is what was acknowledged.

use std::collections::BTreeMap;
use std::path::Path;

use lazaret_server_store::backend::{Backend, Key, Scan};
use lazaret_server_store::backends::Settings;
use lazaret_server_store::backends::sled::Sled;

use crate::workload;

/// The last acknowledged number of each lane.
pub(crate) type Acknowledged = BTreeMap<u8, u64>;

/// What is wrong with a store after a crash.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    /// It does not open.
    DoesNotOpen { why: String },
    /// A batch that was acknowledged is not there.
    Lost { lane: u8, acknowledged: u64, found: u64 },
    /// A batch that was never handed in is there.
    Invented { lane: u8, acknowledged: u64, found: u64 },
    /// Rows are missing, changed or left over: a batch is there in part.
    Torn { lane: u8, found: u64 },
    /// The event log does not say what the records say.
    EventsDiffer { lane: u8, found: u64 },
}

/// Opens the store in `dir`, compares, and returns the last number that it knows of each lane:
/// where the next life goes on.
pub(crate) fn check(dir: &Path, acknowledged: &Acknowledged) -> Result<Acknowledged, Damage> {
    let store = Sled::open(&Settings::at(dir));
    let store = store.map_err(|error| Damage::DoesNotOpen { why: format!("{error:?}") })?;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut events = events(&store).await;
        let mut numbers = Acknowledged::new();
        for lane in 0..workload::LANES {
            let acknowledged = acknowledged.get(&lane).copied().unwrap_or(0);
            let found = last(&store, lane).await;
            if found < acknowledged {
                return Err(Damage::Lost { lane, acknowledged, found });
            }
            // One batch may have been on its way, committed but not said.
            if found > acknowledged + 1 {
                return Err(Damage::Invented { lane, acknowledged, found });
            }
            let kept = found.saturating_sub(workload::KEPT) + 1..=found;
            let expected: Vec<_> = kept.flat_map(|n| workload::rows(lane, n)).collect();
            if rows(&store, lane).await != expected {
                return Err(Damage::Torn { lane, found });
            }
            let expected: Vec<_> = (1..=found).map(|n| workload::event(lane, n)).collect();
            if events.remove(&lane).unwrap_or_default() != expected {
                return Err(Damage::EventsDiffer { lane, found });
            }
            numbers.insert(lane, found);
        }
        Ok(numbers)
    })
}

async fn last(store: &Sled, lane: u8) -> u64 {
    let stored = store.read(&[workload::last_key(lane)]).await.unwrap().remove(0);
    stored.map_or(0, |stored| u64::from_be_bytes(stored.bytes.try_into().unwrap()))
}

async fn rows(store: &Sled, lane: u8) -> Vec<(Key, Vec<u8>)> {
    let mut rows: Vec<(Key, Vec<u8>)> = Vec::new();
    loop {
        let after = rows.last().map(|(key, _)| key.clone());
        let scan = Scan { prefix: format!("row/{lane}/").into_bytes(), after, limit: 1000 };
        let page = store.scan(scan).await.unwrap();
        if page.is_empty() {
            return rows;
        }
        rows.extend(page.into_iter().map(|(key, stored)| (key, stored.bytes)));
    }
}

async fn events(store: &Sled) -> BTreeMap<u8, Vec<Vec<u8>>> {
    let mut lanes: BTreeMap<u8, Vec<Vec<u8>>> = BTreeMap::new();
    let mut after = 0;
    loop {
        let page = store.events(after, 1000).await.unwrap();
        let Some((last, _)) = page.last() else { return lanes };
        after = *last;
        for (_, event) in page {
            let lane = event.first().map_or(u8::MAX, |digit| digit.wrapping_sub(b'0'));
            lanes.entry(lane).or_default().push(event);
        }
    }
}
