//! The composition root: the only place that names a concrete store, blob store or key source.

pub(crate) mod founding;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use lazaret_protocol::attested::Octets;
use lazaret_protocol::time::Timestamp;
use lazaret_server_blobs::blob::BlobStore;
use lazaret_server_blobs::stores;
use lazaret_server_domain::factory::Factory;
use lazaret_server_domain::measurement::Allowed;
use lazaret_server_domain::number::Bindings;
use lazaret_server_domain::quarantine::Allowance;
use lazaret_server_domain::record::Found;
use lazaret_server_domain::repository::RepositoryHead;
use lazaret_server_publish::{self as signing, KeyError, OnlineKeys, PublishError};
use lazaret_server_store::{Store, backends};
use tokio::sync::{Mutex, Notify, Semaphore, watch};

use crate::app::anomaly::Anomalies;
use crate::app::context::{App, Claims};
use crate::app::endorsement::{Makers, MakersError};
use crate::app::error::AppError;
use crate::app::factory::Factories;
use crate::app::follow::FOLLOWERS_MAX;
use crate::app::issue::{DeviceIssuer, IssuerError};
use crate::app::live::Live;
use crate::app::quarantine::Containment;
use crate::app::records::Records;
use crate::app::uploads::Uploads;
use crate::app::{anchors, audit, news, publish};
use crate::config::{Attestation, Config, FactoryConfig, FrontDoorConfig, ListenerConfig};
use crate::http::door::{Door, Face};
use crate::http::listener::{ClientCertificates, ListenError, Listener, ListenerSettings, Times};
use crate::http::rates::{Rate, Rates};
use crate::http::router::{BodyPace, Rules};
use crate::http::{device, operator, router, sign_in};
use crate::identity::factory::FactoryCa;
use crate::outgoing::Courier;
use crate::reconcilers::{self, RECONCILERS};
use crate::telemetry;

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
    /// Makers of TPMs cannot be read.
    #[error("makers of TPMs cannot be used")]
    Makers {
        /// Why.
        #[source]
        source: MakersError,
    },
    /// The CA of a factory cannot be read.
    #[error("CA of factory {name} cannot be used: {why}")]
    Factory {
        /// Its name.
        name: String,
        /// Why.
        why: String,
    },
    /// The key of identifiers cannot be kept.
    #[error("{path} cannot be read or kept")]
    IdentifierKey {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
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
    let root = issuing.root.as_deref();
    let issuer =
        DeviceIssuer::load((&issuing.certificate, root), &issuing.key, issuing.certificate_hours)
            .map_err(|source| StartError::Issuer { source })?;
    let operator_issuer = config.operator_issuing.as_ref().map(|issuing| {
        let hours = issuing.certificate_days.saturating_mul(24);
        DeviceIssuer::load((&issuing.certificate, None), &issuing.key, hours)
            .map_err(|source| StartError::Issuer { source })
    });
    let scratch = config.data.join("scratch");
    // What is left there belongs to work that a crash cut short and that is begun anew.
    let _ = std::fs::remove_dir_all(&scratch);
    make_folder(&scratch)?;
    let (changed, _) = watch::channel(0);
    let app = App {
        store: Records::new(open_store(config).await?),
        images: open_blobs(&config.data.join("images")).await?,
        evidence: open_blobs(&config.data.join("evidence")).await?,
        keys,
        issuer,
        operator_issuer: operator_issuer.transpose()?,
        operator_port: AtomicU16::new(config.operators.address.port()),
        makers: makers(config)?,
        claims: match config.enrolment.attestation {
            Attestation::Optional => Claims::Taken,
            Attestation::Required => Claims::Refused,
        },
        factories: factories(config, &load_factories(config)?),
        measurements: measurements(config),
        identifier_key: identifier_key(&config.data)?,
        bindings: Bindings {
            imei: config.binding.imei,
            iccid: config.binding.iccid,
            imsi: config.binding.imsi,
        },
        live: Live::default(),
        clock,
        containment: containment(config),
        anomalies: Anomalies {
            told_per_day: config.anomalies.told_per_day,
            collect: config.anomalies.collect,
        },
        poll_interval_ms: config.polls.interval_ms,
        evidence_days: config.evidence.kept_days,
        scratch,
        uploads: Uploads::default(),
        starting: Mutex::new(()),
        changed,
        committed: Notify::new(),
        news: watch::channel(0).0,
        held: Arc::default(),
        doors: watch::channel(0).0,
        followers: Arc::new(Semaphore::new(FOLLOWERS_MAX)),
        courier: Courier::new(config.webhooks.networks(), &config.webhooks.ca),
        audit_origin: config.audit.origin.clone(),
        refusals: audit::Refusals::default(),
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
    let devices = ListenerSettings {
        factories: load_factories(config)?,
        ..listener(&config.devices, &config.front_door)
    };
    let devices = Listener::bind(&devices, ClientCertificates::PerRoute).await?;
    let operators = listener(&config.operators, &config.front_door);
    let operators = Listener::bind(&operators, ClientCertificates::Required).await?;
    app.operator_port.store(operators.address().port(), Ordering::Relaxed);
    tracing::info!(devices = %devices.address(), operators = %operators.address(), "serving");
    let door = match &config.sign_in {
        Some(sign_in) => {
            let settings = ListenerSettings {
                address: sign_in.address,
                connections_max: sign_in.connections_max,
                per_address_max: sign_in.per_address_max,
                ..listener(&config.operators, &config.front_door)
            };
            let bound = Listener::bind(&settings, ClientCertificates::Unwanted).await?;
            tracing::info!(sign_in = %bound.address(), "serving");
            Some(bound)
        }
        None => None,
    };
    let (stopping, stopped) = watch::channel(false);
    let mut parts = tokio::task::JoinSet::new();
    for reconciler in RECONCILERS {
        parts.spawn(reconcilers::run(reconciler, Arc::clone(&app), stopped.clone()));
    }
    parts.spawn(news::follow(Arc::clone(&app), stopped.clone()));
    let routes = router::serve(&app, rules(config, Face::Devices, &[device::ROUTES]));
    parts.spawn(devices.serve(routes, Door::new(&app, Face::Devices), stopped.clone()));
    let routes = router::serve(&app, rules(config, Face::Operators, &[operator::ROUTES]));
    parts.spawn(operators.serve(routes, Door::new(&app, Face::Operators), stopped.clone()));
    if let Some(listener) = door {
        let tables = &[sign_in::ROUTES, operator::ROUTES];
        let routes = router::serve(&app, rules(config, Face::SignIn, tables));
        parts.spawn(listener.serve(routes, Door::new(&app, Face::SignIn), stopped));
    }
    let ended = tokio::select! {
        () = stop => Ok(()),
        _ = parts.join_next() => Err(ServeError::EndedByItself),
    };
    // Nobody may be listening any more, and then there is nobody to stop.
    let _ = stopping.send(true);
    app.stopping.send_replace(true);
    app.wake();
    while parts.join_next().await.is_some() {}
    // Nobody refuses any more: what was counted is told before the end.
    if let Err(err) = audit::enter_counts(&app, audit::Counts::All).await {
        tracing::error!(error = telemetry::chain(&err), "counted refusals are lost");
    }
    ended
}

/// A listener's section of the settings, in the words of the room that listens.
fn listener(config: &ListenerConfig, door: &FrontDoorConfig) -> ListenerSettings {
    ListenerSettings {
        address: config.address,
        certificate: config.certificate.clone(),
        key: config.key.clone(),
        client_ca: config.client_ca.clone(),
        factories: Vec::new(),
        connections_max: config.connections_max,
        per_address_max: config.per_address_max,
        times: Times {
            handshake: Duration::from_secs(door.handshake_seconds),
            first_head: Duration::from_secs(door.first_request_seconds),
            idle: Duration::from_secs(door.idle_seconds),
        },
    }
}

/// What containment goes by: the addresses under which devices reach this server are those of the
/// settings, or the one that it listens at where that is one machine's.
fn containment(config: &Config) -> Containment {
    let settings = &config.containment;
    let mut open = settings.open.clone();
    let listens = config.devices.address;
    if open.is_empty() && !listens.ip().is_unspecified() && listens.port() != 0 {
        open.push(listens);
    }
    Containment {
        open,
        leases: settings.leases.clone(),
        allowance: Allowance {
            devices: settings.devices_per_hour,
            permille: settings.permille_per_hour,
        },
    }
}

/// What holds at a face.
fn rules(config: &Config, face: Face, tables: &'static [router::Table]) -> Rules {
    let door = &config.front_door;
    let rate = |per_second, burst| Rate { per_second, burst };
    Rules {
        face,
        tables,
        rates: Rates::new(
            rate(door.peer_requests_per_second, door.peer_requests_burst),
            rate(door.stranger_requests_per_second, door.stranger_requests_burst),
        ),
        body_pace: BodyPace {
            silence_max: Duration::from_secs(door.body_silence_seconds),
            bytes_per_second_min: door.body_bytes_per_second_min,
        },
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
    /// What it needs cannot be read any more.
    #[error("listener cannot be set up")]
    SetUp {
        /// Why.
        #[from]
        source: StartError,
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

fn makers(config: &Config) -> Result<Makers, StartError> {
    let Some(path) = &config.enrolment.endorsement_ca else { return Ok(Makers::default()) };
    Makers::load(path).map_err(|source| StartError::Makers { source })
}

fn load_factories(config: &Config) -> Result<Vec<FactoryCa>, StartError> {
    let load = |factory: &FactoryConfig| {
        let name = factory.name.clone();
        FactoryCa::load(&name, &factory.ca).map_err(|why| StartError::Factory { name, why })
    };
    config.enrolment.factories.iter().map(load).collect()
}

fn factories(config: &Config, loaded: &[FactoryCa]) -> Factories {
    let bound = config.enrolment.factories.iter().zip(loaded).map(|(factory, ca)| Factory {
        name: factory.name.clone(),
        models: factory.models.clone(),
        groups: factory.groups.clone(),
        ends: ca.ends,
    });
    Factories(bound.collect())
}

fn measurements(config: &Config) -> Vec<Allowed> {
    let lists = config.enrolment.measurements.iter().map(|list| Allowed {
        model: list.model.clone(),
        judging: list.mode,
        digests: list.digests.iter().map(|it| Octets(it.as_bytes().to_vec())).collect(),
    });
    lists.collect()
}

/// The key under which numbers of modems and SIMs are kept, made on the first start. Whoever has a
/// copy of the store, and not of this file, cannot try them all.
fn identifier_key(data: &Path) -> Result<[u8; 32], StartError> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let path = data.join("identifier.key");
    let failed = |source| StartError::IdentifierKey { path: path.clone(), source };
    let malformed = || failed(std::io::Error::other("expected 32 bytes"));
    match std::fs::read(&path) {
        Ok(bytes) => return bytes.try_into().map_err(|_| malformed()),
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => {}
        Err(err) => return Err(failed(err)),
    }
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|err| failed(std::io::Error::other(err.to_string())))?;
    // Whole or not at all: a key that was cut short would key everything anew.
    let new = path.with_extension("new");
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(&new);
    file.and_then(|mut file| file.write_all(&key).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&new, &path))
        .and_then(|()| std::fs::File::open(data)?.sync_all())
        .map_err(failed)?;
    Ok(key)
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
