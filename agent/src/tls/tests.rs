//! Which moment a certificate is judged by: what was told, else the floor, and never a wrong clock.

use lazaret_protocol::time::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, date_time_ymd,
};

use super::*;

/// A CA's file and a server certificate of it that is valid through `years`.
fn server(years: (i32, i32)) -> (tempfile::NamedTempFile, CertificateDer<'static>) {
    let key = || KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let ca_key = key();
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let issuer = Issuer::new(ca, ca_key);
    let mut params = CertificateParams::new(vec!["localhost".into()]).unwrap();
    params.not_before = date_time_ymd(years.0, 1, 1);
    params.not_after = date_time_ymd(years.1, 1, 1);
    let certificate = params.signed_by(&key(), &issuer).unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(ca_pem.as_bytes()).unwrap();
    (file, certificate.der().clone())
}

fn verdict(years: (i32, i32), clock: &Clock) -> Result<(), rustls::Error> {
    let (ca, certificate) = server(years);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots(ca.path()).unwrap()), provider)
            .build()
            .unwrap();
    let judge = ByDeviceTime { verifier, clock: clock.clone() };
    let name = ServerName::try_from("localhost").unwrap();
    judge.verify_server_cert(&certificate, &[], &name, &[], seconds(0)).map(drop)
}

const YEAR_MS: u64 = 31_556_952_000;

/// A moment in a year.
fn year(year: u64) -> Timestamp {
    Timestamp::from_ms((year - 1970) * YEAR_MS + YEAR_MS / 2)
}

#[test]
fn a_clock_that_is_behind_does_not_keep_the_device_from_asking() {
    // The certificate is of a time that the system clock has not reached.
    assert_eq!(verdict((2090, 2092), &Clock::new(Timestamp::from_ms(0))), Ok(()));
}

#[test]
fn a_clock_that_is_ahead_is_judged_by_the_floor() {
    // Seen from the system clock, the certificate has lapsed; seen from the floor, it has not.
    assert_eq!(verdict((2000, 2002), &Clock::new(year(2001))), Ok(()));
    // One that had lapsed at the last authenticated time stays refused.
    let lapsed = verdict((2000, 2002), &Clock::new(year(2003)));
    assert!(matches!(
        lapsed,
        Err(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { .. }))
    ));
}

#[test]
fn once_the_time_was_told_it_is_the_only_one() {
    let clock = Clock::new(Timestamp::from_ms(0));
    clock.told(year(2050));
    assert_eq!(verdict((2049, 2052), &clock), Ok(()));
    assert!(verdict((2040, 2042), &clock).is_err());
    assert!(verdict((2090, 2092), &clock).is_err());
}

#[test]
fn a_certificate_of_another_ca_is_refused_whatever_the_clock() {
    let (ca, _) = server((2020, 2090));
    let (_, certificate) = server((2020, 2090));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots(ca.path()).unwrap()), provider)
            .build()
            .unwrap();
    let judge = ByDeviceTime { verifier, clock: Clock::new(Timestamp::from_ms(0)) };
    let name = ServerName::try_from("localhost").unwrap();
    assert!(judge.verify_server_cert(&certificate, &[], &name, &[], seconds(0)).is_err());
}

#[test]
fn a_file_without_certificates_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    assert!(matches!(roots(file.path()), Err(TlsError::NoRoots { .. })));
}
