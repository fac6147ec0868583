//! Certificates that are not a device's.

use super::*;
use crate::evidence::fixture::{Authority, Device, Holder};
use rcgen::ExtendedKeyUsagePurpose;

fn cas(authority: &Authority) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(authority.pem.as_bytes()).map(Result::unwrap).collect()
}

fn why(result: Result<Signer, CertificateFault>) -> String {
    match result {
        Err(CertificateFault::Refused { why }) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_device_of_the_ca_is_its_signer() {
    let device = Device::new();
    let signer = signer(Some(&device.chain()), &cas(&device.ca)).unwrap();
    assert_eq!(signer.device.as_str(), "d-1");
    assert_eq!(signer.not_before.to_rfc3339(), "2026-01-01T00:00:00Z");
    let PublicKey::EcdsaP256(point) = signer.key else { panic!("{:?}", signer.key) };
    assert_eq!(point, device.holder.key.public_key_raw());
}

#[test]
fn a_device_of_another_ca_is_refused() {
    let device = Device::new();
    // Same name, other key.
    let other = Authority::new("device CA");
    let refused = why(signer(Some(&device.chain()), &cas(&other)));
    assert!(refused.contains("does not chain"), "{refused}");
}

#[test]
fn a_certificate_that_is_no_clients_is_refused() {
    let device = Device::new();
    let Holder { certificate, .. } = device.ca.issue("d-1", ExtendedKeyUsagePurpose::ServerAuth);
    let refused = why(signer(Some(certificate.as_bytes()), &cas(&device.ca)));
    assert!(refused.contains("does not chain"), "{refused}");
}

#[test]
fn a_common_name_that_is_no_device_id_is_refused() {
    let device = Device::new();
    let Holder { certificate, .. } = device.ca.issue("D 1", ExtendedKeyUsagePurpose::ClientAuth);
    let refused = why(signer(Some(certificate.as_bytes()), &cas(&device.ca)));
    assert!(refused.contains("device id"), "{refused}");
}

#[test]
fn files_that_are_no_chain_are_refused() {
    let device = Device::new();
    let cas = cas(&device.ca);
    assert_eq!(signer(None, &cas), Err(CertificateFault::Missing));
    assert_eq!(why(signer(Some(b""), &cas)), "it is empty");
    let long = device.holder.certificate.repeat(5);
    assert!(why(signer(Some(long.as_bytes()), &cas)).contains("more than 4"));
    let junk = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(why(signer(Some(junk), &cas)).contains("no X.509"));
}
