//! The composition root: the only place that names a concrete store, blob store or key source.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lazaret_protocol::time::Timestamp;
use lazaret_server_blobs::blob::BlobStore;
use lazaret_server_blobs::stores;
use lazaret_server_domain::record::Found;
use lazaret_server_domain::repository::RepositoryHead;
use lazaret_server_publish::{self as signing, KeyError, OnlineKeys, PublishError};
use lazaret_server_store::{Store, backends};
use tokio::sync::{Mutex, Notify, Semaphore, watch};

use crate::app::context::App;
use crate::app::error::AppError;
use crate::app::follow::FOLLOWERS_MAX;
use crate::app::issue::{DeviceIssuer, IssuerError};
use crate::app::{anchors, news, publish};
use crate::config::{Config, ListenerConfig};
use crate::http::listener::{ClientCertificates, ListenError, Listener, ListenerSettings};
use crate::http::{device, operator, router};
use crate::outgoing::Courier;
use crate::reconcilers::{self, RECONCILERS};

/// A server that cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum StartError {
    /// A folder cannot be made.
    #[error("folder {path} cannot be made")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The data folder is not there.
    #[error("expected the data folder {path}, there is none: run `lazaret-server init` first")]
    NoData {
        /// Which.
        path: PathBuf,
    },
    /// The store cannot be opened.
    #[error("store cannot be opened")]
    Store {
        /// Why.
        #[source]
        source: backends::OpenError,
    },
    /// The blob store cannot be opened.
    #[error("blob store cannot be opened")]
    Blobs {
        /// Why.
        #[source]
        source: stores::OpenError,
    },
    /// A key that must not be here, or none that should be.
    #[error("online keys are refused")]
    Keys {
        /// Why.
        #[source]
        source: KeyError,
    },
    /// The issuing CA cannot be used.
    #[error("issuing CA cannot be used")]
    Issuer {
        /// Why.
        #[source]
        source: IssuerError,
    },
    /// The repository cannot be read.
    #[error("repository cannot be read")]
    Repository {
        /// Why.
        #[source]
        source: AppError,
    },
    /// There is no repository yet.
    #[error(
        "there is no repository yet: run `lazaret-server init` with the metadata of the ceremony"
    )]
    NoRepository,
    /// The repository's own metadata is not as expected.
    #[error("repository's metadata is not as expected")]
    Metadata {
        /// Why.
        #[source]
        source: PublishError,
    },
}

/// Whether there has to be a repository already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repository {
    /// The first ceremony's files are about to be taken in.
    ToBeFounded,
    /// There has to be one, and none of the server's keys may be an offline key of it.
    Expected,
}

/// Puts the server together.
///
/// # Errors
/// Whatever part is missing or refused.
pub(crate) async fn wire(
    config: &Config,
    clock: fn() -> Timestamp,
    repository: Repository,
) -> Result<App, StartError> {
    if repository == Repository::ToBeFounded {
        make_folder(&config.data)?;
    } else if !config.data.is_dir() {
        return Err(StartError::NoData { path: config.data.clone() });
    }
    let keys = load_keys(config).map_err(|source| StartError::Keys { source })?;
    let issuing = &config.issuing;
    let issuer = DeviceIssuer::load(&issuing.certificate, &issuing.key, issuing.certificate_hours)
        .map_err(|source| StartError::Issuer { source })?;
    let scratch = config.data.join("scratch");
    // What is left there belongs to work that a crash cut short and that is begun anew.
    let _ = std::fs::remove_dir_all(&scratch);
    make_folder(&scratch)?;
    let (changed, _) = watch::channel(0);
    let app = App {
        store: open_store(config).await?,
        images: open_blobs(&config.data.join("images")).await?,
        evidence: open_blobs(&config.data.join("evidence")).await?,
        keys,
        issuer,
        clock,
        poll_interval_ms: config.polls.interval_ms,
        scratch,
        uploads: Mutex::new(HashMap::new()),
        starting: Mutex::new(()),
        changed,
        committed: Notify::new(),
        news: watch::channel(0).0,
        held: Arc::default(),
        followers: Arc::new(Semaphore::new(FOLLOWERS_MAX)),
        courier: Courier::new(config.webhooks.networks(), &config.webhooks.ca),
        stopping: watch::channel(false).0,
    };
    if repository == Repository::Expected {
        refuse_offline_keys(&app).await?;
        let chosen = anchors::choose_order_key(&app).await;
        chosen.map_err(|source| StartError::Repository { source })?;
    }
    Ok(app)
}

