//! From probe results to a verdict on the new image. Probes are run by the shell.

use alloc::string::String;

use crate::reason::Reason;

/// What one probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeResult {
    /// The probe's name in the configuration.
    pub name: String,
    /// What came of it.
    pub finding: Finding,
}

/// What came of one probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// It passed.
    Passed,
    /// It failed, but may be tried so many times more.
    Failed {
        /// Tries left.
        tries_left: u32,
        /// What was expected and what came.
        why: String,
        /// The last lines it printed.
        output: String,
    },
}

/// What becomes of the new image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every probe passed: keep it.
    Healthy,
    /// A probe failed that may be tried again.
    Undecided,
    /// Roll back.
    Unhealthy {
        /// The probe that failed, and its last words.
        reason: Reason,
    },
}

/// The verdict on a round of probes, `elapsed_ms` after the new image started. Without any probe
/// the image is healthy as soon as the agent runs in it: that is what the operator has asked for.
#[must_use]
pub fn judge(results: &[ProbeResult], elapsed_ms: u64, trial_ms: u64) -> Verdict {
    let mut undecided = Verdict::Healthy;
    for result in results {
        let Finding::Failed { tries_left, why, output } = &result.finding else { continue };
        if *tries_left == 0 || elapsed_ms >= trial_ms {
            let head = alloc::format!("probe {} failed: {why}", result.name);
            return Verdict::Unhealthy { reason: Reason::with_tail(&head, output) };
        }
        undecided = Verdict::Undecided;
    }
    undecided
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn result(name: &str, finding: Finding) -> ProbeResult {
        ProbeResult { name: name.into(), finding }
    }

    fn failed(tries_left: u32) -> Finding {
        Finding::Failed { tries_left, why: "it exited with 3".into(), output: "no disk\n".into() }
    }

    #[test]
    fn all_passed_is_healthy_and_one_failure_decides() {
        let passed = result("one", Finding::Passed);
        assert_eq!(judge(&[], 0, 1000), Verdict::Healthy);
        assert_eq!(judge(core::slice::from_ref(&passed), 0, 1000), Verdict::Healthy);
        let results = vec![passed, result("two", failed(0))];
        let Verdict::Unhealthy { reason } = judge(&results, 0, 1000) else {
            panic!("a failed probe was let pass");
        };
        assert_eq!(reason.as_str(), "probe two failed: it exited with 3: no disk");
    }

    #[test]
    fn a_probe_with_tries_left_is_waited_for_until_the_time_is_up() {
        let results = vec![result("one", failed(1))];
        assert_eq!(judge(&results, 999, 1000), Verdict::Undecided);
        assert!(matches!(judge(&results, 1000, 1000), Verdict::Unhealthy { .. }));
    }
}
