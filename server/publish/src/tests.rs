//! Whole ceremonies through `lazaret-keys`, published here and read by tough and by our own client.

mod emergency;
mod house;
mod readers;
mod rotation;
mod uploads;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::target::DeltaCustom;
use lazaret_protocol::time::{DAY_MS, HOUR_MS};

use self::house::{first_release, house, now, published, second_release};
use crate::{DeltaEntry, Files, PublishError, activate, images, refresh_timestamp};

pub(crate) fn delta(result: &[u8]) -> DeltaEntry {
    DeltaEntry {
        name: "gw2/2.0/from-1.0.delta".to_owned(),
        length: 5,
        sha256: Sha256Digest::of(b"delta"),
        custom: DeltaCustom {
            format: crate::DELTA_FORMAT.to_owned(),
            base_sha256: Sha256Digest::of(b"image one"),
            result_sha256: Sha256Digest::of(result),
            result_length: u64::try_from(result.len()).unwrap(),
            ram_bytes: 1 << 20,
        },
    }
}

fn names(files: &[(String, Vec<u8>)]) -> Vec<&str> {
    files.iter().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn the_first_activation_comes_in_the_order_of_tuf() {
    let mut new = house().founding();
    // Whatever order they come in.
    new.insert(0, first_release().clone());
    new.reverse();
    let made = activate(&Files::default(), new, None, &house().keys(), now()).unwrap();
    let order = [
        "1.root.json",
        "1.targets.json",
        "1.rel-gw2.json",
        "1.deltas.json",
        "1.snapshot.json",
        "timestamp.json",
    ];
    assert_eq!(names(&made.files), order);
    assert_eq!(made.timestamp_version, 1);
}

#[test]
fn a_second_release_with_a_delta_changes_what_depends_on_it_and_nothing_else() {
    let current = published(first_release());
    let deltas = Some(vec![delta(b"image two")]);
    let new = vec![second_release().clone()];
    let made = activate(&current, new, deltas, &house().keys(), now()).unwrap();
    let order = ["2.rel-gw2.json", "2.deltas.json", "2.snapshot.json", "timestamp.json"];
    assert_eq!(names(&made.files), order);
    let all = current.with(made.files);
    let listed = images(&all, &"gw2".parse().unwrap()).unwrap();
    let versions: Vec<_> = listed.iter().map(|image| image.version.as_str()).collect();
    assert_eq!(versions, ["1.0", "2.0"]);
    assert_eq!(images(&all, &"gw3".parse().unwrap()).unwrap(), []);
}

#[test]
fn a_delta_of_an_image_that_nobody_signed_is_refused() {
    let current = published(first_release());
    let deltas = Some(vec![delta(b"another image")]);
    let new = vec![second_release().clone()];
    let refused = activate(&current, new, deltas, &house().keys(), now()).unwrap_err();
    assert!(matches!(refused, PublishError::DeltaWithoutImage { .. }), "{refused:?}");
}

#[test]
fn a_refresh_signs_again_only_what_has_used_up_half_of_its_life() {
    let current = published(first_release());
    let keys = house().keys();
    for (later_ms, wanted) in [
        (HOUR_MS, &["timestamp.json"][..]),
        (7 * DAY_MS + HOUR_MS, &["2.snapshot.json", "timestamp.json"]),
        (15 * DAY_MS + HOUR_MS, &["2.deltas.json", "2.snapshot.json", "timestamp.json"]),
    ] {
        let made = refresh_timestamp(&current, &keys, now().plus_ms(later_ms)).unwrap();
        assert_eq!(names(&made.files), wanted, "after {later_ms} ms");
        assert_eq!(made.timestamp_version, 2);
    }
}

#[test]
fn nothing_is_signed_over_a_root_that_has_expired() {
    let current = published(first_release());
    let late = now().plus_ms(366 * DAY_MS);
    let refused = refresh_timestamp(&current, &house().keys(), late).unwrap_err();
    assert!(matches!(refused, PublishError::Expired { ref role, .. } if role == "root"));
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    let one = published(first_release());
    let two = published(first_release());
    assert_eq!(one, two);
    assert!(!one.named("timestamp.json").unwrap().contains(&b'\n'), "not compact");
}
