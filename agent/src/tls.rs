//! TLS 1.3 on ring, with the server's CA from a file and the device's own certificate. Certificates
//! are judged by the device's time, which is more than the system clock (see `clock`). Nothing here
//! speaks HTTP.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lazaret_agent_core::clock::Source;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore,
    SignatureScheme, StreamOwned,
};
use ureq::Error;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
    TransportAdapter,
};

use crate::clock::Clock;
use crate::durable::{self, DurableError};
use crate::identity::DeviceKey;

/// Largest file of CA certificates, in bytes.
pub const CA_FILE_BYTES_MAX: u64 = 256 * 1024;

/// TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The CA's file cannot be read.
    #[error("CA certificates cannot be read")]
    Unreadable(#[source] DurableError),
    /// There is no CA certificate in it.
    #[error("expected CA certificates in PEM in {}, got none", path.display())]
    NoRoots {
        /// The file.
        path: PathBuf,
    },
    /// The certificate or its key is not usable.
    #[error("the device's certificate and key cannot be used: {why}")]
    ClientCertificate {
        /// What the parser said.
        why: String,
    },
    /// The library said no.
    #[error("TLS cannot be set up")]
    Rustls(#[source] rustls::Error),
}

/// What the device shows; nothing before it is enrolled.
#[derive(Clone, Copy)]
pub struct ClientIdentity<'a> {
    /// Its certificate, then the issuing CA's, in PEM.
    pub chain_pem: &'a str,
    /// Its key, wherever it lives.
    pub key: &'a DeviceKey,
}

/// Largest TLS record that is sent, in bytes. A record that a break cuts off is lost as a whole: on
/// a bad link small ones lose less than their headers cost, which is half a percent.
const FRAGMENT_BYTES_MAX: usize = 4096;

/// The settings of every connection.
///
/// # Errors
/// The CA's file or the device's certificate cannot be used.
pub fn client_config(
    server_ca: &Path,
    identity: Option<ClientIdentity<'_>>,
    clock: &Clock,
) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(
        Arc::new(roots(server_ca)?),
        Arc::clone(&provider),
    )
    .build()
    .map_err(|_| TlsError::NoRoots { path: server_ca.to_owned() })?;
    let verifier = Arc::new(ByDeviceTime { verifier, clock: clock.clone() });
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Rustls)?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(ClientIdentity { chain_pem, key }) => {
            let unusable = |why: String| TlsError::ClientCertificate { why };
            let chain: Vec<CertificateDer<'static>> =
                CertificateDer::pem_slice_iter(chain_pem.as_bytes())
                    .collect::<Result<_, _>>()
                    .map_err(|err| unusable(err.to_string()))?;
            let shown = CertifiedKey::new(chain, Arc::new(key.clone()));
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(shown)))
        }
    };
    config.max_fragment_size = Some(FRAGMENT_BYTES_MAX);
    Ok(Arc::new(config))
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let none = || TlsError::NoRoots { path: path.to_owned() };
    let pem =
        durable::read(path, CA_FILE_BYTES_MAX).map_err(TlsError::Unreadable)?.ok_or_else(none)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|_| none())?;
        roots.add(certificate).map_err(TlsError::Rustls)?;
    }
    if roots.is_empty() { Err(none()) } else { Ok(roots) }
}

/// Judges a server's certificate by the device's time.
///
/// Until a server has told the time, a clock may stand anywhere, and a device that believed it
/// could never ask. So a certificate that the clock holds for lapsed is judged again by the floor,
/// the last time that was authenticated; and one that is not valid yet shows that the clock is
/// behind, for no CA issues into the future, and is judged by its own beginning. All else about it
/// is checked as ever.
#[derive(Debug)]
struct ByDeviceTime {
    verifier: Arc<WebPkiServerVerifier>,
    clock: Clock,
}

impl ServerCertVerifier for ByDeviceTime {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let judge = |at: UnixTime| {
            self.verifier.verify_server_cert(
                end_entity,
                intermediates,
                server_name,
                ocsp_response,
                at,
            )
        };
        let mut verdict = judge(seconds(self.clock.now().as_ms()));
        if matches!(self.clock.source(), Source::Authenticated { .. }) {
            return verdict;
        }
        if let Err(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { .. })) =
            verdict
        {
            verdict = judge(seconds(self.clock.floor().as_ms()));
        }
        match verdict {
            Err(rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext {
                not_before,
                ..
            })) => judge(not_before),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

fn seconds(ms: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_millis(ms))
}

/// Wraps a TCP connection of the HTTP client in TLS. The client's own connector would take TLS 1.2
/// as well, and judges certificates by the system clock.
#[derive(Debug)]
pub(crate) struct TlsConnector {
    pub(crate) config: Arc<ClientConfig>,
}

impl<In: Transport> Connector<In> for TlsConnector {
    type Out = Either<In, TlsTransport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        let Some(transport) = chained else { return Ok(None) };
        if !details.needs_tls() {
            return Ok(Some(Either::A(transport)));
        }
        let host = details.uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(host).map_err(|_| Error::HostNotFound)?;
        let mut conn = ClientConnection::new(Arc::clone(&self.config), name)?;
        let mut sock = TransportAdapter::new(transport.boxed(), details.current_time.clone());
        sock.set_timeout(details.timeout);
        conn.complete_io(&mut sock)?;
        let buffers = LazyBuffers::new(
            details.config.input_buffer_size(),
            details.config.output_buffer_size(),
        );
        Ok(Some(Either::B(TlsTransport { buffers, stream: StreamOwned { conn, sock } })))
    }
}

pub(crate) struct TlsTransport {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl Transport for TlsTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.stream.get_mut().set_timeout(timeout);
        let output = self.buffers.output();
        self.stream.write_all(output.get(..amount).unwrap_or_default())?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.stream.get_mut().set_timeout(timeout);
        let amount = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.get_mut().get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

impl std::fmt::Debug for TlsTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsTransport").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
