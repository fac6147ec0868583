//! Makers of TPMs that the server trusts: whether one of them has vouched for an endorsement key
//! (TCG EK credential profile 2.5, 3.2). Every certificate of the file is trusted as it stands, so
//! that a maker's issuing CA stands in it itself, and a root alone vouches for nothing but what it
//! has signed.

use std::path::{Path, PathBuf};

use lazaret_protocol::time::Timestamp;
use lazaret_protocol_tpm::public::{Public, Unique};
use lazaret_server_domain::attestation::Vouched;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;
use x509_parser::time::ASN1Time;

/// Largest certificate of an endorsement key, in bytes. One has some 1.2 KiB.
const CERTIFICATE_BYTES_MAX: usize = 8 * 1024;

/// The certificates of makers.
#[derive(Debug, Default)]
pub(crate) struct Makers(Vec<CertificateDer<'static>>);

/// A file of makers that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("expected certificates of CAs in PEM in {path}: {why}")]
pub(crate) struct MakersError {
    path: PathBuf,
    why: String,
}

impl Makers {
    /// Reads the certificates of makers.
    ///
    /// # Errors
    /// The file cannot be read, or something in it is no CA's certificate.
    pub(crate) fn load(path: &Path) -> Result<Self, MakersError> {
        let refused = |why: String| MakersError { path: path.to_owned(), why };
        let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
        let found: Vec<CertificateDer<'static>> = found.map_err(|err| refused(err.to_string()))?;
        for der in &found {
            let (_, certificate) =
                X509Certificate::from_der(der).map_err(|err| refused(err.to_string()))?;
            if !certificate.is_ca() {
                return Err(refused(format!("{} is no CA", certificate.subject())));
            }
        }
        if found.is_empty() { Err(refused("there is none".into())) } else { Ok(Self(found)) }
    }

    /// Whether one of the makers has certified this endorsement key.
    pub(crate) fn vouch(
        &self,
        endorsement: &Public,
        certificate: Option<&[u8]>,
        now: Timestamp,
    ) -> Vouched {
        let known = certificate
            .filter(|der| der.len() <= CERTIFICATE_BYTES_MAX)
            .and_then(|der| X509Certificate::from_der(der).ok())
            // Some TPMs keep zeroes behind the certificate.
            .filter(|(rest, _)| rest.iter().all(|byte| *byte == 0))
            .is_some_and(|(_, certificate)| {
                is_of(&certificate, endorsement) && self.has_signed(&certificate, now)
            });
        if known { Vouched::ByMaker } else { Vouched::No }
    }

    fn has_signed(&self, certificate: &X509Certificate<'_>, now: Timestamp) -> bool {
        let seconds = i64::try_from(now.as_ms() / 1000).unwrap_or(i64::MAX);
        let Ok(now) = ASN1Time::from_timestamp(seconds) else { return false };
        let valid = |it: &X509Certificate<'_>| it.validity().is_valid_at(now);
        valid(certificate)
            && self.0.iter().any(|maker| {
                X509Certificate::from_der(maker).is_ok_and(|(_, maker)| {
                    valid(&maker)
                        && maker.subject() == certificate.issuer()
                        && certificate.verify_signature(Some(maker.public_key())).is_ok()
                })
            })
    }
}

/// Whether a certificate is for this very key.
fn is_of(certificate: &X509Certificate<'_>, key: &Public) -> bool {
    let trimmed = |number: &[u8]| -> Vec<u8> {
        number.iter().copied().skip_while(|byte| *byte == 0).collect()
    };
    match (certificate.public_key().parsed(), &key.unique) {
        (Ok(PublicKey::RSA(rsa)), Unique::Rsa { modulus, exponent }) => {
            trimmed(rsa.modulus) == trimmed(modulus)
                && trimmed(rsa.exponent) == trimmed(&exponent.to_be_bytes())
        }
        (Ok(PublicKey::EC(point)), Unique::EccP256(ours)) => point.data() == ours.as_slice(),
        _ => false,
    }
}