/// Serves both faces and runs the reconcilers until `stop`; then open requests are finished.
///
/// # Errors
/// A listener cannot start, or a part of the server ended by itself.
pub(crate) async fn serve(
    config: &Config,
    app: App,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let app = Arc::new(app);
    let devices = listener(&config.devices);
    let devices = Listener::bind(&devices, ClientCertificates::PerRoute).await?;
    let operators = listener(&config.operators);
    let operators = Listener::bind(&operators, ClientCertificates::Required).await?;
    tracing::info!(devices = %devices.address(), operators = %operators.address(), "serving");
    let (stopping, stopped) = watch::channel(false);
    let mut parts = tokio::task::JoinSet::new();
    for reconciler in RECONCILERS {
        parts.spawn(reconcilers::run(reconciler, Arc::clone(&app), stopped.clone()));
    }
    parts.spawn(news::follow(Arc::clone(&app), stopped.clone()));
    parts.spawn(devices.serve(router::serve(&app, device::ROUTES), stopped.clone()));
    parts.spawn(operators.serve(router::serve(&app, operator::ROUTES), stopped));
    let ended = tokio::select! {
        () = stop => Ok(()),
        _ = parts.join_next() => Err(ServeError::EndedByItself),
    };
    // Nobody may be listening any more, and then there is nobody to stop.
    let _ = stopping.send(true);
    app.stopping.send_replace(true);
    app.wake();
    while parts.join_next().await.is_some() {}
    ended
}

/// A listener's section of the settings, in the words of the room that listens.
fn listener(config: &ListenerConfig) -> ListenerSettings {
    ListenerSettings {
        address: config.address,
        certificate: config.certificate.clone(),
        key: config.key.clone(),
        client_ca: config.client_ca.clone(),
        connections_max: config.connections_max,
    }
}

/// A server that could not serve to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ServeError {
    /// A listener cannot start.
    #[error("listener cannot start")]
    Listen {
        /// Why.
        #[from]
        source: ListenError,
    },
    /// A listener or a reconciler ended, which none does by itself but by a bug.
    #[error("a part of the server ended by itself")]
    EndedByItself,
}

/// A stolen server must not be able to sign for anybody but itself, so it does not start with a key
/// that could.
async fn refuse_offline_keys(app: &App) -> Result<(), StartError> {
    let failed = |source: AppError| StartError::Repository { source };
    let head: Found<RepositoryHead> =
        app.store.find(RepositoryHead::NAME).await.map_err(|source| failed(source.into()))?;
    if head.value.is_none() {
        return Err(StartError::NoRepository);
    }
    let files = publish::current(app, &head).await.map_err(failed)?;
    let offline =
        signing::offline_keys(&files).map_err(|source| StartError::Metadata { source })?;
    app.keys.refuse_offline(&offline).map_err(|source| StartError::Keys { source })
}

fn load_keys(config: &Config) -> Result<OnlineKeys, KeyError> {
    // As long as `online_keys_next` is set both sets are at hand, before and after the change.
    let keys = OnlineKeys::load(&config.online_keys)?;
    match &config.online_keys_next {
        Some(folder) => keys.with_next(folder),
        None => Ok(keys),
    }
}

async fn open_store(config: &Config) -> Result<Store, StartError> {
    let kind = backends::named(&config.engine).map_err(|source| StartError::Store { source })?;
    let settings = backends::Settings::at(config.data.join("store"));
    let backend = (kind.open)(settings).await.map_err(|source| StartError::Store { source })?;
    Ok(Store::new(backend))
}

async fn open_blobs(dir: &Path) -> Result<Arc<dyn BlobStore>, StartError> {
    let kind = stores::named("filesystem").map_err(|source| StartError::Blobs { source })?;
    (kind.open)(stores::Settings::at(dir)).await.map_err(|source| StartError::Blobs { source })
}

fn make_folder(path: &Path) -> Result<(), StartError> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| StartError::Folder { path: path.into(), source })
}
