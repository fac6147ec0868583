//! Webhooks: whom to tell of events, how far that has come, and what follows from a delivery that
//! failed. Whether an address may be called is the shell's to say.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use lazaret_protocol::id::OperatorName;
use lazaret_protocol::operator::{GivenUp, NoticeFormat, WebhookView};
use lazaret_protocol::time::{HOUR_MS, Timestamp};
use serde::{Deserialize, Serialize};

use crate::event::{Event, Fact};
use crate::record::{Decision, Found, Record};

pub mod format;

/// First wait after a failure, in milliseconds; it doubles with each.
const WAIT_MS_MIN: u64 = 1000;

/// Longest wait, in milliseconds.
const WAIT_MS_MAX: u64 = HOUR_MS;

/// Tries of one delivery: with the waits between them about a day and a half, as long as a receiver
/// may be down over a night and a morning.
pub const TRIES_MAX: u64 = 45;

/// Deliveries given up that are remembered; all are in the event log.
const GIVEN_UP_MAX: usize = 20;

/// How long a server has the right to deliver, in milliseconds: longer than a delivery may take.
pub const LEASE_MS: u64 = 60_000;

/// A webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Its name.
    pub id: String,
    /// Where to.
    pub url: String,
    /// What events are written as.
    #[serde(default, skip_serializing_if = "NoticeFormat::is_usual")]
    pub format: NoticeFormat,
    /// Which kinds; all where it is empty.
    pub kinds: Vec<String>,
    /// The key of its signatures.
    pub secret: Vec<u8>,
    /// Who made it.
    pub by: OperatorName,
    /// Whether it is stopped.
    pub stopped: bool,
    /// Every event up to this number is settled.
    pub cursor: u64,
    /// How often the delivery that is due has failed.
    pub failures: u64,
    /// Why it failed last.
    pub last_error: Option<String>,
    /// Not before this.
    pub next_try: Timestamp,
    /// Until then one server delivers and no other.
    pub leased_until: Timestamp,
    /// What was given up.
    pub given_up: Vec<GivenUp>,
}

impl Record for Webhook {
    const KIND: &'static str = "webhook";
    fn name(&self) -> String {
        self.id.clone()
    }
}

/// How a delivery went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivered {
    /// The receiver took it.
    Taken,
    /// It did not.
    Failed {
        /// Why.
        why: String,
    },
}

impl Webhook {
    /// As operators see it: without its secret.
    #[must_use]
    pub fn view(&self) -> WebhookView {
        WebhookView {
            id: self.id.clone(),
            url: self.url.clone(),
            format: self.format,
            kinds: self.kinds.clone(),
            by: self.by.clone(),
            stopped: self.stopped,
            delivered_up_to: self.cursor,
            failures: self.failures,
            last_error: self.last_error.clone(),
            next_try: (self.failures > 0).then_some(self.next_try),
            given_up: self.given_up.clone(),
        }
    }

    /// Whether it is told of this fact.
    #[must_use]
    pub fn wants(&self, kind: &str) -> bool {
        self.kinds.is_empty() || self.kinds.iter().any(|wanted| wanted == kind)
    }

    /// Whether somebody may deliver at `now`.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        !self.stopped && self.next_try <= now && self.leased_until <= now
    }
}

/// Takes the right to deliver. Of two servers that try at once, the store lets one.
pub fn lease(found: &Found<Webhook>, now: Timestamp) -> Decision<Option<Webhook>> {
    let Some(webhook) = found.value.as_ref().filter(|webhook| webhook.is_due(now)) else {
        return Decision::reply(None);
    };
    let leased = Webhook { leased_until: now.plus_ms(LEASE_MS), ..webhook.clone() };
    Decision::reply(Some(leased.clone())).replace(found, &leased)
}

