//! A swap is told once an hour, and held until it is accepted where that is asked for.

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::time::HOUR_MS;
use proptest::prelude::*;

use super::*;
use crate::enroll::{Entry, Issued, entered};

const NOW: Timestamp = Timestamp::from_ms(10 * HOUR_MS);
const ENFORCED: Bindings =
    Bindings { imei: Binding::Enforce, iccid: Binding::Enforce, imsi: Binding::Enforce };

fn device() -> Device {
    let entry = Entry {
        device: "d-1".parse().unwrap(),
        serial: "sn-1".parse().unwrap(),
        model: "gw2".parse().unwrap(),
    };
    let issued = Issued {
        key: lazaret_protocol::key::PublicKey::EcdsaP256(alloc::vec![4; 65]),
        certificate: Sha256Digest::of(b"c"),
        ends: NOW,
    };
    entered(entry, issued, NOW)
}

fn said(number: &str, of: Option<&str>) -> Said {
    let (kind, number) = (NumberKind::Iccid, Sha256Digest::of(number.as_bytes()));
    let holder = of.map(|of| Holder { kind, number, device: of.parse().unwrap() });
    let version = holder.as_ref().map(|_| 1);
    let key = Holder::name_of(kind, &number);
    Said { kind, number, holder: Found { key, version, value: holder } }
}

fn found(device: &Device) -> Found<Device> {
    Found { key: "device/d-1".into(), version: Some(1), value: Some(device.clone()) }
}

fn is_held(device: &Device) -> bool {
    device.awaits_acceptance()
}

#[test]
fn the_first_number_is_bound_and_another_is_an_event_once_an_hour() {
    let mut device = device();
    let alert = Bindings::default();
    let first = judge(&mut device, &[said("a", None)], alert, NOW);
    assert_eq!((first.facts.len(), first.bound.len()), (0, 1));
    let again = judge(&mut device, &[said("a", Some("d-1"))], alert, NOW);
    assert_eq!(again, Judged::default());
    let swapped = judge(&mut device, &[said("b", None)], alert, NOW);
    assert!(matches!(
        &swapped.facts[..],
        [Fact::NumberChanged { expected: Some(_), held: false, .. }]
    ));
    assert!(swapped.bound.is_empty() && !is_held(&device));
    assert!(judge(&mut device, &[said("c", None)], alert, NOW.plus_ms(1)).facts.is_empty());
    let later = judge(&mut device, &[said("c", None)], alert, NOW.plus_ms(HOUR_MS));
    assert_eq!(later.facts.len(), 1);
    // Back again, which needs nobody.
    judge(&mut device, &[said("a", Some("d-1"))], alert, NOW.plus_ms(HOUR_MS));
    assert_eq!(device.numbers[&NumberKind::Iccid].swap, None);
}

#[test]
fn a_held_device_stays_so_until_somebody_accepts_what_it_says() {
    let mut device = device();
    judge(&mut device, &[said("a", None)], ENFORCED, NOW);
    judge(&mut device, &[said("b", None)], ENFORCED, NOW);
    assert!(is_held(&device));
    judge(&mut device, &[said("a", Some("d-1"))], ENFORCED, NOW);
    assert!(is_held(&device), "putting the card back lets nobody in");
    judge(&mut device, &[], ENFORCED, NOW);
    assert!(is_held(&device), "saying nothing lets nobody in");
    judge(&mut device, &[said("b", None)], ENFORCED, NOW);
    let by = "ana".parse().unwrap();
    let accepted = accept(&found(&device), "new card", (&by, NOW)).unwrap().preview().clone();
    assert!(!is_held(&accepted));
    assert_eq!(accepted.numbers[&NumberKind::Iccid].number, Some(said("b", None).number));
    let refused = accept(&found(&accepted), "again", (&by, NOW)).unwrap_err();
    assert_eq!(refused.code, RefusalCode::Conflict);
}

#[test]
fn one_number_on_two_devices_is_told_of_both() {
    let mut device = device();
    let shared = judge(&mut device, &[said("a", Some("d-2"))], Bindings::default(), NOW);
    let [
        Fact::NumberChanged { device: one, expected: None, .. },
        Fact::NumberShared { device: two, .. },
    ] = &shared.facts[..]
    else {
        panic!("{:?}", shared.facts);
    };
    assert_eq!((one.as_str(), two.as_str()), ("d-1", "d-2"));
    assert_eq!(device.numbers[&NumberKind::Iccid].number, None);
}

#[test]
fn what_is_off_is_neither_kept_nor_compared() {
    let mut device = device();
    let off = Bindings { iccid: Binding::Off, ..ENFORCED };
    assert_eq!(judge(&mut device, &[said("a", None)], off, NOW), Judged::default());
    assert!(device.numbers.is_empty());
    judge(&mut device, &[said("a", None)], ENFORCED, NOW);
    judge(&mut device, &[said("b", None)], ENFORCED, NOW);
    assert!(is_held(&device));
    judge(&mut device, &[said("b", None)], off, NOW);
    assert!(!is_held(&device), "whoever turns it off lets go");
}

proptest! {
    #[test]
    fn whoever_is_held_is_held_until_it_is_accepted(
        numbers in prop::collection::vec(0_u8..4, 0..20),
    ) {
        let mut device = device();
        let mut was_held = false;
        for number in numbers {
            judge(&mut device, &[said(&number.to_string(), None)], ENFORCED, NOW);
            prop_assert!(is_held(&device) || !was_held);
            was_held = is_held(&device);
        }
    }
}
