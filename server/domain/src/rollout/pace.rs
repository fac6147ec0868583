//! Turns: how many more devices of a group may be offered the image at this moment. Caps are kept
//! by handing out turns, which only a reconciler does; a device's own poll takes the turn that it
//! was given and counts nobody, so that deciding a poll does not grow with the fleet.

use lazaret_protocol::time::{MINUTE_MS, Timestamp};

use super::state::{Assignment, AssignmentState, Group, Tokens};
use super::tally::GroupTally;

/// How long a turn stands, in milliseconds: some poll intervals of five minutes. A device that does
/// not come for it waits for another, so that caps hold whoever comes back.
pub const TURN_MS: u64 = 15 * MINUTE_MS;

/// How soon a device that waits for its turn is asked to poll again, in milliseconds.
pub const READY_POLL_MS: u64 = 10_000;

/// Turns that a group may hand out at `now`, and its tokens as they are before any is taken.
///
/// At most `concurrency` devices are at work, and at most `rate` turns are handed out in any
/// minute; both grow with the devices that are done.
#[must_use]
pub fn budget(group: &Group, counts: &GroupTally, now: Timestamp) -> (u64, Tokens) {
    let room = match group.rules.concurrency {
        None => u64::MAX,
        Some(cap) => cap.at(counts.done).saturating_sub(counts.at_work()),
    };
    let Some(rate) = group.rules.rate else { return (room, group.tokens) };
    let per_minute = rate.at(counts.done);
    let full = per_minute.saturating_mul(1000);
    let begun = if group.tokens.at == Timestamp::default() {
        group.opened.unwrap_or(now)
    } else {
        group.tokens.at
    };
    // Rounded down: what is less than a thousandth stays in `at` until it is one.
    let milli = now.since_ms(begun).saturating_mul(per_minute).checked_div(60).unwrap_or(0);
    let at = if milli == 0 { begun } else { now };
    // The first turn needs no minute of waiting, and a long pause is not made up for at once.
    let first = if group.tokens == Tokens::default() { 1000 } else { 0 };
    let milli = group.tokens.milli.saturating_add(milli).saturating_add(first).min(full.max(1000));
    (room.min(milli.checked_div(1000).unwrap_or(0)), Tokens { milli, at })
}

/// The tokens after `taken` turns were handed out.
#[must_use]
pub fn spent(tokens: Tokens, taken: u64) -> Tokens {
    Tokens { milli: tokens.milli.saturating_sub(taken.saturating_mul(1000)), ..tokens }
}

/// The part of a device whose turn it is.
#[must_use]
pub fn admitted(part: &Assignment, now: Timestamp) -> Assignment {
    Assignment { state: AssignmentState::Admitted { until: now.plus_ms(TURN_MS) }, ..part.clone() }
}

#[cfg(test)]
mod tests;
