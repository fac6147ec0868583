//! A claim works once, for one machine; but a lost answer strands nobody.

use super::*;
use alloc::vec::Vec;

const NOW: Timestamp = Timestamp::from_ms(1000);

fn claim() -> Claim {
    Claim {
        serial: "sn-1".parse().unwrap(),
        device: "d-1".parse().unwrap(),
        model: "gw2".parse().unwrap(),
        secret: Sha256Digest::of(b"secret"),
        expires: NOW.plus_ms(1),
        used: None,
        by: "ana".parse().unwrap(),
    }
}

fn found<T>(key: &str, value: Option<T>) -> Found<T> {
    Found { key: key.into(), version: value.as_ref().map(|_| 1), value }
}

fn key(byte: u8) -> PublicKey {
    PublicKey::EcdsaP256(Vec::from([byte; 65]))
}

fn shown(claim: Option<Claim>, device: Option<&Device>, secret: &[u8], by: u8) -> &'static str {
    let serial: SerialNumber = "sn-1".parse().unwrap();
    let key = key(by);
    let showing = Showing { serial: &serial, secret: Sha256Digest::of(secret), key: &key };
    match show(&found("claim/sn-1", claim), device, &showing, NOW) {
        Shown::Admitted(_) => "admitted",
        Shown::Again(_) => "again",
        Shown::Recorded(_) => "recorded",
        Shown::Refused(_) => "refused",
    }
}

fn enrolled() -> (Claim, Device) {
    let fresh = found("claim/sn-1", Some(claim()));
    let Some(value) = &fresh.value else { unreachable!() };
    let issued = Issued { key: key(1), certificate: Sha256Digest::of(b"c"), ends: NOW.plus_ms(9) };
    let none = found("device/d-1", None);
    let decision =
        enroll(&Admitted { claim: value }, (&fresh, &none), (issued, None), NOW).unwrap();
    (Claim { used: Some(NOW), ..claim() }, decision.into_parts().unwrap().reply)
}

#[test]
fn a_claim_is_admitted_with_its_secret_before_it_lapses() {
    assert_eq!(shown(Some(claim()), None, b"secret", 1), "admitted");
    assert_eq!(shown(Some(claim()), None, b"another", 1), "refused");
    assert_eq!(shown(None, None, b"secret", 1), "refused");
    let lapsed = Claim { expires: NOW, ..claim() };
    assert_eq!(shown(Some(lapsed), None, b"secret", 1), "refused");
}

#[test]
fn a_used_claim_works_again_for_the_same_key_and_is_an_indicator_for_any_other() {
    let (claim, device) = enrolled();
    assert_eq!(shown(Some(claim.clone()), Some(&device), b"secret", 1), "again");
    assert_eq!(shown(Some(claim.clone()), Some(&device), b"secret", 2), "recorded");
    assert_eq!(shown(Some(claim), Some(&device), b"another", 1), "refused");
}
