//! The same as `lazaret-bench-tuf-ours` with tough's client. Its newest root is kept by hand, since
//! it does not read back the one that it stores.
#![allow(clippy::disallowed_methods, reason = "a scratch folder of a benchmark")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::bail;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream;
use tough::{
    RepositoryLoader, TargetName, Transport, TransportError, TransportErrorKind, TransportStream,
};
use url::Url;

/// Files of a folder, counted.
#[derive(Debug, Clone, Default)]
struct Counting {
    requests: Arc<AtomicU64>,
    bytes: Arc<AtomicU64>,
    nanoseconds: Arc<AtomicU64>,
}

#[async_trait]
impl Transport for Counting {
    async fn fetch(&self, url: Url) -> Result<TransportStream, TransportError> {
        let began = Instant::now();
        self.requests.fetch_add(1, Ordering::Relaxed);
        let path = url.to_file_path().unwrap_or_default();
        let read = std::fs::read(path);
        let took = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(took, Ordering::Relaxed);
        let bytes = read.map_err(|err| {
            TransportError::new_with_cause(TransportErrorKind::FileNotFound, url.as_str(), err)
        })?;
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.bytes.fetch_add(length, Ordering::Relaxed);
        Ok(Box::pin(stream::iter([Ok(Bytes::from(bytes))])))
    }
}

fn main() -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run())
}

async fn run() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [repository, state, asked, targets @ ..] = arguments.as_slice() else {
        bail!("expected REPOSITORY STATE ASKED TARGET...")
    };
    let root = std::fs::read(Path::new(repository).join("root.json"))?;
    let store = Path::new(state).join("datastore");
    std::fs::create_dir_all(&store)?;
    let base = |name: &str| {
        Url::from_directory_path(Path::new(repository).join(name))
            .map_err(|()| anyhow::anyhow!("expected a whole path, got {repository}"))
    };
    let counting = Counting::default();
    let began = Instant::now();
    let loader = RepositoryLoader::new(&root, base("metadata")?, base("targets")?);
    let repository = loader.transport(counting.clone()).datastore(store).load().await?;
    for name in targets {
        repository.targets().signed.find_target(&TargetName::new(name)?, false)?;
    }
    let elsewhere = counting.nanoseconds.load(Ordering::Relaxed);
    let took = began.elapsed().as_nanos().saturating_sub(elsewhere.into());
    let milliseconds = std::time::Duration::from_nanos(u64::try_from(took)?).as_secs_f64() * 1e3;
    let said = serde_json::json!({
        "requests": counting.requests.load(Ordering::Relaxed),
        "bytes": counting.bytes.load(Ordering::Relaxed), "milliseconds": milliseconds,
    });
    Ok(std::fs::write(asked, said.to_string())?)
}
