//! What a peer can make the device say again and again is said so often an hour and then counted,
//! so that nobody fills the log by repeating himself. The first entries of a kind are kept word for
//! word; the count of the others follows when the hour is over. Which kinds are never held back
//! stands here as well.

use std::collections::BTreeMap;

/// Entries of one kind and code within one hour that are written as they are.
pub(super) const VERBATIM_MAX: u32 = 16;

/// After so many milliseconds the count begins anew.
pub(super) const WINDOW_MS: u64 = 60 * 60 * 1000;

/// Kinds and codes that are told apart; those beyond share one count.
const KEYS_MAX: usize = 64;

/// Kinds that no peer can repeat at will, or whose absence would be worse than a long log.
const NEVER_HELD_BACK: &[&str] = &[
    "started",
    "quarantined",
    "armed",
    "trial-begun",
    "kept",
    "rolled-back",
    "emergency-used",
    "applied-by-hand",
    "time-floor-fell",
    "log-full",
    "log-tail-cut",
    "log-damaged",
    "state-refused",
    "state-recovered",
    "repeats-begin",
    "repeats",
];

/// What becomes of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is written.
    Write,
    /// It is the first to be counted: that is written in its place, so that the log shows where it
    /// ceases to be complete.
    BeginCounting,
    /// It is counted.
    Count,
}

/// Entries of one kind and code that were held back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Repeats {
    pub(super) kind: String,
    pub(super) code: String,
    pub(super) count: u64,
}

/// Counts of the hour.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    counts: BTreeMap<(String, String), Count>,
}

#[derive(Debug)]
struct Count {
    since_ms: u64,
    seen: u64,
}

impl Throttle {
    /// Whether an entry is written.
    pub(super) fn weigh(&mut self, kind: &str, code: &str, now_ms: u64) -> Verdict {
        if NEVER_HELD_BACK.contains(&kind) {
            return Verdict::Write;
        }
        let mut key = (kind.to_owned(), code.to_owned());
        if self.counts.len() >= KEYS_MAX && !self.counts.contains_key(&key) {
            key = ("others".into(), String::new());
        }
        let count = self.counts.entry(key).or_insert(Count { since_ms: now_ms, seen: 0 });
        count.seen = count.seen.saturating_add(1);
        match count.seen {
            seen if seen <= u64::from(VERBATIM_MAX) => Verdict::Write,
            seen if seen == u64::from(VERBATIM_MAX).saturating_add(1) => Verdict::BeginCounting,
            _ => Verdict::Count,
        }
    }

    /// What was held back in hours that are over, and forgets them.
    pub(super) fn over(&mut self, now_ms: u64) -> Vec<Repeats> {
        let mut repeats = Vec::new();
        self.counts.retain(|(kind, code), count| {
            if now_ms.saturating_sub(count.since_ms) < WINDOW_MS {
                return true;
            }
            let held_back = count.seen.saturating_sub(u64::from(VERBATIM_MAX));
            if held_back > 0 {
                let (kind, code) = (kind.clone(), code.clone());
                repeats.push(Repeats { kind, code, count: held_back });
            }
            false
        });
        repeats
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_flood_the_first_are_written_and_the_others_counted() {
        let mut throttle = Throttle::default();
        let verdicts: Vec<_> =
            (0..1000).map(|n| throttle.weigh("order-refused", "replay", n)).collect();
        let most = usize::try_from(VERBATIM_MAX).unwrap();
        assert!(verdicts[..most].iter().all(|verdict| *verdict == Verdict::Write));
        assert_eq!(verdicts[most], Verdict::BeginCounting);
        assert!(verdicts[most + 1..].iter().all(|verdict| *verdict == Verdict::Count));
        // Another code is another matter.
        assert_eq!(throttle.weigh("order-refused", "leap", 1000), Verdict::Write);
        assert_eq!(throttle.over(WINDOW_MS - 1), []);
        let repeats = Repeats {
            kind: "order-refused".into(),
            code: "replay".into(),
            count: 1000 - u64::from(VERBATIM_MAX),
        };
        assert_eq!(throttle.over(WINDOW_MS), [repeats]);
        assert_eq!(throttle.weigh("order-refused", "replay", WINDOW_MS), Verdict::Write);
    }

    #[test]
    fn containment_and_what_runs_is_always_written() {
        let mut throttle = Throttle::default();
        for kind in NEVER_HELD_BACK {
            assert!((0..1000).all(|n| throttle.weigh(kind, "", n) == Verdict::Write), "{kind}");
        }
    }

    #[test]
    fn a_flood_of_codes_is_bounded_as_well() {
        let mut throttle = Throttle::default();
        let written = (0..100_000_u64).filter(|n| {
            throttle.weigh("verification-refused", &n.to_string(), 0) == Verdict::Write
        });
        assert!(written.count() <= KEYS_MAX + usize::try_from(VERBATIM_MAX).unwrap());
    }
}
