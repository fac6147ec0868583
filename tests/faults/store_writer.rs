//! The process that the store's crash tests kill: it commits the workload for as long as it lives,
//! and says `LANE NUMBER` on its output after each acknowledged batch.
//!
//! `store-writer DIR synced|danger-unsynced`

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use lazaret_server_store::backend::{Backend, Batch, Version};
use lazaret_server_store::backends::Settings;
use lazaret_server_store::backends::sled::Sled;

mod workload;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let dir = PathBuf::from(arguments.next().context("expected the store's folder")?);
    let sync = arguments.next().unwrap_or_default();
    // A small cache, so that pages are evicted and read again.
    let settings = Settings { dir, cache_bytes: 1024 * 1024 };
    let store: Arc<dyn Backend> = match sync.to_str() {
        Some("synced") => Arc::new(Sled::open(&settings)?),
        Some("danger-unsynced") => Arc::new(Sled::danger_open_without_fdatasync(&settings)?),
        _ => bail!("expected synced or danger-unsynced, got {sync:?}"),
    };
    say(workload::OPENED)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    runtime.block_on(async {
        let lanes = (0..workload::LANES).map(|lane| tokio::spawn(write(Arc::clone(&store), lane)));
        for lane in lanes.collect::<Vec<_>>() {
            lane.await??;
        }
        Ok(())
    })
}

async fn write(store: Arc<dyn Backend>, lane: u8) -> anyhow::Result<()> {
    let found = store.read(&[workload::last_key(lane)]).await?.pop().flatten();
    let mut number = match &found {
        Some(stored) => u64::from_be_bytes(stored.bytes.as_slice().try_into()?),
        None => 0,
    };
    let mut version = found.map(|stored| stored.version);
    loop {
        number = number.saturating_add(1);
        let receipt = store.commit(batch(lane, number, version)).await?;
        say(&format!("{lane} {number}"))?;
        version = Some(receipt.version);
    }
}

/// Batch `number` of a lane, if the one before it was committed as `before`.
fn batch(lane: u8, number: u64, before: Option<Version>) -> Batch {
    let mut put = workload::rows(lane, number);
    put.push((workload::last_key(lane), number.to_be_bytes().to_vec()));
    let old = number.checked_sub(workload::KEPT).filter(|old| *old > 0);
    let delete = old.map_or_else(Vec::new, |old| workload::rows(lane, old));
    Batch {
        expect: vec![(workload::last_key(lane), before)],
        put,
        delete: delete.into_iter().map(|(key, _)| key).collect(),
        append: vec![workload::event(lane, number)],
    }
}

/// One write of less than 4096 bytes, which a pipe takes whole.
fn say(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes())?;
    Ok(out.flush()?)
}
