//! When few failures are too many: a sequential test that may be looked at after every report.
//!
//! **Hypothesis.** For each cohort (one hardware model and revision), and for all cohorts together:
//! a device that is offered the image turns bad with a probability of at most `p0`. Bad is, in one
//! stream, *failed* (the trial failed, it rolled back, a probe went bad after it had confirmed)
//! and, in another, *silent*. `p0` is the larger of the policy's baseline and what the same cohort
//! shows meanwhile without the image: the upper end of Wilson's interval (three standard
//! deviations) of the share of sick or silent devices among those that still wait.
//!
//! **Statistic.** The likelihood ratio of Wald's sequential probability ratio test, mixed over five
//! alternatives between 3 % and 95 % of extra failures with equal weight (Robbins' mixture):
//!
//! `E = 1/5 * sum over j of (p_j / p0)^bad * ((1 - p_j) / (1 - p0))^(tried - bad)`
//!
//! Under the hypothesis E is a non-negative supermartingale that begins at 1, so that by Ville's
//! inequality it ever reaches `1 / alpha` with a probability of at most `alpha`, however often one
//! looks. Of the test's two errors `alpha` (a good rollout is halted) is the policy's; `beta` is
//! not bounded, because the hypothesis is never accepted: a rollout goes on by its thresholds, and
//! the test stays awake. `alpha` is shared equally among the streams (Bonferroni).
//!
//! **Devices still at work count as good.** They can only turn bad, which raises E, so E is never
//! above the supermartingale over devices in the order of their offers. That makes the test blind
//! to the order and the delay of reports: failures that report faster than successes do not halt a
//! good rollout, and the same reports in any order give the same verdict.
//!
//! **What is not exact.** `p0` from the cohort is an estimate, and silent devices may come back;
//! both make the bound approximate, which `lazaret sim` and `cargo xtask bench rollout` measure.
//! Silence is judged only while at least [`CONTROL_MIN`] devices of the cohort wait: without them
//! nightfall looks like a poison, and there is nobody left to protect by halting.
//!
//! Sources: A. Wald, "Sequential Tests of Statistical Hypotheses", Ann. Math. Statist. 16 (1945);
//! H. Robbins, "Statistical Methods Related to the Law of the Iterated Logarithm", Ann. Math.
//! Statist. 41 (1970); S. Howard, A. Ramdas, J. McAuliffe, J. Sekhon, "Time-uniform Chernoff bounds
//! via nonnegative supermartingales", Probability Surveys 17 (2020).

use alloc::format;
use alloc::string::String;

use super::policy::StatisticsPolicy;
use super::state::Accepted;
use super::tally::CohortTally;

/// Waiting devices that a cohort must have before its silence is judged.
pub const CONTROL_MIN: u64 = 20;

/// Shares of extra failures that the mixture looks for.
const EXTRA: [f64; 5] = [0.03, 0.1, 0.3, 0.6, 0.95];

/// What the statistics found.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The cohort; none for all together.
    pub cohort: Option<String>,
    /// In words, with the numbers.
    pub reason: String,
}

/// Judges all cohorts; the first finding in their order, failures before silence.
#[must_use]
pub fn judge(
    cohorts: &[CohortTally],
    accepted: &[Accepted],
    policy: StatisticsPolicy,
) -> Option<Finding> {
    let all = CohortTally { cohort: String::new(), ..sum(cohorts) };
    let together = accepted.iter().fold((0u64, 0u64), |(failed, unknown), one| {
        (failed.saturating_add(one.failed), unknown.saturating_add(one.unknown))
    });
    let streams = if cohorts.len() > 1 { cohorts.len().saturating_add(1) } else { 1 };
    let alpha = permyriad(policy.false_halts_per_10000) / (2.0 * to_f64(streams));
    let limit = -libm::log(alpha);
    let test = |counts: &CohortTally, (failed, unknown): (u64, u64), name: Option<&str>| {
        streams_of(counts, (failed, unknown), policy)
            .into_iter()
            .flatten()
            .find(|stream| stream.log_evidence() >= limit)
            .map(|stream| stream.finding(name, limit))
    };
    if cohorts.len() <= 1 {
        return test(&all, together, None);
    }
    let each = cohorts.iter().find_map(|cohort| {
        let known = accepted.iter().find(|one| one.cohort == cohort.cohort);
        let known = known.map_or((0, 0), |one| (one.failed, one.unknown));
        test(cohort, known, Some(&cohort.cohort))
    });
    each.or_else(|| test(&all, together, None))
}

