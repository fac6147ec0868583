//! Who is asked for the repository, and in which order: the mirrors of the configuration, then the
//! server itself. A source that failed rests for a while, longer each time, and the next one is
//! asked meanwhile. What they say is judged elsewhere.

use lazaret_agent_core::poll::{Backoff, after_failure};

use crate::source::Source;

/// The sources in the order of preference.
#[derive(Debug)]
pub struct Mirrors {
    all: Vec<Mirror>,
    backoff: Backoff,
}

#[derive(Debug)]
struct Mirror {
    source: Source,
    failures: u32,
    /// On the monotonic clock.
    rests_until_ms: u64,
}

impl Mirrors {
    /// These sources, none of which has failed yet.
    #[must_use]
    pub fn new(sources: Vec<Source>, backoff: Backoff) -> Self {
        let rested = |source| Mirror { source, failures: 0, rests_until_ms: 0 };
        Self { all: sources.into_iter().map(rested).collect(), backoff }
    }

    /// How many there are.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.all.len()
    }

    /// The source of this number.
    #[must_use]
    pub fn source(&self, number: usize) -> Option<&Source> {
        self.all.get(number).map(|mirror| &mirror.source)
    }

    /// Whom to ask, leaving those out that were asked in this round: the first that does not rest.
    /// Where all rest and none was asked in this round, the one whose rest ends first.
    #[must_use]
    pub fn next(&self, asked: &[usize], now_ms: u64) -> Option<usize> {
        let open = || self.all.iter().enumerate().filter(|(number, _)| !asked.contains(number));
        let rested = open().find(|(_, mirror)| mirror.rests_until_ms <= now_ms);
        let found = match rested {
            None if asked.is_empty() => open().min_by_key(|(_, mirror)| mirror.rests_until_ms),
            found => found,
        };
        found.map(|(number, _)| number)
    }

    /// Notes that a source did what it should.
    pub fn well(&mut self, number: usize) {
        if let Some(mirror) = self.all.get_mut(number) {
            (mirror.failures, mirror.rests_until_ms) = (0, 0);
        }
    }

    /// Notes that a source failed: it rests for as long as it asks for, or anywhere in a span that
    /// doubles each time.
    pub fn failed(&mut self, number: usize, now_ms: u64, retry_after_ms: u64, random: u64) {
        let Some(mirror) = self.all.get_mut(number) else { return };
        mirror.failures = mirror.failures.saturating_add(1);
        let rest = after_failure(self.backoff, mirror.failures, retry_after_ms, random);
        mirror.rests_until_ms = now_ms.saturating_add(rest);
    }

    /// Whether somebody could be asked at once.
    #[must_use]
    pub fn has_rested(&self, now_ms: u64) -> bool {
        self.all.iter().any(|mirror| mirror.rests_until_ms <= now_ms)
    }
}

#[cfg(test)]
mod tests;
