//! The accept loop: TLS 1.3 with client certificates in front of warp, which has no TLS of its own.
//! The handshake, the head and the time until an answer begins are limited, so that a slow sender
//! costs a place for seconds and not for ever, and so does a reader that takes nothing; and no
//! address has more places than its share.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::header::{CONNECTION, HeaderValue};
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::RootCertStore;
use rustls::server::{ClientCertVerifierBuilder, NoServerSessionStorage, WebPkiClientVerifier};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use warp::reply::Response;
use warp::{Filter, Reply};

use crate::http::door::Door;
use crate::http::places::Places;
use crate::http::reply;
use crate::http::stalls::Stalls;
use crate::identity::certificate::PeerCertificate;
use crate::identity::factory::{FactoryCa, FactoryCertificate};

/// Time for a request from its head to the head of its answer: a poll that is held back for 55 s,
/// or 4 MiB of evidence over a link of 35 kB/s.
const REQUEST_MAX: Duration = Duration::from_secs(120);

/// How long open requests may take to end when the server stops.
const FAREWELL_MAX: Duration = Duration::from_secs(15);

/// Longest time that a write may wait for its reader: a link that is down for longer is up anew as
/// another connection.
const WRITE_MAX: Duration = Duration::from_secs(60);

/// Most headers of a request; ours send seven.
const HEADERS_MAX: usize = 64;

/// Largest request head, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// The certificate of the connection that a request came over, the address that it came from, and
/// what else is known of it. Where a factory has signed the certificate, there is none of ours.
#[derive(Debug, Clone)]
pub(crate) struct Peer(pub(crate) Option<PeerCertificate>, pub(crate) IpAddr, pub(crate) Line);

/// What is known of a connection beside who is at its end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Line {
    /// Its number at this server.
    pub(crate) connection: u64,
    /// The factory certificate that was shown.
    pub(crate) factory: Option<Arc<FactoryCertificate>>,
}

/// Where a listener listens, and with which files.
#[derive(Debug, Clone)]
pub(crate) struct ListenerSettings {
    /// Address and port; port 0 takes a free one.
    pub(crate) address: SocketAddr,
    /// The server's certificate chain, PEM.
    pub(crate) certificate: PathBuf,
    /// Its private key, PEM.
    pub(crate) key: PathBuf,
    /// The CA that clients' certificates chain to, PEM.
    pub(crate) client_ca: PathBuf,
    /// CAs of factories, whose certificates are good for enrolment alone.
    pub(crate) factories: Vec<FactoryCa>,
    /// Connections at once; more are closed.
    pub(crate) connections_max: usize,
    /// Connections at once from one address, or one IPv6 network of 64 bits; more are closed.
    pub(crate) per_address_max: usize,
    /// How long who connects may take.
    pub(crate) times: Times,
}

/// How long who connects may take. A slow sender costs a place for so long and not for ever.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// For the handshake.
    pub(crate) handshake: Duration,
    /// From the handshake to the end of the first request's head.
    pub(crate) first_head: Duration,
    /// For any later head, and for idling before it: a device that polls less often connects anew.
    pub(crate) idle: Duration,
}

/// Who has to show a certificate on a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientCertificates {
    /// Everybody.
    Required,
    /// Everybody but on the listed routes; each route decides, and none is the default.
    PerRoute,
    /// Nobody: who comes here has none.
    Unwanted,
}