/// The natural logarithm of the evidence against "at most `p0` of those tried turn bad".
#[must_use]
pub fn log_evidence(tried: u64, bad: u64, p0: f64) -> f64 {
    let bad = bad.min(tried);
    let (bad, good) = (to_f64(bad), to_f64(tried.saturating_sub(bad)));
    let p0 = p0.clamp(1e-6, 0.999);
    let terms = EXTRA.map(|extra| {
        let p = p0 + (1.0 - p0) * extra;
        bad * libm::log(p / p0) + good * libm::log((1.0 - p) / (1.0 - p0))
    });
    // The largest is taken out first, so that nothing overflows.
    let top = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let rest: f64 = terms.iter().map(|term| libm::exp(term - top)).sum();
    top + libm::log(rest / to_f64(EXTRA.len()))
}

/// The upper end of Wilson's interval for `bad` of `tried`, at three standard deviations.
#[must_use]
pub fn upper_share(bad: u64, tried: u64) -> f64 {
    if tried == 0 {
        return 0.0;
    }
    let (n, z2) = (to_f64(tried), 9.0);
    let p = to_f64(bad) / n;
    let middle = p + z2 / (2.0 * n);
    let width = 3.0 * libm::sqrt(p * (1.0 - p) / n + z2 / (4.0 * n * n));
    ((middle + width) / (1.0 + z2 / n)).min(1.0)
}

struct Stream {
    what: &'static str,
    tried: u64,
    bad: u64,
    p0: f64,
}

impl Stream {
    fn log_evidence(&self) -> f64 {
        log_evidence(self.tried, self.bad, self.p0)
    }

    fn finding(&self, cohort: Option<&str>, limit: f64) -> Finding {
        let of = match cohort {
            Some("") => "devices without a hardware revision".into(),
            Some(name) => format!("devices of hardware {name}"),
            None => String::from("devices"),
        };
        let reason = format!(
            "{} of {} {of} {}, {:.1} % are usual: evidence e^{:.1}, the limit is e^{limit:.1}",
            self.bad,
            self.tried,
            self.what,
            self.p0 * 100.0,
            self.log_evidence(),
        );
        Finding { cohort: cohort.map(Into::into), reason }
    }
}

fn streams_of(
    counts: &CohortTally,
    (failed, unknown): (u64, u64),
    policy: StatisticsPolicy,
) -> [Option<Stream>; 2] {
    // What a person accepted counts neither as bad nor as tried.
    let tried = counts.tried.saturating_sub(failed).saturating_sub(unknown);
    let compared = counts.control >= CONTROL_MIN;
    let share = |bad: u64| if compared { upper_share(bad, counts.control) } else { 0.0 };
    // A cohort in which nobody is sick says nothing; only what was seen raises the baseline.
    let sick = if counts.control_sick == 0 { 0.0 } else { share(counts.control_sick) };
    let failures = Stream {
        what: "failed",
        tried,
        bad: counts.failed.saturating_sub(failed),
        p0: permille(policy.failures_permille).max(sick),
    };
    let silence = Stream {
        what: "fell silent",
        tried,
        bad: counts.unknown.saturating_sub(unknown),
        p0: permille(policy.silent_permille).max(share(counts.control_silent)),
    };
    [Some(failures), compared.then_some(silence)]
}

fn sum(cohorts: &[CohortTally]) -> CohortTally {
    let mut all = CohortTally::default();
    for one in cohorts {
        let CohortTally { tried, failed, unknown, control, control_silent, control_sick, .. } = one;
        for (sum, part) in [
            (&mut all.tried, tried),
            (&mut all.failed, failed),
            (&mut all.unknown, unknown),
            (&mut all.control, control),
            (&mut all.control_silent, control_silent),
            (&mut all.control_sick, control_sick),
        ] {
            *sum = sum.saturating_add(*part);
        }
    }
    all
}

fn permille(n: u32) -> f64 {
    f64::from(n) / 1000.0
}

fn permyriad(n: u32) -> f64 {
    f64::from(n.max(1)) / 10_000.0
}

/// Counts of devices are far below 2^53, so nothing is lost.
#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn to_f64(n: impl TryInto<u64>) -> f64 {
    n.try_into().unwrap_or(u64::MAX) as f64
}

#[cfg(test)]
mod tests;
