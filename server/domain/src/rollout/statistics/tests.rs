//! The evidence rises with failures, falls with successes, and rarely speaks against a good image.

use super::*;
use alloc::vec;
use alloc::vec::Vec;
use proptest::prelude::*;

const POLICY: StatisticsPolicy =
    StatisticsPolicy { failures_permille: 10, silent_permille: 20, false_halts_per_10000: 50 };

fn cohort(name: &str, tried: u64, failed: u64) -> CohortTally {
    CohortTally { cohort: name.into(), tried, failed, ..CohortTally::default() }
}

#[test]
fn one_failure_is_not_a_finding_and_three_of_five_are() {
    assert_eq!(judge(&[cohort("", 5, 1)], &[], POLICY), None);
    assert!(judge(&[cohort("", 5, 3)], &[], POLICY).is_some());
}

#[test]
fn a_bad_revision_is_found_among_good_ones() {
    let cohorts = [cohort("a", 1000, 3), cohort("b", 12, 5), cohort("c", 500, 1)];
    let found = judge(&cohorts, &[], POLICY).unwrap();
    assert_eq!(found.cohort, Some("b".into()));
    let quiet = [cohort("a", 1000, 3), cohort("b", 120, 1), cohort("c", 500, 1)];
    assert_eq!(judge(&quiet, &[], POLICY), None);
}

#[test]
fn silence_is_judged_against_those_that_wait() {
    let tried = CohortTally { tried: 40, unknown: 12, ..CohortTally::default() };
    let none = judge(core::slice::from_ref(&tried), &[], POLICY);
    assert_eq!(none, None, "there is nobody to compare with");
    let alone = CohortTally { control: 200, control_silent: 2, ..tried.clone() };
    assert!(judge(&[alone], &[], POLICY).is_some());
    let night = CohortTally { control: 200, control_silent: 60, ..tried };
    assert_eq!(judge(&[night], &[], POLICY), None, "night falls on all of them");
}

#[test]
fn what_a_person_accepted_is_no_evidence_any_more() {
    let cohorts = [cohort("", 5, 3)];
    let accepted = [Accepted { cohort: String::new(), failed: 3, unknown: 0 }];
    assert_eq!(judge(&cohorts, &accepted, POLICY), None);
    assert!(judge(&[cohort("", 10, 7)], &accepted, POLICY).is_some());
}

/// A number that looks random, for a test that has to be the same each time.
fn random(seed: u64) -> u64 {
    let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[test]
fn a_good_image_is_halted_no_oftener_than_promised_however_often_one_looks() {
    let mut halted = 0;
    for run in 0..4000u64 {
        let mut counts = cohort("", 0, 0);
        for device in 0..600 {
            counts.tried += 1;
            // Exactly the usual share fails, and each device is looked at.
            counts.failed += u64::from(random(run * 10_000 + device).is_multiple_of(100));
            if judge(core::slice::from_ref(&counts), &[], POLICY).is_some() {
                halted += 1;
                break;
            }
        }
    }
    assert!(halted <= 20, "{halted} of 4000 good rollouts were halted, 20 were promised at most");
}

proptest! {
    #[test]
    fn one_more_failure_never_lessens_the_evidence(
        tried in 1u64..2000, bad in 0u64..2000, p0 in 1u32..300,
    ) {
        let (bad, p0) = (bad.min(tried - 1), f64::from(p0) / 1000.0);
        let more = log_evidence(tried, bad + 1, p0);
        prop_assert!(more >= log_evidence(tried, bad, p0));
        prop_assert!(more.is_finite());
    }

    #[test]
    fn one_more_device_at_work_never_adds_evidence(
        tried in 1u64..2000, bad in 0u64..2000, p0 in 1u32..300,
    ) {
        let (bad, p0) = (bad.min(tried), f64::from(p0) / 1000.0);
        prop_assert!(log_evidence(tried + 1, bad, p0) <= log_evidence(tried, bad, p0));
    }

    #[test]
    fn the_order_of_reports_gives_the_same_verdict(
        reports in proptest::collection::vec((0usize..3, any::<bool>()), 0..60),
    ) {
        let count = |reports: &[(usize, bool)]| {
            let mut cohorts: Vec<CohortTally> =
                vec![cohort("a", 0, 0), cohort("b", 0, 0), cohort("c", 0, 0)];
            for (at, bad) in reports {
                cohorts[*at].tried += 1;
                cohorts[*at].failed += u64::from(*bad);
            }
            judge(&cohorts, &[], POLICY)
        };
        let mut reversed = reports.clone();
        reversed.reverse();
        prop_assert_eq!(count(&reports), count(&reversed));
    }

    #[test]
    fn the_upper_share_is_above_the_share_and_no_more_than_all(
        bad in 0u64..500, good in 0u64..500,
    ) {
        prop_assume!(bad + good > 0);
        let share = upper_share(bad, bad + good);
        #[allow(clippy::cast_precision_loss, reason = "small numbers")]
        let seen = bad as f64 / (bad + good) as f64;
        prop_assert!(share >= seen - 1e-9 && share <= 1.0);
    }
}
