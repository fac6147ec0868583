//! Certificates and requests for one, as they come from devices and from people's files.

use std::sync::LazyLock;

use lazaret_repo_keys::authority::Authority;
use rcgen::{CertificateParams, CertificateSigningRequestParams, KeyPair, PublicKeyData as _};

static KEY: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate().expect("a key can be made"));

/// A request for a certificate, with its own signature: what the server reads of it.
pub(crate) fn request(input: &[u8]) {
    let Ok(request) = CertificateSigningRequestParams::from_der(&input.into()) else { return };
    let _key = request.public_key.der_bytes();
}

pub(crate) fn request_seeds() -> Vec<Vec<u8>> {
    let params = CertificateParams::new(vec!["device.example".into()]).expect("a name");
    vec![params.serialize_request(&*KEY).expect("a request").der().to_vec()]
}

/// A certificate that is to issue others, in PEM.
pub(crate) fn authority(input: &[u8]) {
    let _opened = Authority::open(&String::from_utf8_lossy(input), &KEY.serialize_der());
}

pub(crate) fn authority_seeds() -> Vec<Vec<u8>> {
    let params = CertificateParams::new(vec!["ca.example".into()]).expect("a name");
    vec![params.self_signed(&*KEY).expect("a certificate").pem().into_bytes()]
}

/// A certificate as it comes in a handshake.
pub(crate) fn peer(input: &[u8]) {
    let Ok((_, certificate)) = x509_parser::parse_x509_certificate(input) else { return };
    let _names: Vec<_> = certificate.subject().iter_common_name().map(|it| it.as_str()).collect();
    let _extensions = certificate.extended_key_usage();
}

pub(crate) fn peer_seeds() -> Vec<Vec<u8>> {
    let params = CertificateParams::new(vec!["device.example".into()]).expect("a name");
    vec![params.self_signed(&*KEY).expect("a certificate").der().to_vec()]
}
