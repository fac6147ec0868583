//! Whose certificate `device.pem` is. The chain is checked as TLS would check a device's, but at
//! the moment when the certificate began: evidence is looked at long after certificates have ended,
//! and whether it was valid when the bundle was collected is a check of its own.

use std::sync::Arc;
use std::time::Duration;

use lazaret_protocol::id::DeviceId;
use lazaret_protocol::key::PublicKey;
use lazaret_protocol::time::Timestamp;
use lazaret_protocol_evidence::bundle::{CertificateFault, Signer};
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_SIG_ED25519};
use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;
use x509_parser::x509::SubjectPublicKeyInfo;

/// Certificates in `device.pem`: the device's own and up to three CAs.
const CHAIN_MAX: usize = 4;

/// Reads `device.pem` and checks it against the certificates of the device CA.
pub(crate) fn signer(
    device_pem: Option<&[u8]>,
    device_cas: &[CertificateDer<'static>],
) -> Result<Signer, CertificateFault> {
    let chain = chain(device_pem)?;
    let (leaf, intermediates) = chain.split_first().ok_or_else(|| refused("it is empty"))?;
    let signer = read(leaf)?;
    let mut roots = RootCertStore::empty();
    for ca in device_cas {
        roots.add(ca.clone()).map_err(|err| refused(format!("the device CA is none: {err}")))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|err| refused(format!("the device CA is none: {err}")))?;
    let began = UnixTime::since_unix_epoch(Duration::from_millis(signer.not_before.as_ms()));
    verifier
        .verify_client_cert(leaf, intermediates, began)
        .map_err(|err| refused(format!("it does not chain to the device CA: {err}")))?;
    Ok(signer)
}

fn refused(why: impl Into<String>) -> CertificateFault {
    CertificateFault::Refused { why: why.into() }
}

fn chain(device_pem: Option<&[u8]>) -> Result<Vec<CertificateDer<'static>>, CertificateFault> {
    let bytes = device_pem.ok_or(CertificateFault::Missing)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(bytes)
        .take(CHAIN_MAX + 1)
        .collect::<Result<_, _>>()
        .map_err(|err| refused(format!("it is not PEM: {err}")))?;
    if chain.len() > CHAIN_MAX {
        return Err(refused(format!("it holds more than {CHAIN_MAX} certificates")));
    }
    Ok(chain)
}

fn read(der: &CertificateDer<'_>) -> Result<Signer, CertificateFault> {
    let (rest, certificate) = X509Certificate::from_der(der)
        .map_err(|err| refused(format!("it is no X.509 certificate: {err}")))?;
    if !rest.is_empty() {
        return Err(refused("bytes follow the certificate"));
    }
    let validity = certificate.validity();
    Ok(Signer {
        device: device(&certificate)?,
        key: key(certificate.public_key())?,
        not_before: moment(validity.not_before),
        not_after: moment(validity.not_after),
    })
}

fn device(certificate: &X509Certificate<'_>) -> Result<DeviceId, CertificateFault> {
    let mut names = certificate.subject().iter_common_name();
    let (Some(name), None) = (names.next(), names.next()) else {
        return Err(refused("expected exactly one common name"));
    };
    let name = name.as_str().map_err(|_| refused("its common name is no text"))?;
    name.parse().map_err(|err| refused(format!("its common name: {err}")))
}

fn key(info: &SubjectPublicKeyInfo<'_>) -> Result<PublicKey, CertificateFault> {
    let algorithm = &info.algorithm;
    let bytes = info.subject_public_key.data.to_vec();
    if algorithm.algorithm == OID_SIG_ED25519 {
        return Ok(PublicKey::Ed25519(bytes));
    }
    let curve = algorithm.parameters.as_ref().and_then(|curve| curve.as_oid().ok());
    if algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY && curve == Some(OID_EC_P256) {
        return Ok(PublicKey::EcdsaP256(bytes));
    }
    Err(refused(format!("expected a P-256 or Ed25519 key, got {}", algorithm.algorithm)))
}

fn moment(time: ASN1Time) -> Timestamp {
    let seconds = u64::try_from(time.timestamp()).unwrap_or(0);
    Timestamp::from_ms(seconds.saturating_mul(1000))
}

#[cfg(test)]
mod tests;
