//! Factory certificates: whether a maker's CA has signed one, and which machine it names.

use std::path::Path;
use std::sync::Arc;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::time::Timestamp;
pub(crate) use lazaret_server_domain::factory::FactoryCertificate;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

/// A factory's CA, as TLS checks it.
#[derive(Debug, Clone)]
pub(crate) struct FactoryCa {
    /// The factory's name in the settings.
    pub(crate) name: String,
    /// When the last of its certificates ends.
    pub(crate) ends: Timestamp,
    certificates: Vec<CertificateDer<'static>>,
    verifier: Arc<dyn ClientCertVerifier>,
}

impl FactoryCa {
    /// Reads the CA of a factory.
    ///
    /// # Errors
    /// The file cannot be read, or something in it is no CA's certificate; in words.
    pub(crate) fn load(name: &str, path: &Path) -> Result<Self, String> {
        let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
        let certificates: Vec<CertificateDer<'static>> = found.map_err(|err| err.to_string())?;
        let mut roots = RootCertStore::empty();
        let mut ends = Timestamp::from_ms(0);
        for der in &certificates {
            let (_, read) =
                x509_parser::parse_x509_certificate(der).map_err(|err| err.to_string())?;
            if !read.is_ca() {
                return Err(format!("{} is no CA", read.subject()));
            }
            let seconds = u64::try_from(read.validity().not_after.timestamp()).unwrap_or(0);
            ends = ends.max(Timestamp::from_ms(seconds.saturating_mul(1000)));
            roots.add(der.clone()).map_err(|err| err.to_string())?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
        let verifier = verifier.build().map_err(|err| err.to_string())?;
        Ok(Self { name: name.to_owned(), ends, certificates, verifier })
    }

    /// Its certificates.
    pub(crate) fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }

    /// The factory certificate in a chain at `now`; none where this CA did not sign it, or where it
    /// names no machine.
    pub(crate) fn read(
        &self,
        chain: &[CertificateDer<'_>],
        now: Timestamp,
    ) -> Option<FactoryCertificate> {
        let (leaf, between) = chain.split_first()?;
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_millis(now.as_ms()));
        self.verifier.verify_client_cert(leaf, between, now).ok()?;
        let (_, certificate) = x509_parser::parse_x509_certificate(leaf).ok()?;
        let subject = certificate.subject();
        let named = subject.iter_by_oid(&x509_parser::oid_registry::OID_X509_SERIALNUMBER).next();
        let named = named.or_else(|| subject.iter_common_name().next())?;
        Some(FactoryCertificate {
            factory: self.name.clone(),
            fingerprint: Sha256Digest::of(leaf),
            serial: named.as_str().ok()?.to_owned(),
        })
    }
}
