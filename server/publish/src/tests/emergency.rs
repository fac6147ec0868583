//! The incident team opens a signed image earlier, and can say nothing else.

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::target::{EmergencyCustom, Schedule, ScheduleStep};
use lazaret_protocol::time::{DAY_MS, HOUR_MS};
use lazaret_protocol_tuf::TufError;
use lazaret_repo_keys::plan::{EmergencyPlan, Plan};
use lazaret_repo_keys_signing::metadata::{Signature, assemble, make};
use lazaret_repo_keys_signing::sources::{self, Secret};
use lazaret_repo_keys_signing::{OfflineRole, Passphrase};

use super::house::{first_release, house, now, published};
use super::readers::Device;
use crate::{EmergencyEntry, Files, PublishError, activate, check_upload, emergencies, images};
use crate::{offline_keys, second_reader};

/// An entry for gw2/1.0 that lets everybody in at once.
fn entry(current: &Files) -> EmergencyEntry {
    let image = images(current, &"gw2".parse().unwrap()).unwrap().remove(0);
    let custom = EmergencyCustom {
        image_sha256: image.sha256,
        schedule: image.custom.schedule,
        reason: "CVE-2026-1234 is exploited".to_owned(),
        expires: now().plus_ms(3 * DAY_MS),
    };
    EmergencyEntry { model: "gw2".parse().unwrap(), version: image.version, custom }
}

/// Signed past the key tool, which would not sign all of these.
fn signed(entry: EmergencyEntry, holders: &[&str]) -> Vec<u8> {
    let expires = now().plus_ms(180 * DAY_MS);
    let plan = EmergencyPlan { version: 1, expires, entries: vec![entry] };
    let payload = Plan::Emergency(plan).payload().unwrap();
    let sign = |holder: &&str| {
        let key = house().path(&format!("repo/holders/{holder}.key")).display().to_string();
        let passphrase = Passphrase::new("a long passphrase".to_owned()).unwrap();
        let signer = sources::open(&key, Secret::Passphrase(passphrase)).unwrap();
        let sig = signer.sign(&OfflineRole::Emergency, &payload).unwrap();
        Signature { keyid: make::key_id("emergency", &signer.public()).unwrap(), sig }
    };
    let signatures: Vec<Signature> = holders.iter().map(sign).collect();
    assemble(&payload, &signatures)
}

#[tokio::test]
async fn an_emergency_is_published_and_no_online_key_answers_for_its_names() {
    let current = published(first_release());
    let wanted = entry(&current);
    let file = signed(wanted.clone(), &["bob", "carol"]);
    let new = vec![("1.emergency.json".to_owned(), file)];
    let made = activate(&current, new, None, &house().keys(), now()).unwrap();
    let names: Vec<&str> = made.files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["1.emergency.json", "2.snapshot.json", "timestamp.json"]);
    let all = current.with(made.files);
    second_reader(&all, &house().known(&[b"image one"]), now()).await.unwrap();
    assert_eq!(emergencies(&all).unwrap(), std::slice::from_ref(&wanted));

    let mut device = Device::new();
    let found = device.find(&all, "emergency/gw2/1.0").unwrap();
    assert_eq!((found.role.as_str(), found.length), ("emergency", 0));
    let custom: EmergencyCustom = serde_json::from_value(found.custom).unwrap();
    assert_eq!(custom, wanted.custom);
    // A name that the paths of deltas match as well: the search ends before that role is asked.
    let other = device.find(&all, "emergency/gw2/from-1.0.delta").unwrap_err();
    assert!(matches!(other, TufError::TargetNotFound { .. }), "{other:?}");
}

#[test]
fn an_emergency_for_what_no_release_signer_signed_is_refused() {
    let current = published(first_release());
    let good = entry(&current);
    let changed = |change: fn(&mut EmergencyEntry)| {
        let mut entry = good.clone();
        change(&mut entry);
        signed(entry, &["alice", "bob"])
    };
    let cases: [(&str, Vec<u8>); 5] = [
        ("hash", changed(|e| e.custom.image_sha256 = Sha256Digest::of(b"another"))),
        ("version", changed(|e| e.version = "1.1".parse().unwrap())),
        ("model", changed(|e| e.model = "gw3".parse().unwrap())),
        ("salt", changed(|e| e.custom.schedule.salt = "other".to_owned())),
        (
            "slower",
            changed(|e| {
                let not_before = now().plus_ms(HOUR_MS);
                let salt = e.custom.schedule.salt.clone();
                e.custom.schedule =
                    Schedule { salt, steps: vec![ScheduleStep { permille: 1000, not_before }] };
            }),
        ),
    ];
    for (what, file) in cases {
        let refused = check_upload(&current, "1.emergency.json", &file, now()).unwrap_err();
        assert!(matches!(refused, PublishError::OutOfScope { .. }), "{what}: {refused:?}");
    }
    let alone = signed(good, &["alice"]);
    let refused = check_upload(&current, "1.emergency.json", &alone, now()).unwrap_err();
    assert!(matches!(refused, PublishError::ThresholdNotMet { valid: 1, .. }), "{refused:?}");
}

#[test]
fn the_keys_of_the_incident_team_are_no_servers() {
    // The team of this house holds everything; what counts is that its own list is looked at.
    let offline = offline_keys(&published(first_release())).unwrap();
    // root, targets, rel-gw2, rel-gw3 and emergency, three keys each.
    assert_eq!(offline.len(), 5 * 3);
}
