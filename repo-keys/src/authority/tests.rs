//! Certificates say what we decide, and stock tools agree.

use super::*;
use std::process::Command;

fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2026-11-22T12:00:00Z").unwrap()
}

fn authority(which: usize) -> (String, Authority) {
    let (root, issuing) = create("Acme", now()).unwrap();
    let ca = &issuing[which];
    (root.chain_pem, Authority::open(&ca.chain_pem, ca.key.serialized_der()).unwrap())
}

fn first(pem: &str) -> Vec<u8> {
    rustls_pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
}

#[test]
fn an_operator_certificate_names_the_operator_and_each_role() {
    let (_, ca) = authority(1);
    let roles = [Role::Operator, Role::Responder, Role::Auditor];
    let issued = ca.operator(&"ana".parse().unwrap(), &roles, 30, now()).unwrap();
    let der = first(&issued.chain_pem);
    let (_, certificate) = x509_parser::parse_x509_certificate(&der).unwrap();
    let subject = certificate.subject();
    let common: Vec<_> = subject.iter_common_name().map(|cn| cn.as_str().unwrap()).collect();
    let units: Vec<_> = subject.iter_organizational_unit().map(|ou| ou.as_str().unwrap()).collect();
    assert_eq!(common, ["ana"]);
    assert_eq!(units, ["operator", "responder", "auditor"]);
    assert!(!certificate.is_ca());
    let usage = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && !usage.server_auth && !usage.any);
    let (_, ca) = x509_parser::pem::parse_x509_pem(ca.certificate_pem.as_bytes()).unwrap();
    let ca = ca.parse_x509().unwrap();
    certificate.verify_signature(Some(ca.public_key())).unwrap();
}

#[test]
fn a_certificate_begins_in_the_past_and_has_a_random_serial() {
    let (_, ca) = authority(2);
    let issue = || {
        let issued = ca.server(&["localhost".to_owned()], &[], 90, now()).unwrap();
        let der = first(&issued.chain_pem);
        let (_, certificate) = x509_parser::parse_x509_certificate(&der).unwrap();
        let begins = certificate.validity().not_before.timestamp();
        (begins, certificate.raw_serial().to_vec())
    };
    let ((begins, one), (_, two)) = (issue(), issue());
    assert_eq!(u64::try_from(begins).unwrap() * 1000, now().as_ms() - BACKDATE_MS);
    assert_ne!(one, two);
    assert_eq!(one.len(), 16);
}

#[test]
fn nothing_from_outside_makes_a_leaf_a_ca() {
    let (_, ca) = authority(2);
    for name in ["CA:TRUE", "a,CN=b", "*", "", "a..b", "a b", "\u{0}"] {
        let refused = ca.server(&[name.to_owned()], &[], 90, now()).unwrap_err();
        assert!(matches!(refused, AuthorityError::Name { .. }), "{name:?} was accepted");
    }
    let issued = ca.server(&["localhost".to_owned()], &[], 90, now()).unwrap();
    let der = first(&issued.chain_pem);
    let (_, certificate) = x509_parser::parse_x509_certificate(&der).unwrap();
    let constraints = certificate.basic_constraints().unwrap().unwrap().value;
    assert!(!constraints.ca);
    assert!(!certificate.key_usage().unwrap().unwrap().value.key_cert_sign());
}

#[test]
fn openssl_verifies_a_server_and_an_operator_up_to_the_root() {
    for (which, purpose) in [(1, "sslclient"), (2, "sslserver")] {
        let (root, ca) = authority(which);
        let issued = if which == 1 {
            ca.operator(&"ana".parse().unwrap(), &[Role::Operator, Role::Auditor], 30, now())
        } else {
            ca.server(&["localhost".to_owned()], &["127.0.0.1".parse().unwrap()], 90, now())
        };
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::File::create(path("root")).unwrap();
        write(&path("root"), &root);
        write(&path("chain"), &issued.unwrap().chain_pem);
        let at = (now().as_ms() / 1000).to_string();
        let out = Command::new("openssl")
            .args(["verify", "-x509_strict", "-purpose", purpose, "-attime", &at, "-CAfile"])
            .arg(path("root"))
            .arg("-untrusted")
            .arg(path("chain"))
            .arg(path("chain"))
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }
}

#[test]
fn a_key_of_another_ca_is_refused() {
    let (_, issuing) = create("Acme", now()).unwrap();
    let refused = Authority::open(&issuing[0].chain_pem, issuing[1].key.serialized_der()).err();
    assert!(matches!(refused, Some(AuthorityError::WrongKey)));
}

#[test]
fn a_leaf_that_would_outlive_its_ca_is_refused() {
    let (_, ca) = authority(2);
    let late = now().plus_ms(ISSUING_DAYS * DAY_MS);
    let refused = ca.server(&["localhost".to_owned()], &[], 1, late).unwrap_err();
    assert!(matches!(refused, AuthorityError::OutlivesCa { .. }));
}

fn write(path: &std::path::Path, text: &str) {
    use std::io::Write as _;
    std::fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
}