/// A listener that cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ListenError {
    /// The address cannot be had.
    #[error("cannot listen on {address}")]
    Address {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A certificate or key file is not PEM.
    #[error("{path} is not the PEM that was expected")]
    Pem {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    /// The certificate, key and CA do not fit together.
    #[error("TLS cannot be set up with these certificates")]
    Tls {
        /// What rustls said.
        #[source]
        source: rustls::Error,
    },
    /// The CA for clients is none.
    #[error("{path} is no CA for clients")]
    ClientCa {
        /// Which.
        path: PathBuf,
        /// What rustls said.
        #[source]
        source: rustls::server::VerifierBuilderError,
    },
}

/// A listener that is bound and ready to serve.
pub(crate) struct Listener {
    tcp: TcpListener,
    address: SocketAddr,
    acceptor: TlsAcceptor,
    places: Places,
    times: Times,
    factories: Arc<[FactoryCa]>,
}

impl Listener {
    /// Binds the address and sets TLS up.
    ///
    /// # Errors
    /// The address is taken, or the certificates are not as expected.
    pub(crate) async fn bind(
        settings: &ListenerSettings,
        clients: ClientCertificates,
    ) -> Result<Self, ListenError> {
        let acceptor = TlsAcceptor::from(Arc::new(tls(settings, clients)?));
        let failed = |source| ListenError::Address { address: settings.address, source };
        let tcp = TcpListener::bind(settings.address).await.map_err(failed)?;
        let address = tcp.local_addr().map_err(failed)?;
        Ok(Self {
            tcp,
            address,
            acceptor,
            places: Places::new(settings.connections_max, settings.per_address_max),
            times: settings.times,
            factories: settings.factories.as_slice().into(),
        })
    }

    /// The address that it got.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` says so; then open requests are finished.
    pub(crate) async fn serve<F, R>(self, routes: F, door: Door, mut stop: watch::Receiver<bool>)
    where
        F: Filter<Extract = (R,), Error = Infallible> + Clone + Send + Sync + 'static,
        R: Reply + Send + 'static,
    {
        loop {
            let accepted = tokio::select! {
                accepted = self.tcp.accept() => accepted,
                _ = stop.changed() => return,
            };
            let Ok((stream, from)) = accepted else {
                // Out of file descriptors, most likely: a pause lets connections end.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            // No place left: closing at once is kinder than a queue that nobody gets to the end of.
            let Some(place) = self.places.take(from.ip()) else { continue };
            let (acceptor, routes, stop) = (self.acceptor.clone(), routes.clone(), stop.clone());
            let (door, times) = (door.clone(), self.times);
            let factories = Arc::clone(&self.factories);
            tokio::spawn(async move {
                let caller = Caller { address: from.ip(), times, door, factories };
                connection((stream, caller), &acceptor, routes, stop).await;
                drop(place);
            });
        }
    }
}

/// Who connects, and what is done about it.
struct Caller {
    address: IpAddr,
    times: Times,
    door: Door,
    factories: Arc<[FactoryCa]>,
}

async fn connection<F, R>(
    (stream, caller): (TcpStream, Caller),
    acceptor: &TlsAcceptor,
    routes: F,
    mut stop: watch::Receiver<bool>,
) where
    F: Filter<Extract = (R,), Error = Infallible> + Clone + Send + Sync + 'static,
    R: Reply + Send + 'static,
{
    // Without it every small exchange waits 40 ms for a delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    let Caller { address, times, door, factories } = caller;
    let stream = match tokio::time::timeout(times.handshake, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        // A peer that went away is no refusal, and neither is one that was too slow.
        Ok(Err(err)) => {
            let refused = err.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            if let Some(why) = refused {
                door.refused_handshake(address, why).await;
            }
            return;
        }
        Err(_) => return,
    };
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    // Before anything else: what a factory signs is no certificate of a device, whatever it says.
    let factory = factories.iter().find_map(|factory| factory.read(chain, door.now()));
    let own = chain.first().filter(|_| factory.is_none());
    let open = door.opened();
    let line = Line { connection: open.number(), factory: factory.map(Arc::new) };
    let peer = Peer(own.and_then(|der| PeerCertificate::parse(der)), address, line);
    let routes = TowerToHyperService::new(warp::service(routes));
    let asked = Arc::new(AtomicBool::new(false));
    let asks = Arc::clone(&asked);
    let service = service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
        asks.store(true, Ordering::Relaxed);
        // Before the body is read: who has shown no credential shall not make us hold one.
        let stranger = !door.lets_ask(&peer, request.uri().path(), request.headers());
        request.extensions_mut().insert(peer.clone());
        let answer = (!stranger).then(|| routes.call(request));
        let (door, peer) = (door.clone(), peer.clone());
        async move {
            let Some(answer) = answer else {
                door.refused_stranger(&peer).await;
                // One refusal a connection: another costs another handshake.
                return Ok(closing(door.turn_away()));
            };
            let in_time = tokio::time::timeout(REQUEST_MAX, answer).await;
            in_time.unwrap_or_else(|_| Ok(reply::too_slow()))
        }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(times.idle)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX);
    let serving = http.serve_connection(TokioIo::new(Stalls::new(stream, WRITE_MAX)), service);
    tokio::pin!(serving);
    // Who has a place and asks nothing gives it up long before an honest peer that idles.
    let silent = async {
        tokio::time::sleep(times.first_head).await;
        if asked.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        _ = serving.as_mut() => {}
        () = silent => {}
        _ = stop.changed() => {
            serving.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(FAREWELL_MAX, serving).await;
        }
    }
}

fn closing(mut response: Response) -> Response {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

fn tls(
    settings: &ListenerSettings,
    clients: ClientCertificates,
) -> Result<rustls::ServerConfig, ListenError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&settings.client_ca)? {
        roots.add(certificate).map_err(|source| ListenError::Tls { source })?;
    }
    for certificate in settings.factories.iter().flat_map(FactoryCa::certificates) {
        roots.add(certificate.clone()).map_err(|source| ListenError::Tls { source })?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider));
    let built = |verifier: ClientCertVerifierBuilder| {
        let path = settings.client_ca.clone();
        verifier.build().map_err(|source| ListenError::ClientCa { path, source })
    };
    let verifier = match clients {
        ClientCertificates::Required => built(verifier)?,
        ClientCertificates::PerRoute => built(verifier.allow_unauthenticated())?,
        ClientCertificates::Unwanted => WebPkiClientVerifier::no_client_auth(),
    };
    let key = PrivateKeyDer::from_pem_file(&settings.key)
        .map_err(|source| ListenError::Pem { path: settings.key.clone(), source })?;
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|source| ListenError::Tls { source })?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates(&settings.certificate)?, key)
        .map_err(|source| ListenError::Tls { source })?;
    // A resumed session is not verified again, so that a certificate would outlive its revocation.
    tls.session_storage = Arc::new(NoServerSessionStorage {});
    tls.send_tls13_tickets = 0;
    Ok(tls)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ListenError> {
    let pem = |source| ListenError::Pem { path: path.into(), source };
    CertificateDer::pem_file_iter(path).map_err(pem)?.collect::<Result<_, _>>().map_err(pem)
}
