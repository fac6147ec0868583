//! The schedule is what a stolen server cannot outrun, so its arithmetic is held by properties.

use super::*;
use alloc::string::ToString;
use proptest::prelude::*;

fn schedule(steps: &[(u16, u64)]) -> Schedule {
    let steps = steps
        .iter()
        .map(|&(permille, ms)| ScheduleStep { permille, not_before: Timestamp::from_ms(ms) })
        .collect();
    Schedule { salt: "s".to_string(), steps }
}

#[test]
fn schedules_that_do_not_grow_are_refused() {
    assert_eq!(schedule(&[]).check(), Err(ScheduleError::Steps { got: 0 }));
    assert_eq!(schedule(&[(1001, 0)]).check(), Err(ScheduleError::NotGrowing { step: 0 }));
    assert_eq!(schedule(&[(10, 5), (10, 6)]).check(), Err(ScheduleError::NotGrowing { step: 1 }));
    assert_eq!(schedule(&[(10, 5), (20, 4)]).check(), Err(ScheduleError::NotGrowing { step: 1 }));
    assert_eq!(schedule(&[(10, 5), (1000, 5)]).check(), Ok(()));
}

#[test]
fn image_targets_are_read_back_as_written() {
    let (model, version) = ("gw2".parse().unwrap(), "1.2".parse().unwrap());
    let name = image_target(&model, &version);
    assert_eq!(parse_image_target(&name), Some(Ok((model, version))));
    assert_eq!(parse_image_target("trust/anchors"), None);
    assert!(parse_image_target("a/b/c/image").is_some_and(|r| r.is_err()));
}

#[test]
fn emergency_targets_are_read_back_as_written() {
    let (model, version) = ("gw2".parse().unwrap(), "1.2".parse().unwrap());
    let name = emergency_target(&model, &version);
    assert_eq!(name, "emergency/gw2/1.2");
    assert_eq!(parse_emergency_target(&name), Some(Ok((model, version))));
    for other in ["gw2/1.2/image", "emergency", "emergencygw2/1.2", "emergency/gw2"] {
        assert_eq!(parse_emergency_target(other), None, "{other}");
    }
    assert!(parse_emergency_target("emergency/gw2/1.2/image").is_some_and(|r| r.is_err()));
}

fn emergency() -> EmergencyCustom {
    EmergencyCustom {
        image_sha256: Sha256Digest::of(b"image"),
        schedule: schedule(&[(1000, 10)]),
        reason: "CVE-2026-1234 is exploited".to_string(),
        expires: Timestamp::from_ms(20),
    }
}

#[test]
fn an_emergency_counts_for_its_own_image_until_it_expires() {
    let emergency = emergency();
    let at = Timestamp::from_ms;
    let image = Sha256Digest::of(b"image");
    assert_eq!(emergency.check(), Ok(()));
    assert_eq!(emergency.schedule_for(image, at(19)), Some(&emergency.schedule));
    assert_eq!(emergency.schedule_for(image, at(20)), None);
    assert_eq!(emergency.schedule_for(Sha256Digest::of(b"another"), at(19)), None);
}

#[test]
fn an_emergency_without_a_reason_or_a_time_to_act_is_refused() {
    for (reason, got) in [("", 0), (" ", 1), ("a\nb", 3), (&"x".repeat(1025), 1025)] {
        let emergency = EmergencyCustom { reason: reason.to_string(), ..emergency() };
        assert_eq!(emergency.check(), Err(EmergencyError::Reason { got }));
    }
    let (opens, expires) = (Timestamp::from_ms(10), Timestamp::from_ms(10));
    let late = EmergencyCustom { expires, ..emergency() };
    assert_eq!(late.check(), Err(EmergencyError::ExpiresBeforeItOpens { opens, expires }));
    let none = EmergencyCustom { schedule: schedule(&[]), ..emergency() };
    assert_eq!(none.check(), Err(ScheduleError::Steps { got: 0 }.into()));
}

proptest! {
    #[test]
    fn a_device_is_let_in_exactly_when_its_place_is_within_the_open_share(
        id in "[a-z0-9]{1,12}", now in 0u64..100, a in 1u16..500, b in 501u16..=1000,
    ) {
        let device: DeviceId = id.parse().unwrap();
        let schedule = schedule(&[(a, 10), (b, 50)]);
        let now = Timestamp::from_ms(now);
        let by_share = schedule.place(&device) < schedule.permille_at(now);
        let by_time = schedule.opens_for(&device).is_some_and(|from| from <= now);
        prop_assert_eq!(by_share, by_time);
    }
}
