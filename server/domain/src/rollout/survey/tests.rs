//! Every device of the fleet is in the plan once or left out for one reason.

use super::*;
use crate::rollout::fixture;
use crate::rollout::preview::LeftOutCount;
use alloc::vec;
use lazaret_protocol::key::PublicKey;
use lazaret_protocol::poll::RunningRelease;
use lazaret_protocol::target::EmergencyCustom;

const NOW: Timestamp = Timestamp::from_ms(1_795_428_000_000);

fn policy(groups: serde_json::Value) -> Policy {
    serde_json::from_value(serde_json::json!({ "name": "p", "group": groups })).unwrap()
}

fn draft() -> Draft {
    Draft {
        cures: None,
        release: fixture::release("2.0", 2),
        image_bytes: 1000,
        deltas: vec![(Sha256Digest::of(b"1.0"), 10)],
        steps: vec![],
        direction: Direction::Newer,
        policy: policy(serde_json::json!([
            { "name": "canary", "permille": 100 },
            { "name": "lab", "filter": "label.site==lab" },
            { "name": "all", "rest": true },
        ])),
        filter: None,
        devices: None,
        floors: BTreeMap::new(),
        reason: "test".into(),
    }
}

fn device(id: &str) -> Device {
    let old = fixture::release("1.0", 1);
    Device {
        id: id.parse().unwrap(),
        serial: "s-1".parse().unwrap(),
        model: "gw2".parse().unwrap(),
        key: PublicKey::EcdsaP256(vec![4; 65]),
        certificates: vec![],
        certificate_ends: NOW,
        enrolled: NOW,
        quarantine: None,
        poll_sequence: 0,
        polls: 0,
        last_seen: Some(NOW),
        running: Some(RunningRelease { version: old.version, counter: 1, sha256: old.sha256 }),
        update_state: "idle".into(),
        log_head: None,
        order_sequence: 0,
        open_orders: vec![],
        last_outcome: None,
        attributes: BTreeMap::new(),
        labels: BTreeMap::new(),
        group: None,
        utc_offset_min: None,
        battery_percent: None,
        probes: BTreeMap::new(),
        other_release: None,
        hardware: None,
        watch: crate::clone::Watch::default(),
        release_floor: None,
        numbers: BTreeMap::new(),
        retired: None,
    }
}

fn surveyed(draft: Draft, devices: &[Device]) -> Result<(Plan, Preview), Refused> {
    let mut survey = Survey::new(draft, NOW)?;
    for device in devices {
        survey.look(device, None, None);
    }
    survey.finish(("r-1".parse().unwrap(), &"ana".parse().unwrap()))
}

fn fleet(count: usize) -> Vec<Device> {
    (0..count).map(|i| device(&format!("d-{i}"))).collect()
}

#[test]
fn every_device_is_planned_once_or_left_out_for_one_reason() {
    let mut devices = fleet(40);
    devices[0].model = "gw9".parse().unwrap();
    devices[1].quarantine = Some(crate::device::Quarantine {
        by: "bo".parse().unwrap(),
        reason: "x".into(),
        since: NOW,
        confirmed: true,
        terms: lazaret_protocol::containment::Terms::default(),
        word: None,
        ended: None,
    });
    devices[2].running.as_mut().unwrap().sha256 = Sha256Digest::of(b"2.0");
    devices[3].running.as_mut().unwrap().counter = 9;
    for lab in 10..15 {
        devices[lab].labels.insert("site".into(), "lab".into());
    }
    let (plan, preview) = surveyed(draft(), &devices).unwrap();
    let left: u64 = preview.left_out.iter().map(|one| one.count).sum();
    assert_eq!(preview.planned + left, 40);
    assert_eq!(preview.quarantined, 1);
    let sizes: Vec<u64> = preview.groups.iter().map(|group| group.devices).collect();
    assert_eq!(sizes, [4, 5, 27]);
    let ids: BTreeSet<&DeviceId> = plan.assignments.iter().map(|part| &part.device).collect();
    assert_eq!(ids.len(), 36);
    assert_eq!(plan.rollout.plan, Some(preview.plan));
    assert_eq!(preview.bytes_full, 36_000);
    assert_eq!(preview.bytes_with_deltas, 360);
    assert!(preview.expected_ms > 0);
}

#[test]
fn steps_and_floors_are_counted() {
    let mut going = draft();
    going.steps = vec![fixture::release("1.5", 2)];
    let (_, preview) = surveyed(going, &fleet(10)).unwrap();
    assert_eq!(preview.steps[0].devices, 10);
    let mut back = draft();
    back.direction = Direction::Back { of: "r-0".parse().unwrap() };
    back.release.counter = 0;
    let mut devices = fleet(10);
    let target = fixture::release("2.0", 0);
    for device in &mut devices[..4] {
        let (version, sha256) = (target.version.clone(), target.sha256);
        device.other_release = Some(RunningRelease { version, counter: 0, sha256 });
    }
    let (plan, preview) = surveyed(back.clone(), &devices).unwrap();
    assert_eq!((preview.from_other_slot, preview.bytes_full), (4, 6000));
    assert_eq!(plan.assignments.len(), 10);
    back.floors = [(Sha256Digest::of(b"1.0"), 1)].into();
    let refused = surveyed(back, &devices).unwrap_err();
    assert!(refused.detail.contains("10 with a floor above it"), "{refused}");
}

#[test]
fn devices_too_far_below_a_release_go_by_its_step_or_stay_out() {
    let mut far = draft();
    far.release.counter = 5;
    far.release.needs = 3;
    let mut devices = fleet(10);
    devices[0].running.as_mut().unwrap().counter = 3;
    let (plan, preview) = surveyed(far.clone(), &devices).unwrap();
    assert_eq!(plan.assignments.len(), 1);
    assert_eq!(preview.left_out, [LeftOutCount { reason: LeftOut::NeedsStep, count: 9 }]);
    far.steps = vec![fixture::release("1.5", 3)];
    let (plan, preview) = surveyed(far.clone(), &devices).unwrap();
    assert_eq!((plan.assignments.len(), preview.steps[0].devices), (10, 9));
    far.steps[0].needs = 2;
    let (plan, _) = surveyed(far, &devices).unwrap();
    assert_eq!(plan.assignments.len(), 1, "the step itself is out of reach");
}

#[test]
fn an_emergency_needs_the_emergency_roles_word_on_this_image() {
    let mut urgent = draft();
    urgent.policy.urgency = crate::rollout::policy::Urgency::Emergency;
    let refused = surveyed(urgent.clone(), &fleet(10)).unwrap_err();
    assert_eq!(refused.code, RefusalCode::Conflict);
    let signed = |image: &[u8], expires| EmergencyCustom {
        image_sha256: Sha256Digest::of(image),
        schedule: urgent.release.schedule.clone(),
        reason: "exploited".into(),
        expires,
    };
    for (image, expires, good) in [
        (&b"other"[..], NOW.plus_ms(9), false),
        (b"2.0", NOW, false),
        (b"2.0", NOW.plus_ms(9), true),
    ] {
        let mut urgent = urgent.clone();
        urgent.release.emergency = Some(signed(image, expires));
        assert_eq!(surveyed(urgent, &fleet(10)).is_ok(), good);
    }
}

#[test]
fn a_plan_of_nobody_is_refused_with_the_counts() {
    let mut nobody = draft();
    nobody.filter = Some("id==x".parse().unwrap());
    let refused = surveyed(nobody, &fleet(3)).unwrap_err();
    assert_eq!(refused.detail, "no device is in the plan: 3 not matched by the filter");
}
