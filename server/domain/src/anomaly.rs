//! Anomalies: what the server has seen of a device that a good device does not show. Each rule
//! looks at one event and says what it makes of it; what rules say of one device is its suspicion,
//! with a score and its reasons. A suspicion tells people and may have evidence collected; it
//! contains nobody.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use lazaret_protocol::id::{DeviceId, OperatorName};
use lazaret_protocol::operator::{AnomalyReasonView, AnomalyView};
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::time::{DAY_MS, Timestamp};
use serde::{Deserialize, Serialize};

use crate::event::{Event, Fact};
use crate::record::{Decision, Found, Record};
use crate::refused::Refused;

mod rules;

pub use rules::{RULES, Rule};

/// Reasons of one suspicion: at most one of each rule.
const REASONS_MAX: usize = 32;

/// Longest word of a rule that is kept, in characters.
const WORD_CHARS_MAX: usize = 256;

/// A suspicion is told again when its score has doubled since it was told last, and not within so
/// long, in milliseconds.
const COOL_DOWN_MS: u64 = DAY_MS;

/// What rules say of one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspicion {
    /// Which.
    pub device: DeviceId,
    /// Why, by rule.
    pub reasons: Vec<Reason>,
    /// When it was told last; none where the budget has kept it back.
    pub told: Option<Timestamp>,
    /// Its score then.
    pub told_score: u32,
    /// Somebody looked and found nothing, or dealt with it.
    pub dismissed: Option<Dismissed>,
}

/// What one rule says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The rule.
    pub rule: String,
    /// How often.
    pub count: u64,
    /// When first.
    pub first: Timestamp,
    /// When last.
    pub last: Timestamp,
    /// The number of the last event.
    pub event: u64,
    /// What it said last.
    pub word: String,
}

/// Somebody's word on a suspicion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dismissed {
    /// Whose.
    pub by: OperatorName,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

impl Record for Suspicion {
    const KIND: &'static str = "suspicion";
    fn name(&self) -> String {
        self.device.to_string()
    }
}

/// How far the event log was looked at, and how many suspicions were told today.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Watch {
    /// Every event up to this number was looked at.
    pub cursor: u64,
    /// The day of `told`, in days since 1970.
    pub day: u64,
    /// Suspicions told on it.
    pub told: u64,
    /// Suspicions that were kept back on it.
    pub kept_back: u64,
}

impl Record for Watch {
    const KIND: &'static str = "anomaly-watch";
    fn name(&self) -> String {
        Self::NAME.to_string()
    }
}

impl Watch {
    /// There is one.
    pub const NAME: &'static str = "all";

    /// Takes one of the day's places for telling; none is left where it says no.
    fn may_tell(&mut self, now: Timestamp, per_day: u64) -> bool {
        let day = now.as_ms() / DAY_MS;
        if day != self.day {
            (self.day, self.told, self.kept_back) = (day, 0, 0);
        }
        let may = self.told < per_day;
        let figure = if may { &mut self.told } else { &mut self.kept_back };
        *figure = figure.saturating_add(1);
        may
    }
}

impl Suspicion {
    /// Nothing is said of it yet.
    #[must_use]
    pub const fn none(device: DeviceId) -> Self {
        Self { device, reasons: Vec::new(), told: None, told_score: 0, dismissed: None }
    }

    /// The scores of its reasons together: each rule once, however often it spoke.
    #[must_use]
    pub fn score(&self) -> u32 {
        let score = |reason: &Reason| {
            RULES.iter().find(|rule| rule.name == reason.rule).map_or(0, |rule| rule.score)
        };
        self.reasons.iter().map(score).fold(0, u32::saturating_add)
    }

    fn hear(&mut self, rule: &Rule, word: &str, (number, at): (u64, Timestamp)) {
        let word: String = word.chars().take(WORD_CHARS_MAX).collect();
        let has_room = self.reasons.len() < REASONS_MAX;
        match self.reasons.iter_mut().find(|reason| reason.rule == rule.name) {
            // An event that was looked at before, and the cursor was lost.
            Some(reason) if reason.event >= number => {}
            Some(reason) => {
                reason.count = reason.count.saturating_add(1);
                (reason.last, reason.event, reason.word) = (at, number, word);
            }
            None if has_room => self.reasons.push(Reason {
                rule: rule.name.into(),
                count: 1,
                first: at,
                last: at,
                event: number,
                word,
            }),
            None => {}
        }
    }

