//! Waiting for another process: until a thing is so, or a deadline. The one place that sleeps.

use std::time::{Duration, Instant};

use anyhow::bail;

/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(40);

/// Looks until `look` finds something.
///
/// # Errors
/// Nothing is found within `limit`, or `look` fails; `what` says what was waited for.
pub fn until<T>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let begun = Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if begun.elapsed() > limit {
            bail!("expected {what} within {} s, it did not come", limit.as_secs());
        }
        std::thread::sleep(PAUSE);
    }
}

/// Lets time pass, where the moment itself is what is tested: a kill at a time that chance chose.
pub fn moment(time: Duration) {
    std::thread::sleep(time);
}
