//! A policy is used only when nothing is wrong with it, and all that is wrong is said at once.

use super::*;
use alloc::vec;
use proptest::prelude::*;

fn group(name: &str) -> GroupPolicy {
    serde_json::from_value(serde_json::json!({ "name": name, "rest": true })).unwrap()
}

fn policy(groups: Vec<GroupPolicy>) -> Policy {
    let json = serde_json::json!({ "name": "p", "group": serde_json::to_value(groups).unwrap() });
    serde_json::from_value(json).unwrap()
}

#[test]
fn a_policy_with_what_it_needs_has_no_problem() {
    assert_eq!(policy(vec![group("all")]).check(), []);
}

#[test]
fn every_problem_is_named_with_its_place() {
    let first = GroupPolicy {
        permille: Some(1001),
        filter: Some("modell==x".into()),
        success_percent: 101,
        error_percent: 0,
        minimum_sample: 0,
        concurrency: Some(0),
        per_minute_max: Some(5),
        rate_growth_percent: 200,
        probes: vec!["bad name".into()],
        ..group("a")
    };
    let mut bad = policy(vec![first, group("a")]);
    bad.approvals = 99;
    bad.give_up_after = Span::from_ms(1000);
    bad.statistics = Some(StatisticsPolicy {
        failures_permille: 0,
        silent_permille: 20,
        false_halts_per_10000: 50,
    });
    let places: Vec<String> = bad.check().into_iter().map(|problem| problem.at).collect();
    for at in [
        "approvals",
        "give_up_after",
        "statistics.failures_permille",
        "group 1 (a)",
        "group 1 (a).permille",
        "group 1 (a).filter",
        "group 1 (a).rest",
        "group 1 (a).success_percent",
        "group 1 (a).error_percent",
        "group 1 (a).minimum_sample",
        "group 1 (a).concurrency",
        "group 1 (a).per_minute_max",
        "group 1 (a).rate_growth_percent",
        "group 1 (a).probes",
        "group 2 (a).name",
        "group",
    ] {
        assert!(places.iter().any(|place| place == at), "{at} is not among {places:?}");
    }
}

#[test]
fn groups_that_leave_devices_out_are_refused() {
    let half = GroupPolicy { permille: Some(500), rest: false, ..group("half") };
    let problems = policy(vec![half]).check();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].expected.contains("rest = true"), "{problems:?}");
    assert_eq!(policy(vec![]).check().len(), 1);
}

#[test]
fn an_unknown_key_is_no_policy() {
    let typo = serde_json::json!({ "name": "p", "aprovals": 1, "group": [] });
    assert!(serde_json::from_value::<Policy>(typo).is_err());
}

proptest! {
    #[test]
    fn rules_of_any_policy_are_in_range(
        success in any::<u32>(), error in any::<u32>(), sample in any::<u32>(),
    ) {
        let any = GroupPolicy {
            success_percent: success,
            error_percent: error,
            minimum_sample: sample,
            ..group("a")
        };
        let rules = any.rules();
        prop_assert!(rules.success_percent <= 100 && rules.error_percent <= 100);
        prop_assert!(rules.minimum_sample >= 1);
    }
}
