//! The device key and its certificate: made once, kept private, and never mixed up with others.

use std::os::unix::fs::PermissionsExt as _;

use lazaret_protocol::order::Outcome;
use lazaret_protocol::poll::LogHead;
use lazaret_protocol::report::Report;
use rcgen::{CertificateParams, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256};

use super::*;

pub(crate) fn reply(key: &DeviceKey) -> EnrollReply {
    let ca_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let issuer = Issuer::new(ca, ca_key);
    let params = CertificateParams::new(Vec::new()).unwrap();
    let certificate = params.signed_by(&key.certified(), &issuer).unwrap();
    EnrollReply {
        device: "d-1".parse().unwrap(),
        certificate_chain: certificate.pem(),
        not_after: Timestamp::from_ms(u64::MAX / 2),
    }
}

#[test]
fn the_key_is_made_once_and_only_its_owner_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let first = DeviceKey::load_or_make(folder.path(), &Durable::default()).unwrap();
    let second = DeviceKey::load_or_make(folder.path(), &Durable::default()).unwrap();
    assert_eq!(first.key_id(), second.key_id());
    let mode = std::fs::metadata(folder.path().join("identity/key.pem")).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
}

#[test]
fn a_report_signed_by_the_key_verifies_and_another_key_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let key = DeviceKey::load_or_make(folder.path(), &Durable::default()).unwrap();
    let report = Report {
        device: "d-1".parse().unwrap(),
        order: 1,
        outcome: Outcome::Done,
        running: None,
        at: Timestamp::from_ms(1),
        log_head: LogHead { size: 0, hash: lazaret_protocol::digest::Sha256Digest::of(b"") },
        bytes_fetched: 0,
        pace: lazaret_protocol::report::Pace::Ordinary,
        answers: None,
    };
    let sealed = key.seal(&report).unwrap();
    assert_eq!(sealed.verify::<Report>(&[key.public()]).unwrap().into_message(), report);
    let other = tempfile::tempdir().unwrap();
    let other = DeviceKey::load_or_make(other.path(), &Durable::default()).unwrap();
    assert!(sealed.verify::<Report>(&[other.public()]).is_err());
}

#[test]
fn a_certificate_for_another_key_is_refused() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let key = DeviceKey::load_or_make(folder.path(), &Durable::default()).unwrap();
    let stranger = DeviceKey::load_or_make(other.path(), &Durable::default()).unwrap();
    let kept = Certificate::keep(reply(&key), folder.path(), &key, &Durable::default()).unwrap();
    assert_eq!(Certificate::load(folder.path(), &key).unwrap(), Some(kept));
    assert!(matches!(
        Certificate::check(reply(&stranger), &key),
        Err(IdentityError::BadCertificate { .. })
    ));
}

#[test]
fn a_csr_names_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let key = DeviceKey::load_or_make(folder.path(), &Durable::default()).unwrap();
    let csr = key.csr().unwrap();
    let pem = Pem::iter_from_buffer(csr.as_bytes()).next().unwrap().unwrap();
    use x509_parser::prelude::FromDer as _;
    let (_, csr) =
        x509_parser::certification_request::X509CertificationRequest::from_der(&pem.contents)
            .unwrap();
    assert_eq!(csr.certification_request_info.subject.iter().count(), 0);
}
