//! Sources are asked in their order, rest when they fail, and are never all given up.

use lazaret_protocol::time::Timestamp;

use super::*;
use crate::clock::Clock;
use crate::source::Pull;
use crate::transport::Transport;

fn mirrors(count: usize) -> Mirrors {
    let pull = Pull { bytes_per_second_min: 0, window_ms: 1000 };
    let clock = Clock::new(Timestamp::default());
    let source = || Transport::plain("http://127.0.0.1:1").repository(pull, &clock);
    let backoff = Backoff { base_ms: 1000, ceiling_ms: 60_000 };
    Mirrors::new((0..count).map(|_| source()).collect(), backoff)
}

#[test]
fn the_first_that_does_not_rest_is_asked() {
    let mut mirrors = mirrors(3);
    assert_eq!(mirrors.next(&[], 0), Some(0));
    mirrors.failed(0, 0, 0, 999);
    assert_eq!(mirrors.next(&[], 0), Some(1));
    assert_eq!(mirrors.next(&[1], 0), Some(2));
    // It is preferred again once it has rested, or has done well.
    assert_eq!(mirrors.next(&[], 1000), Some(0));
    mirrors.failed(0, 1000, 0, 999);
    mirrors.well(0);
    assert_eq!(mirrors.next(&[], 1000), Some(0));
}

#[test]
fn a_round_ends_and_the_next_one_asks_whoever_rests_least() {
    let mut mirrors = mirrors(2);
    mirrors.failed(0, 0, 50_000, 0);
    mirrors.failed(1, 0, 20_000, 0);
    assert_eq!(mirrors.next(&[0], 0), None, "nobody is left in this round");
    assert!(!mirrors.has_rested(0));
    assert_eq!(mirrors.next(&[], 0), Some(1));
    assert!(mirrors.has_rested(20_000));
}

#[test]
fn each_failure_in_a_row_makes_the_rest_longer_up_to_the_ceiling() {
    let mut mirrors = mirrors(1);
    let mut rests = Vec::new();
    for _ in 0..10 {
        // The largest draw of each span.
        let doublings = u32::try_from(rests.len()).unwrap().min(6);
        let span = 1000_u64.saturating_mul(1 << doublings).min(60_000);
        mirrors.failed(0, 0, 0, span);
        rests.push(mirrors.all[0].rests_until_ms);
    }
    assert!(rests.windows(2).all(|pair| pair[0] <= pair[1]), "{rests:?}");
    assert_eq!(rests.last(), Some(&60_000));
}
