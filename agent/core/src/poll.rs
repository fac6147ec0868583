//! When to poll next. Randomness is an argument: the shell draws it, tests choose it.

use lazaret_protocol::limits::{POLL_INTERVAL_MS_MAX, POLL_INTERVAL_MS_MIN};

/// The pace of a device whose polls fail, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The span of the first retry.
    pub base_ms: u64,
    /// The span that is never exceeded.
    pub ceiling_ms: u64,
}

/// Milliseconds until the next poll after one that was answered with `asked_ms`: between three
/// quarters and the whole of it, so that devices which were started together drift apart.
#[must_use]
pub fn after_answer(asked_ms: u64, random: u64) -> u64 {
    let asked = asked_ms.clamp(POLL_INTERVAL_MS_MIN, POLL_INTERVAL_MS_MAX);
    let spread = asked / 4;
    asked.saturating_sub(below(spread.saturating_add(1), random))
}

/// Milliseconds until the next try after `failures` failed ones in a row (1 for the first):
/// anywhere in a span that doubles each time up to the ceiling ("full jitter"), and never before
/// the server's `Retry-After`. A fleet that lost its server comes back spread out, not as one wave.
#[must_use]
pub fn after_failure(backoff: Backoff, failures: u32, retry_after_ms: u64, random: u64) -> u64 {
    let doublings = failures.saturating_sub(1).min(63);
    let factor = 1_u64.checked_shl(doublings).unwrap_or(u64::MAX);
    let ceiling = backoff.ceiling_ms.clamp(POLL_INTERVAL_MS_MIN, POLL_INTERVAL_MS_MAX);
    let span = backoff.base_ms.saturating_mul(factor).min(ceiling);
    let wait = below(span.saturating_add(1), random).max(POLL_INTERVAL_MS_MIN);
    wait.max(retry_after_ms.min(POLL_INTERVAL_MS_MAX))
}

/// When to renew a certificate that is valid from `not_before` to `not_after`, as milliseconds
/// after its beginning: at half its life, give or take a tenth of it.
#[must_use]
pub fn renewal_ms(lifetime_ms: u64, random: u64) -> u64 {
    let tenth = lifetime_ms / 10;
    let early = (lifetime_ms / 2).saturating_sub(tenth);
    early.saturating_add(below(tenth.saturating_mul(2).saturating_add(1), random))
}

/// `random` brought below `limit`. The bias of the remainder is irrelevant for spreading load.
fn below(limit: u64, random: u64) -> u64 {
    random.checked_rem(limit).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BACKOFF: Backoff = Backoff { base_ms: 1000, ceiling_ms: 300_000 };

    proptest! {
        #[test]
        fn waits_stay_within_the_limits(
            asked in any::<u64>(),
            failures in any::<u32>(),
            after in any::<u64>(),
            random in any::<u64>(),
        ) {
            let answered = after_answer(asked, random);
            prop_assert!((POLL_INTERVAL_MS_MIN * 3 / 4..=POLL_INTERVAL_MS_MAX).contains(&answered));
            let failed = after_failure(BACKOFF, failures, after, random);
            prop_assert!((POLL_INTERVAL_MS_MIN..=POLL_INTERVAL_MS_MAX).contains(&failed));
            prop_assert!(failed >= after.min(POLL_INTERVAL_MS_MAX));
        }

        #[test]
        fn a_certificate_is_renewed_in_the_middle_of_its_life(
            life in 0..u64::MAX / 4,
            random in any::<u64>(),
        ) {
            let at = renewal_ms(life, random);
            prop_assert!(at >= life / 2 - life / 10 && at <= life / 2 + life / 10 + 1);
        }
    }

    #[test]
    fn the_span_doubles_up_to_the_ceiling() {
        // The largest draw of a span is the span itself.
        let widest = |failures| {
            (0..400_000_u64).step_by(1000).map(|r| after_failure(BACKOFF, failures, 0, r)).max()
        };
        assert_eq!(widest(1), Some(1000));
        assert!(widest(3) > Some(3500) && widest(3) <= Some(4000));
        assert_eq!(after_failure(BACKOFF, 40, 0, 300_000), 300_000);
    }
}
