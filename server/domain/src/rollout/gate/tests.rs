//! Failures close, successes open, silence does neither.

use super::*;
use crate::rollout::policy::GroupRules;
use proptest::prelude::*;

fn counts() -> impl Strategy<Value = GroupTally> {
    let few = (0u64..9, 0u64..9, 0u64..9, 0u64..9, 0u64..9);
    (0u64..50, 0u64..50, 0u64..50, 0u64..50, few).prop_map(
        |(waiting, offered, done, failed, (refused, expired, unknown, unreachable, ready))| {
            GroupTally {
                waiting,
                ready,
                offered,
                done,
                failed,
                refused,
                expired,
                unknown,
                unreachable,
                ..GroupTally::default()
            }
        },
    )
}

fn thresholds() -> impl Strategy<Value = Thresholds> {
    (0u8..=100, 1u8..=100)
        .prop_map(|(success_percent, error_percent)| Thresholds { success_percent, error_percent })
}

fn group(minimum_sample: u64) -> Group {
    let rules = GroupRules { minimum_sample, ..GroupRules::default() };
    Group { rules, ..Group::default() }
}

#[test]
fn a_group_that_passes_both_thresholds_trips() {
    let counts = GroupTally { done: 80, failed: 15, waiting: 5, ..GroupTally::default() };
    for sample in [0, 50] {
        let limits = Thresholds { success_percent: 80, error_percent: 10 };
        let verdict = judge(&counts, &group(sample), limits);
        assert!(matches!(verdict, Verdict::Trip { .. }), "{verdict:?}");
    }
}

#[test]
fn silence_is_not_success() {
    let offered = GroupTally { done: 7, offered: 3, ..GroupTally::default() };
    let limits = Thresholds { success_percent: 80, error_percent: 10 };
    assert_eq!(judge(&offered, &group(0), limits), Verdict::Hold);
    let silent = GroupTally { done: 4, unknown: 6, waiting: 5, ..GroupTally::default() };
    assert_eq!(judge(&silent, &group(5), limits), Verdict::Hold);
}

#[test]
fn a_sample_is_of_devices_that_are_done() {
    let limits = Thresholds { success_percent: 80, error_percent: 50 };
    let few = GroupTally { done: 4, waiting: 96, ..GroupTally::default() };
    assert_eq!(judge(&few, &group(5), limits), Verdict::Hold);
    let failed = GroupTally { failed: 1, waiting: 95, ..few.clone() };
    assert_eq!(judge(&failed, &group(5), limits), Verdict::Hold);
    let enough = GroupTally { done: 5, waiting: 95, ..GroupTally::default() };
    assert_eq!(judge(&enough, &group(5), limits), Verdict::Pass);
}

#[test]
fn a_group_that_nobody_could_try_does_not_open_the_next() {
    let limits = Thresholds { success_percent: 80, error_percent: 50 };
    let gone = GroupTally { unreachable: 3, refused: 2, ..GroupTally::default() };
    assert!(matches!(judge(&gone, &group(5), limits), Verdict::Trip { .. }));
    let one = GroupTally { done: 1, ..gone };
    assert_eq!(judge(&one, &group(5), limits), Verdict::Pass);
}

#[test]
fn failures_that_a_person_accepted_do_not_trip_again() {
    let limits = Thresholds { success_percent: 80, error_percent: 10 };
    let counts = GroupTally { done: 8, failed: 2, waiting: 10, ..GroupTally::default() };
    let accepted = Group { accepted: 2, ..group(5) };
    assert_eq!(judge(&counts, &accepted, limits), Verdict::Pass);
    let one_more = GroupTally { failed: 3, waiting: 9, ..counts };
    assert!(matches!(judge(&one_more, &accepted, limits), Verdict::Trip { .. }));
}

#[test]
fn few_devices_soak_for_all_where_no_more_can() {
    let rules = GroupRules { soak_ms: 1, soak_sample: 5, ..GroupRules::default() };
    let group = Group { rules, ..Group::default() };
    let canaries = GroupTally { done: 2, unreachable: 9, ..GroupTally::default() };
    let soaked = |soaked| GroupTally { done: 1, refused: 3, soaked, ..GroupTally::default() };
    assert!(!has_soaked(&[canaries.clone(), soaked(2)], &group));
    assert!(has_soaked(&[canaries, soaked(3)], &group));
    let nobody = GroupTally { refused: 3, ..GroupTally::default() };
    assert!(!has_soaked(&[nobody], &group), "nobody's word is no soak");
}