    /// Whether people are to be told: of what is new, and of what got twice as bad, once a day.
    fn is_news(&self, now: Timestamp) -> bool {
        match self.told {
            None => true,
            Some(told) => {
                now.since_ms(told) >= COOL_DOWN_MS
                    && self.score() >= self.told_score.saturating_mul(2)
            }
        }
    }

    /// As operators see it.
    #[must_use]
    pub fn view(&self) -> AnomalyView {
        let reason = |reason: &Reason| {
            let rule = RULES.iter().find(|rule| rule.name == reason.rule);
            AnomalyReasonView {
                rule: reason.rule.clone(),
                score: rule.map_or(0, |rule| rule.score),
                technique: rule.and_then(|rule| rule.technique).map(Into::into),
                count: reason.count,
                first: reason.first,
                last: reason.last,
                word: reason.word.clone(),
            }
        };
        AnomalyView {
            device: self.device.clone(),
            score: self.score(),
            reasons: self.reasons.iter().map(reason).collect(),
            told: self.told,
            dismissed: self
                .dismissed
                .as_ref()
                .map(|it| format!("{} by {}: {}", it.at, it.by, it.reason)),
        }
    }
}

/// Looks at one event: what it makes of the suspicion of the device that it concerns, and whether
/// people are told. The cursor moves on with it, in the same commit.
#[must_use]
pub fn concerned(event: &Event) -> Option<(&'static Rule, DeviceId, String)> {
    RULES.iter().find_map(|rule| {
        let (device, word) = (rule.says)(&event.fact)?;
        Some((rule, device.clone(), word))
    })
}

/// Takes in what a rule says of the event with this number. Whoever was dismissed is suspected anew
/// by what comes after.
pub fn take(
    (found, watch): (&Found<Suspicion>, &Found<Watch>),
    (rule, device, word): (&Rule, &DeviceId, &str),
    (number, event): (u64, &Event),
    per_day: u64,
) -> Decision<Option<DeviceId>> {
    let mut next = match &found.value {
        Some(known) if known.dismissed.is_none() => known.clone(),
        _ => Suspicion::none(device.clone()),
    };
    let mut moved = watch.value.clone().unwrap_or_default();
    moved.cursor = moved.cursor.max(number);
    let stale = found
        .value
        .as_ref()
        .is_some_and(|known| known.dismissed.as_ref().is_some_and(|it| it.at > event.at));
    if stale {
        return Decision::reply(None).replace(watch, &moved);
    }
    next.hear(rule, word, (number, event.at));
    let tells = next.is_news(event.at) && moved.may_tell(event.at, per_day);
    if tells {
        (next.told, next.told_score) = (Some(event.at), next.score());
    }
    let decision = Decision::reply(tells.then(|| device.clone()));
    let decision = decision.replace(found, &next).replace(watch, &moved);
    if !tells {
        return decision;
    }
    let fact = Fact::AnomalySuspected {
        device: device.clone(),
        rule: rule.name.into(),
        score: next.score(),
        why: word.chars().take(WORD_CHARS_MAX).collect(),
    };
    decision.event(Event { at: event.at, fact })
}

/// Somebody looked at a suspicion. What comes later is one anew.
///
/// # Errors
/// There is none.
pub fn dismiss(
    found: &Found<Suspicion>,
    reason: &str,
    (by, now): (&OperatorName, Timestamp),
) -> Result<Decision<AnomalyView>, Refused> {
    let none = || Refused::because(RefusalCode::NotFound, "nothing is suspected of that device");
    let mut next = found.value.clone().ok_or_else(none)?;
    if next.dismissed.is_some() {
        return Ok(Decision::reply(next.view()));
    }
    next.dismissed = Some(Dismissed { by: by.clone(), at: now, reason: reason.into() });
    let fact = Fact::AnomalyDismissed {
        device: next.device.clone(),
        by: by.clone(),
        reason: reason.into(),
    };
    let decision = Decision::reply(next.view()).replace(found, &next);
    Ok(decision.event(Event { at: now, fact }))
}

#[cfg(test)]
mod tests;
