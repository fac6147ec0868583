//! What comes from a ceremony, or says it does.

use lazaret_protocol::time::DAY_MS;
use lazaret_repo_keys_signing::metadata::{Document, assemble};
use tough::schema::Targets;

use super::house::{Wanted, first_release, house, now, published, second_release};
use crate::{Files, PublishError, check_upload};

fn upload(current: &Files, file: &(String, Vec<u8>)) -> Result<(), PublishError> {
    check_upload(current, &file.0, &file.1, now())
}

#[test]
fn a_release_below_its_threshold_is_refused() {
    let current = published(first_release());
    let (name, bytes) = second_release();
    assert!(upload(&current, second_release()).is_ok());
    let release = Document::<Targets>::parse(bytes).unwrap();
    let one = assemble(&release.payload, &release.signatures[..1]);
    let refused = check_upload(&current, name, &one, now()).unwrap_err();
    let PublishError::ThresholdNotMet { role, threshold, valid } = refused else {
        panic!("{refused:?}")
    };
    assert_eq!((role.as_str(), threshold, valid), ("rel-gw2", 2, 1));
}

#[test]
fn a_release_that_was_changed_after_signing_is_refused() {
    let current = published(first_release());
    let (name, bytes) = second_release();
    let text = String::from_utf8(bytes.clone()).unwrap();
    let changed = text.replace(r#""floor":0"#, r#""floor":2"#).into_bytes();
    assert_ne!(&changed, bytes);
    let refused = check_upload(&current, name, &changed, now()).unwrap_err();
    assert!(matches!(refused, PublishError::ThresholdNotMet { valid: 0, .. }), "{refused:?}");
}

#[test]
fn a_version_that_does_not_follow_is_refused() {
    let current = published(first_release());
    let again = upload(&current, first_release()).unwrap_err();
    let PublishError::WrongVersion { role, expected, got } = again else { panic!("{again:?}") };
    assert_eq!((role.as_str(), expected, got), ("rel-gw2", 2, 1));
    let founding = Files::default().with(house().founding());
    let skipped = upload(&founding, second_release()).unwrap_err();
    assert!(matches!(skipped, PublishError::WrongVersion { expected: 1, got: 2, .. }));
    // The name may not say another version than the content.
    let renamed = check_upload(&current, "2.rel-gw2.json", &first_release().1, now()).unwrap_err();
    assert!(matches!(renamed, PublishError::WrongVersion { expected: 2, got: 1, .. }));
}

#[test]
fn a_release_that_expired_on_its_way_is_refused() {
    let current = published(first_release());
    let (name, bytes) = second_release();
    let late = now().plus_ms(120 * DAY_MS);
    let refused = check_upload(&current, name, bytes, late).unwrap_err();
    assert!(matches!(refused, PublishError::Expired { .. }), "{refused:?}");
}

#[test]
fn a_release_of_one_model_does_not_pass_for_another() {
    // The same people sign for both models, so only the content tells them apart.
    let current = published(first_release());
    let bytes = &first_release().1;
    let refused = check_upload(&current, "1.rel-gw3.json", bytes, now()).unwrap_err();
    assert!(matches!(refused, PublishError::OutOfScope { .. }), "{refused:?}");
}

#[test]
fn a_version_name_keeps_its_image() {
    let current = published(first_release());
    let house = house();
    let swapped = |version, counter| {
        // As a ceremony that has lost its last version would make it, one number on.
        let old = house.release(&Wanted {
            model: "gw2",
            version: "0.9",
            counter: 1,
            image: b"before",
            previous: None,
        });
        house.release(&Wanted {
            model: "gw2",
            version,
            counter,
            image: b"swapped",
            previous: Some(&old),
        })
    };
    for (version, counter) in [("1.0", 7), ("1.1", 7)] {
        let refused = upload(&current, &swapped(version, counter)).unwrap_err();
        assert!(matches!(refused, PublishError::OutOfScope { .. }), "{version}: {refused:?}");
    }
}

#[test]
fn what_the_server_signs_itself_is_taken_from_nobody() {
    let current = published(first_release());
    for name in ["timestamp.json", "2.snapshot.json", "2.deltas.json"] {
        let refused = check_upload(&current, name, b"{}", now()).unwrap_err();
        assert!(matches!(refused, PublishError::OnlineRole { .. }), "{name}: {refused:?}");
    }
    let refused = check_upload(&current, "../1.root.json", b"{}", now()).unwrap_err();
    assert!(matches!(refused, PublishError::Name(_)), "{refused:?}");
}

#[test]
fn garbage_is_refused_and_never_crashes() {
    let current = published(first_release());
    for bytes in [&b""[..], b"{}", b"[]", b"{\"signed\":{},\"signatures\":[]}", &[0xff; 64]] {
        for name in ["2.root.json", "2.targets.json", "2.rel-gw2.json"] {
            assert!(check_upload(&current, name, bytes, now()).is_err());
        }
    }
}
