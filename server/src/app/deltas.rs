//! Deltas of releases whose image is whole, made one after the other in the background.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::operator::ReleaseState;
use lazaret_server_domain::record::{Found, Record as _};
use lazaret_server_domain::release::{self, Delta, DeltaBase, Release};
use lazaret_server_publish::{MakeDeltaError, make_delta};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::context::App;
use super::error::AppError;

/// Bytes read at once when a delta is stored.
const READ_BYTES: usize = 256 * 1024;

/// Makes one delta that is wanted; says whether there was one.
///
/// # Errors
/// The stores.
pub(crate) async fn make_one(app: &App) -> Result<bool, AppError> {
    let releases: Vec<Release> = app.store.list_all("").await?;
    let wanted = releases.into_iter().find_map(|release| {
        let base = release.pending.first().cloned()?;
        (release.state == ReleaseState::Uploaded).then_some((release, base))
    });
    let Some((release, base)) = wanted else { return Ok(false) };
    let made = match make(app, &release, &base).await {
        Ok(made) => made,
        // Without a delta devices take the full image; a release must not wait for ever for one.
        Err(err) => {
            let error = crate::telemetry::chain(&err);
            tracing::error!(release = release.name(), base = %base.version, error, "no delta");
            None
        }
    };
    let name = release.name();
    let settled = app
        .decide(|| async {
            let found: Found<Release> = app.store.find(&name).await?;
            Ok(release::delta_settled(&found, &base.version, made.clone(), app.now())?)
        })
        .await?;
    settled.into_reply();
    app.wake();
    Ok(true)
}

async fn make(app: &App, release: &Release, base: &DeltaBase) -> Result<Option<Delta>, AppError> {
    let scratch = |what: &str| app.scratch.join(format!("{what}-{}", release.sha256));
    let paths = (scratch("base"), scratch("result"), scratch("delta"));
    let made = make_in(app, release, base, &paths).await;
    for path in [&paths.0, &paths.1, &paths.2] {
        // Gone whatever became of the delta: a full disk must not stay full. What stays is removed
        // at the next start.
        let _ = tokio::fs::remove_file(path).await;
    }
    made
}

/// Base, result and delta on their way.
type Paths = (PathBuf, PathBuf, PathBuf);

async fn make_in(
    app: &App,
    release: &Release,
    base: &DeltaBase,
    paths: &Paths,
) -> Result<Option<Delta>, AppError> {
    let (old, new, out) = paths;
    copy_out(app, base.sha256, old).await?;
    copy_out(app, release.sha256, new).await?;
    let owned = paths.clone();
    let made =
        tokio::task::spawn_blocking(move || make_delta(&owned.0, &owned.1, &owned.2, |_, _| {}));
    let made = match made.await.map_err(|_| AppError::CutShort { what: "a delta" })? {
        Ok(made) => Some(made),
        Err(MakeDeltaError::NotWorthIt { .. }) => None,
        Err(source) => return Err(source.into()),
    };
    if let Some(made) = &made {
        store(app, out, made.length, made.sha256).await?;
    }
    Ok(made.map(|made| Delta {
        base: base.version.clone(),
        sha256: made.sha256,
        length: made.length,
        custom: made.custom,
    }))
}

async fn copy_out(app: &App, digest: Sha256Digest, to: &Path) -> Result<(), AppError> {
    let mut bytes = app.images.open(digest).await?.bytes;
    let mut file = tokio::fs::File::create(to).await.map_err(scratch_failed)?;
    while let Some(chunk) = bytes.try_next().await? {
        file.write_all(&chunk).await.map_err(scratch_failed)?;
    }
    file.flush().await.map_err(scratch_failed)
}

async fn store(app: &App, path: &Path, length: u64, sha256: Sha256Digest) -> Result<(), AppError> {
    let mut file = tokio::fs::File::open(path).await.map_err(scratch_failed)?;
    let mut upload = app.images.begin(length).await?;
    loop {
        let mut chunk = vec![0; READ_BYTES];
        let read = file.read(&mut chunk).await.map_err(scratch_failed)?;
        if read == 0 {
            break;
        }
        chunk.truncate(read);
        upload.write(Bytes::from(chunk)).await?;
    }
    upload.finish(Some(sha256)).await?;
    Ok(())
}

fn scratch_failed(source: std::io::Error) -> AppError {
    AppError::Scratch { source }
}
