//! What the server reads from a client certificate that TLS has already checked against the CA.

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::time::Timestamp;

/// A client certificate of one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PeerCertificate {
    /// SHA-256 of its DER.
    pub(crate) fingerprint: Sha256Digest,
    /// Its common name.
    pub(crate) common_name: String,
    /// Its organisational units.
    pub(crate) units: Vec<String>,
    /// When it ends.
    pub(crate) not_after: Timestamp,
}

impl PeerCertificate {
    /// Reads a certificate; none where it is none or has not exactly one common name.
    #[must_use]
    pub(crate) fn parse(der: &[u8]) -> Option<Self> {
        let (rest, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let subject = certificate.subject();
        let mut names = subject.iter_common_name();
        let common_name = names.next()?.as_str().ok()?.to_owned();
        if names.next().is_some() {
            return None;
        }
        let units = subject.iter_organizational_unit();
        let units = units.filter_map(|unit| unit.as_str().ok().map(str::to_owned)).collect();
        let ends = certificate.validity().not_after.timestamp();
        let not_after = Timestamp::from_ms(u64::try_from(ends).ok()?.saturating_mul(1000));
        Some(Self { fingerprint: Sha256Digest::of(der), common_name, units, not_after })
    }
}
