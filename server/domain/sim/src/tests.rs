//! What the simulator says of rollouts whose end is known.

use super::*;
use alloc::string::ToString as _;

fn policy(name: &str) -> Policy {
    let shipped = lazaret_server_domain::rollout::policy::SHIPPED;
    let (_, text) = shipped.iter().find(|(known, _)| *known == name).unwrap();
    let policy: Policy = toml::from_str(text).unwrap();
    assert_eq!(policy.check(), []);
    policy
}

const HOUR: u64 = 3_600_000;

#[test]
fn a_good_image_reaches_everybody() {
    let report = run(&Scenario::calm(1000, 1), &policy("normal")).unwrap();
    assert_eq!(report.harmed, 0);
    assert_eq!(report.halt_reason, None, "{report:?}");
    assert_eq!(report.state, "finished", "{report:?}");
    assert_eq!(report.done + report.failed + report.unknown + report.untouched, 1000);
}

#[test]
fn one_seed_is_one_run() {
    let scenario = Scenario::calm(500, 7).flaky().day_and_night();
    let once = run(&scenario, &policy("normal")).unwrap();
    assert_eq!(once, run(&scenario, &policy("normal")).unwrap());
    let other = Scenario { seed: 8, ..scenario };
    assert_ne!(once, run(&other, &policy("normal")).unwrap());
}

#[test]
fn a_bad_image_is_stopped_before_a_tenth_of_what_fixed_groups_harm() {
    for fault in [Fault::Everywhere, Fault::Revision { revision: 1 }] {
        let scenario = Scenario::calm(2000, 3).with(fault);
        let ours = run(&scenario, &policy("normal")).unwrap();
        let theirs = run_hawkbit(&scenario, Hawkbit::default()).unwrap();
        assert_eq!(ours.state, "halted", "{fault:?}");
        assert!(ours.harmed * 10 <= theirs.harmed, "{fault:?}: {} {}", ours.harmed, theirs.harmed);
    }
}

/// Nobody beyond the first groups is offered the image before devices have run it for an hour and
/// said so, however large the fleet is and however its polls go.
#[test]
fn a_slow_poison_is_stopped_before_a_tenth_of_what_fixed_groups_harm() {
    for fault in [Fault::Slow { after_ms: HOUR }, Fault::SlowSilent { after_ms: HOUR }] {
        for scenario in [Scenario::calm(1000, 3), Scenario::calm(2000, 3).flaky().plain()] {
            let scenario = scenario.with(fault);
            let ours = run(&scenario, &policy("normal")).unwrap();
            let theirs = run_hawkbit(&scenario, Hawkbit::default()).unwrap();
            assert_eq!(ours.state, "halted", "{scenario:?}");
            assert!(ours.harmed * 10 <= theirs.harmed, "{}: {}", ours.harmed, theirs.harmed);
        }
    }
}

#[test]
fn a_good_image_is_everywhere_no_later_than_with_fixed_groups() {
    for scenario in [Scenario::calm(2000, 5), Scenario::calm(2000, 5).flaky()] {
        let ours = run(&scenario, &policy("normal")).unwrap().ninety_nine_ms.unwrap();
        let theirs = run_hawkbit(&scenario, Hawkbit::default()).unwrap().ninety_nine_ms.unwrap();
        assert!(ours <= theirs, "{scenario:?}: {ours} {theirs}");
    }
}

#[test]
fn a_scenario_out_of_range_is_refused_with_the_range() {
    let scenario = Scenario { devices: 0, ..Scenario::calm(1, 1) };
    let err = run(&scenario, &policy("normal")).unwrap_err();
    assert_eq!(err.to_string(), "expected devices of 1 to 4000000, got 0");
}
