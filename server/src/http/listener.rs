//! The accept loop: TLS 1.3 with client certificates in front of warp, which has no TLS of its own.
//! The handshake, the head and the time until an answer begins are limited, so that a slow sender
//! costs a file descriptor for minutes and not for ever, and so does a reader that takes nothing.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::RootCertStore;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use warp::{Filter, Reply};

use crate::http::stalls::Stalls;
use crate::http::{device, reply};
use crate::identity::certificate::PeerCertificate;

/// A handshake takes two round trips; this is ten of the worst satellite link.
const HANDSHAKE_MAX: Duration = Duration::from_secs(15);

/// Time for a whole request head. It also bounds how long a connection idles between two requests;
/// a device that polls less often connects anew.
const HEAD_MAX: Duration = Duration::from_secs(90);

/// Time for a request from its head to the head of its answer: a poll that is held back for 55 s,
/// or 4 MiB of evidence over a link of 35 kB/s.
const REQUEST_MAX: Duration = Duration::from_secs(120);

/// Longest time that a write may wait for its reader: a link that is down for longer is up anew as
/// another connection.
const WRITE_MAX: Duration = Duration::from_secs(60);

/// Most headers of a request; ours send seven.
const HEADERS_MAX: usize = 64;

/// Largest request head, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// The certificate of the connection that a request came over, for the filters.
#[derive(Debug, Clone)]
pub(crate) struct Peer(pub(crate) Option<PeerCertificate>);

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
    /// Connections at once; more are closed.
    pub(crate) connections_max: usize,
}

/// Who has to show a certificate on a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientCertificates {
    /// Everybody.
    Required,
    /// Everybody but on the listed routes; each route decides, and none is the default.
    PerRoute,
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
    places: Arc<Semaphore>,
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
            places: Arc::new(Semaphore::new(settings.connections_max)),
        })
    }

    /// The address that it got.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` says so; then open requests are finished.
    pub(crate) async fn serve<F, R>(self, routes: F, mut stop: watch::Receiver<bool>)
    where
        F: Filter<Extract = (R,), Error = Infallible> + Clone + Send + Sync + 'static,
        R: Reply + Send + 'static,
    {
        loop {
            let accepted = tokio::select! {
                accepted = self.tcp.accept() => accepted,
                _ = stop.changed() => return,
            };
            let Ok((stream, _)) = accepted else {
                // Out of file descriptors, most likely: a pause lets connections end.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            // No place left: closing at once is kinder than a queue that nobody gets to the end of.
            let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { continue };
            let (acceptor, routes, stop) = (self.acceptor.clone(), routes.clone(), stop.clone());
            tokio::spawn(async move {
                connection(stream, &acceptor, routes, stop).await;
                drop(place);
            });
        }
    }
}

async fn connection<F, R>(
    stream: TcpStream,
    acceptor: &TlsAcceptor,
    routes: F,
    mut stop: watch::Receiver<bool>,
) where
    F: Filter<Extract = (R,), Error = Infallible> + Clone + Send + Sync + 'static,
    R: Reply + Send + 'static,
{
    // Without it every small exchange waits 40 ms for a delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await else {
        return;
    };
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let peer = Peer(certificate.and_then(|der| PeerCertificate::parse(der)));
    let routes = TowerToHyperService::new(warp::service(routes));
    let service = service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
        // Before the body is read: who has shown no certificate shall not make us hold one.
        let stranger = peer.0.is_none() && !device::is_open(request.uri().path());
        request.extensions_mut().insert(peer.clone());
        let answer = (!stranger).then(|| routes.call(request));
        async move {
            let Some(answer) = answer else { return Ok(reply::unauthenticated()) };
            let in_time = tokio::time::timeout(REQUEST_MAX, answer).await;
            in_time.unwrap_or_else(|_| Ok(reply::too_slow()))
        }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX);
    let serving = http.serve_connection(TokioIo::new(Stalls::new(stream, WRITE_MAX)), service);
    tokio::pin!(serving);
    tokio::select! {
        _ = serving.as_mut() => {}
        _ = stop.changed() => {
            serving.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(HANDSHAKE_MAX, serving).await;
        }
    }
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
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider));
    let verifier = match clients {
        ClientCertificates::Required => verifier,
        ClientCertificates::PerRoute => verifier.allow_unauthenticated(),
    };
    let verifier = verifier
        .build()
        .map_err(|source| ListenError::ClientCa { path: settings.client_ca.clone(), source })?;
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
