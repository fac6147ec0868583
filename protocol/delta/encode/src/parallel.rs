//! Doing the same to many things on all cores, with outcomes in order.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Calls `work` with every number below `count`, on `threads` threads. Threads take the next number
/// each, and the outcomes are in the order of the numbers, so that nothing depends on who was
/// faster. After a failure no more numbers are taken.
///
/// # Errors
/// The failure of the smallest number that failed.
pub(crate) fn parallel<T: Send, E: Send>(
    count: usize,
    threads: usize,
    work: impl Fn(usize) -> Result<T, E> + Sync,
) -> Result<Vec<T>, E> {
    let next = AtomicUsize::new(0);
    let turns = || {
        let mut outcomes = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return outcomes;
            }
            let outcome = work(number);
            if outcome.is_err() {
                next.store(count, Ordering::Relaxed);
            }
            outcomes.push((number, outcome));
        }
    };
    let mut outcomes = Vec::with_capacity(count);
    thread::scope(|scope| {
        let handles: Vec<_> =
            (0..threads.clamp(1, count.max(1))).map(|_| scope.spawn(turns)).collect();
        for handle in handles {
            match handle.join() {
                Ok(made) => outcomes.extend(made),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    outcomes.sort_unstable_by_key(|(number, _)| *number);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}
