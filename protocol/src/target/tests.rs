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
