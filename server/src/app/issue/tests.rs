//! A CSR decides nothing but the key.

use super::*;
use rcgen::BasicConstraints;

fn issuer(dir: &Path) -> DeviceIssuer {
    use std::io::Write as _;
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.distinguished_name.push(DnType::CommonName, "test CA");
    let certificate = params.self_signed(&key).unwrap();
    let (pem, secret) = (dir.join("ca.pem"), dir.join("ca.key"));
    std::fs::File::create(&pem).unwrap().write_all(certificate.pem().as_bytes()).unwrap();
    std::fs::File::create(&secret).unwrap().write_all(key.serialize_pem().as_bytes()).unwrap();
    DeviceIssuer::load((&pem, None), &secret, 48).unwrap()
}

#[test]
fn a_request_to_be_a_ca_called_admin_yields_a_plain_device_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "admin");
    params.distinguished_name.push(DnType::OrganizationalUnitName, "operator");
    let csr = params.serialize_request(&key).unwrap().pem().unwrap();

    let device: DeviceId = "d-1".parse().unwrap();
    let now = Timestamp::from_ms(1_800_000_000_000);
    let issued = issuer(dir.path()).issue(&device, &csr, now).unwrap();

    let (_, pem) = x509_parser::pem::parse_x509_pem(issued.chain.as_bytes()).unwrap();
    let certificate = pem.parse_x509().unwrap();
    assert!(!certificate.is_ca());
    assert_eq!(certificate.subject().to_string(), "CN=d-1");
    assert_eq!(issued.issued.ends, now.plus_ms(48 * HOUR_MS));
}

#[test]
fn a_request_that_is_not_signed_by_its_key_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let device: DeviceId = "d-1".parse().unwrap();
    for csr in
        ["", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"]
    {
        let refused = issuer(dir.path()).issue(&device, csr, Timestamp::from_ms(0));
        let Err(AppError::Refused(refused)) = refused else { panic!("{csr:?} was accepted") };
        assert_eq!(refused.code, RefusalCode::CsrRefused);
    }
}
