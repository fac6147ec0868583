//! A factory certificate works once, for what its maker may speak for; a lost answer strands
//! nobody.

use super::*;
use crate::retire;

const NOW: Timestamp = Timestamp::from_ms(1000);

fn item() -> Item {
    Item {
        serial: "sn-1".parse().unwrap(),
        device: "d-1".parse().unwrap(),
        model: "gw2".parse().unwrap(),
        group: Some("lyon".into()),
        endorsement: None,
        claim: None,
        imei: None,
        iccid: None,
        imsi: None,
        factory: Some("acme".into()),
        by: "ana".parse().unwrap(),
        at: Timestamp::from_ms(0),
    }
}

fn factory() -> Factory {
    Factory {
        name: "acme".into(),
        models: alloc::vec!["gw2".parse().unwrap()],
        groups: alloc::vec!["lyon".into()],
        ends: NOW.plus_ms(1),
    }
}

fn key(byte: u8) -> PublicKey {
    PublicKey::EcdsaP256(alloc::vec![byte; 65])
}

fn found<T>(value: Option<T>) -> Found<T> {
    Found { key: "any".into(), version: value.as_ref().map(|_| 1), value }
}

fn enrolled() -> (Device, Used) {
    let issued = Issued { key: key(1), certificate: Sha256Digest::of(b"c"), ends: NOW.plus_ms(9) };
    let certificate = Sha256Digest::of(b"factory");
    let decision = enroll(&item(), (&found(None), &found(None)), (certificate, issued), NOW);
    let serial = item().serial;
    let device = decision.preview().clone();
    (device, Used { certificate, serial, device: item().device, at: NOW })
}

fn outcome(
    item: Option<&Item>,
    there: (Option<&Device>, Option<&Used>),
    (factory, by): (&Factory, u8),
) -> Result<&'static str, RefusalCode> {
    let serial = "sn-1".parse().unwrap();
    let key = key(by);
    let certificate = Sha256Digest::of(b"factory");
    match show(item, there, &Showing { serial: &serial, certificate, factory, key: &key }, NOW) {
        Shown::Admitted(_) => Ok("admitted"),
        Shown::Again(_) => Ok("again"),
        Shown::Recorded(decision) => Err(decision.preview().code),
        Shown::Refused(refused) => Err(refused.code),
    }
}

#[test]
fn a_factory_certificate_enrols_one_machine_once() {
    let none = (None, None);
    assert_eq!(outcome(Some(&item()), none, (&factory(), 1)), Ok("admitted"));
    let (device, used) = enrolled();
    assert_eq!(device.group.as_deref(), Some("lyon"));
    let there = (Some(&device), Some(&used));
    assert_eq!(outcome(Some(&item()), there, (&factory(), 1)), Ok("again"));
    assert_eq!(outcome(Some(&item()), there, (&factory(), 2)), Err(RefusalCode::FactoryUsed));
    // Another certificate for the same machine.
    let other = (Some(&device), None);
    assert_eq!(outcome(Some(&item()), other, (&factory(), 1)), Err(RefusalCode::FactoryRefused));
}

#[test]
fn a_factory_speaks_for_its_own_models_and_groups_until_its_ca_ends() {
    let refused = Err(RefusalCode::FactoryRefused);
    let none = (None, None);
    assert_eq!(outcome(None, none, (&factory(), 1)), refused, "nobody has listed it");
    let not_listed = Item { factory: None, ..item() };
    assert_eq!(outcome(Some(&not_listed), none, (&factory(), 1)), refused);
    let other_model = Item { model: "gw3".parse().unwrap(), ..item() };
    assert_eq!(outcome(Some(&other_model), none, (&factory(), 1)), refused);
    let other_group = Item { group: None, ..item() };
    assert_eq!(outcome(Some(&other_group), none, (&factory(), 1)), refused);
    let ended = Factory { ends: NOW, ..factory() };
    assert_eq!(outcome(Some(&item()), none, (&ended, 1)), refused);
}

#[test]
fn a_retired_machine_is_refused_even_with_its_own_key() {
    let (device, used) = enrolled();
    let by = "ana".parse().unwrap();
    let retired = retire::retire(&found(Some(device)), "sold", (&by, NOW)).unwrap();
    let retired = retired.preview().clone();
    let there = (Some(&retired), Some(&used));
    assert_eq!(outcome(Some(&item()), there, (&factory(), 1)), Err(RefusalCode::Retired));
}
