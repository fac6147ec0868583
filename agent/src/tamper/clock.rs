//! Steps of the system's clock: it is compared with the time since the machine started, which runs
//! through sleep and which nobody sets.

use lazaret_protocol_evidence::log::Detail;

use super::{Input, InputConfig, Seen};
use crate::clock::Clock;

/// A step that is worth telling, in milliseconds: beyond what a clock is slewed by between two
/// looks.
const STEP_MS_MIN: u64 = 2000;

#[derive(Debug)]
pub(super) struct Steps {
    clock: Clock,
    ahead_ms: Option<i64>,
}

pub(super) fn make(_: &InputConfig, clock: &Clock) -> Box<dyn Input> {
    Box::new(Steps { clock: clock.clone(), ahead_ms: None })
}

impl Input for Steps {
    fn look(&mut self) -> Vec<Seen> {
        let ahead_ms = self.clock.ahead_of_uptime_ms();
        self.weigh(ahead_ms).into_iter().collect()
    }
}

impl Steps {
    /// What it means that the clock is so far ahead of the time since the start.
    pub(super) fn weigh(&mut self, ahead_ms: i64) -> Option<Seen> {
        let before = self.ahead_ms.replace(ahead_ms)?;
        let by = ahead_ms.saturating_sub(before);
        if by.unsigned_abs() < STEP_MS_MIN {
            return None;
        }
        let detail = Detail::none().text("clock", "system").number("by-ms", by);
        Some(Seen { kind: "clock-step", detail })
    }

    #[cfg(test)]
    pub(super) fn fresh() -> Self {
        let floor = lazaret_protocol::time::Timestamp::from_ms(0);
        Self { clock: Clock::new(floor), ahead_ms: None }
    }
}