#[test]
fn a_dead_device_does_not_hold_a_soak_open_for_ever() {
    let rules =
        GroupRules { soak_ms: 1, soak_sample: 3, minimum_sample: 3, ..GroupRules::default() };
    let group = Group { rules, ..Group::default() };
    let limits = Thresholds { success_percent: 60, error_percent: 50 };
    let silent = GroupTally { done: 2, soaked: 2, unknown: 1, ..GroupTally::default() };
    assert!(!has_soaked(core::slice::from_ref(&silent), &group));
    let lost = GroupTally { lost: 1, ..silent };
    assert!(has_soaked(core::slice::from_ref(&lost), &group));
    assert_eq!(judge(&lost, &group, limits), Verdict::Pass);
    let dead = GroupTally { unknown: 3, lost: 3, ..GroupTally::default() };
    assert!(!has_soaked(core::slice::from_ref(&dead), &group), "nobody's silence is no soak");
    assert!(matches!(judge(&dead, &group, limits), Verdict::Trip { .. }), "it halts instead");
}

proptest! {
    /// What waiting alone does to silent devices: they are lost. That closes no gate that was open.
    #[test]
    fn devices_that_are_lost_by_waiting_never_close_a_gate(
        before in counts(), limits in thresholds(), sample in 1u64..60, soaked in 0u64..50,
        lost in 0u64..9, soak_sample in 1u64..60,
    ) {
        let rules = GroupRules {
            soak_ms: 1, soak_sample, minimum_sample: sample, ..GroupRules::default()
        };
        let group = Group { rules, ..Group::default() };
        let before = GroupTally { soaked: soaked.min(before.done), ..before };
        let after = GroupTally { lost: lost.min(before.unknown), ..before.clone() };
        if judge(&before, &group, limits) == Verdict::Pass {
            prop_assert_eq!(judge(&after, &group, limits), Verdict::Pass);
        }
        if has_soaked(core::slice::from_ref(&before), &group) {
            prop_assert!(has_soaked(core::slice::from_ref(&after), &group));
        }
    }

    #[test]
    fn one_more_failure_never_lets_a_group_pass(
        counts in counts(), limits in thresholds(), sample in 0u64..60, from in 0usize..6,
    ) {
        let mut worse = counts.clone();
        worse.failed += 1;
        // The device that fails stood somewhere before.
        let before = [
            &mut worse.waiting, &mut worse.offered, &mut worse.unknown, &mut worse.ready,
            &mut worse.expired, &mut worse.done,
        ].into_iter().nth(from).unwrap();
        if *before == 0 {
            return Ok(());
        }
        *before -= 1;
        if judge(&counts, &group(sample), limits) != Verdict::Pass {
            prop_assert_ne!(judge(&worse, &group(sample), limits), Verdict::Pass);
        }
    }

    #[test]
    fn a_device_that_waits_never_trips_a_group(
        counts in counts(), limits in thresholds(), sample in 1u64..60,
    ) {
        let more = GroupTally { waiting: counts.waiting + 1, ..counts.clone() };
        if !matches!(judge(&counts, &group(sample), limits), Verdict::Trip { .. }) {
            let verdict = judge(&more, &group(sample), limits);
            prop_assert!(!matches!(verdict, Verdict::Trip { .. }), "{:?}", verdict);
        }
    }

    #[test]
    fn nothing_but_results_lets_a_group_pass(
        counts in counts(), limits in thresholds(), sample in 1u64..60,
    ) {
        let silent = GroupTally { waiting: counts.total() + 1, ..GroupTally::default() };
        prop_assert_eq!(judge(&silent, &group(sample), limits), Verdict::Hold);
        if limits.success_percent > 0 {
            prop_assert_eq!(judge(&silent, &group(0), limits), Verdict::Hold);
        }
    }

    #[test]
    fn a_group_that_has_ended_is_decided(
        mut counts in counts(), limits in thresholds(), sample in 0u64..60,
    ) {
        (counts.waiting, counts.offered, counts.ready) = (0, 0, 0);
        counts.lost = counts.unknown;
        prop_assert_ne!(judge(&counts, &group(sample), limits), Verdict::Hold);
    }
}