/// Settles a delivery of the events `first` to `last`. A delivery that went wrong is tried again,
/// later each time, and in the end given up and said, so that one dead receiver does not keep all
/// that follows.
pub fn settle(
    found: &Found<Webhook>,
    (first, last): (u64, u64),
    delivered: &Delivered,
    now: Timestamp,
) -> Decision<()> {
    let Some(mut webhook) = found.value.clone() else { return Decision::reply(()) };
    webhook.leased_until = Timestamp::from_ms(0);
    let mut fact = None;
    match delivered {
        Delivered::Taken => webhook.move_on(last, now),
        Delivered::Failed { why } => {
            webhook.failures = webhook.failures.saturating_add(1);
            webhook.last_error = Some(why.clone());
            webhook.next_try = now.plus_ms(wait_ms(webhook.failures));
            if webhook.failures >= TRIES_MAX {
                webhook.given_up.push(GivenUp { first, last, why: why.clone(), at: now });
                let extra = webhook.given_up.len().saturating_sub(GIVEN_UP_MAX);
                webhook.given_up.drain(..extra);
                webhook.move_on(last, now);
                let (webhook, why) = (webhook.id.to_string(), why.clone());
                fact = Some(Fact::WebhookGaveUp { webhook, first, last, why });
            }
        }
    }
    let decision = Decision::reply(()).replace(found, &webhook);
    match fact {
        Some(fact) => decision.event(Event { at: now, fact }),
        None => decision,
    }
}

impl Webhook {
    fn move_on(&mut self, last: u64, now: Timestamp) {
        self.cursor = self.cursor.max(last);
        self.failures = 0;
        self.last_error = None;
        self.next_try = now;
    }
}

/// Milliseconds to wait after so many failures.
fn wait_ms(failures: u64) -> u64 {
    let doublings = u32::try_from(failures.saturating_sub(1).min(16)).unwrap_or(16);
    WAIT_MS_MIN.saturating_mul(1 << doublings).min(WAIT_MS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook() -> Found<Webhook> {
        let webhook = Webhook {
            id: "w-1".into(),
            url: "https://example.org/".into(),
            format: NoticeFormat::Json,
            kinds: Vec::new(),
            secret: Vec::new(),
            by: "ana".parse().unwrap(),
            stopped: false,
            cursor: 3,
            failures: 0,
            last_error: None,
            next_try: Timestamp::from_ms(0),
            leased_until: Timestamp::from_ms(0),
            given_up: Vec::new(),
        };
        Found { key: "webhook/w-1".into(), version: Some(1), value: Some(webhook) }
    }

    fn settled(found: &Found<Webhook>, delivered: &Delivered, now: Timestamp) -> Found<Webhook> {
        let parts = settle(found, (4, 6), delivered, now).into_parts().unwrap();
        let value = crate::record::decode(&found.key, &parts.put[0].1).unwrap();
        Found { value: Some(value), ..found.clone() }
    }

    #[test]
    fn of_two_servers_one_may_deliver() {
        let now = Timestamp::from_ms(10_000);
        let found = webhook();
        let leased = lease(&found, now);
        let leased = leased.preview().clone().unwrap();
        let again = Found { value: Some(leased), ..found };
        assert_eq!(*lease(&again, now).preview(), None);
        assert!(lease(&again, now.plus_ms(LEASE_MS)).preview().is_some(), "it outlives a crash");
    }

    #[test]
    fn a_delivery_that_fails_waits_longer_each_time_and_is_given_up_in_the_end() {
        let failed = Delivered::Failed { why: "refused".into() };
        let mut found = webhook();
        let mut now = Timestamp::from_ms(1);
        let mut waits = Vec::new();
        for _ in 1..TRIES_MAX {
            found = settled(&found, &failed, now);
            let webhook = found.value.as_ref().unwrap();
            assert_eq!(webhook.cursor, 3, "nothing is skipped before it is given up");
            waits.push(webhook.next_try.since_ms(now));
            now = webhook.next_try;
        }
        assert_eq!(waits[..4], [1000, 2000, 4000, 8000]);
        assert!(waits.is_sorted() && waits.last() == Some(&WAIT_MS_MAX));
        let parts = settle(&found, (4, 6), &failed, now).into_parts().unwrap();
        assert!(matches!(parts.events[0].fact, Fact::WebhookGaveUp { first: 4, last: 6, .. }));
        found = settled(&found, &failed, now);
        let webhook = found.value.as_ref().unwrap();
        assert_eq!((webhook.cursor, webhook.failures, webhook.given_up.len()), (6, 0, 1));
    }

    #[test]
    fn a_delivery_that_is_taken_is_never_made_again() {
        let found = settled(&webhook(), &Delivered::Taken, Timestamp::from_ms(5));
        assert_eq!(found.value.unwrap().cursor, 6);
    }
}
