//! The clocks of Regulation (EU) 2024/2847 (Cyber Resilience Act), Article 14: early warning within
//! 24 hours of awareness and notification within 72 hours; the final report within 14 days after a
//! corrective measure is available for an actively exploited vulnerability (paragraph 2), or within
//! one month after the notification for a severe incident (paragraph 4).

use alloc::string::String;
use alloc::vec::Vec;

use lazaret_protocol::operator::{ClockState, ClockView, Obligation};
use lazaret_protocol::time::{DAY_MS, HOUR_MS, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Filing, Incident};
use crate::event::{Event, Fact};
use crate::record::{Decision, Found};

/// One month, taken as the shortest that there is, so that nobody is late by the calendar.
const MONTH_MS: u64 = 28 * DAY_MS;

/// A clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clock {
    /// 24 hours after awareness.
    EarlyWarning,
    /// 72 hours after awareness.
    Notification,
    /// 14 days after a corrective measure, or a month after the notification.
    FinalReport,
}

/// What somebody was warned of, so that it is said once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warned {
    /// A clock or a step.
    pub what: String,
    /// How it stood.
    pub state: ClockState,
}

impl Clock {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::EarlyWarning, Self::Notification, Self::FinalReport];

    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EarlyWarning => "early-warning",
            Self::Notification => "notification",
            Self::FinalReport => "final-report",
        }
    }

    /// Reads a clock; none where there is no such.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|clock| clock.as_str() == text)
    }

    /// From when it counts and how long it has, in milliseconds; none where it has not begun.
    fn span(self, incident: &Incident) -> Option<(Timestamp, u64)> {
        match (self, incident.obligation) {
            (_, Obligation::None) => None,
            (Self::EarlyWarning, _) => Some((incident.aware, 24 * HOUR_MS)),
            (Self::Notification, _) => Some((incident.aware, 72 * HOUR_MS)),
            (Self::FinalReport, Obligation::ExploitedVulnerability) => {
                incident.corrective.map(|at| (at, 14 * DAY_MS))
            }
            (Self::FinalReport, Obligation::SevereIncident) => {
                filed(incident, Self::Notification).map(|filing| (filing.at, MONTH_MS))
            }
        }
    }

    /// How it stands at `now`; none where nothing has to be filed.
    #[must_use]
    pub fn view(self, incident: &Incident, now: Timestamp) -> Option<ClockView> {
        if incident.obligation == Obligation::None {
            return None;
        }
        let span = self.span(incident);
        let due = span.map(|(from, ms)| from.plus_ms(ms));
        let filing = filed(incident, self);
        let state = match (filing, span, due) {
            (Some(filing), _, Some(due)) if filing.at > due => ClockState::MetLate,
            (Some(_), ..) => ClockState::Met,
            (None, Some((_, ms)), Some(due)) => running(due, ms, now),
            _ => ClockState::NotBegun,
        };
        Some(ClockView {
            name: self.as_str().into(),
            state,
            due,
            filed: filing.map(|filing| filing.at),
            reference: filing.map(|filing| filing.reference.clone()),
        })
    }
}

fn running(due: Timestamp, whole_ms: u64, now: Timestamp) -> ClockState {
    match due.since_ms(now) {
        0 => ClockState::Late,
        left if left < whole_ms / 4 => ClockState::Soon,
        _ => ClockState::Running,
    }
}

/// The first filing is the one that counts.
fn filed(incident: &Incident, clock: Clock) -> Option<&Filing> {
    incident.filings.iter().filter(|filing| filing.clock == clock).min_by_key(|filing| filing.at)
}

/// Warns of clocks that have little time left or ran out, and of steps that are late: of each once.
pub fn warn(found: &Found<Incident>, now: Timestamp) -> Decision<()> {
    let Some(incident) = &found.value else { return Decision::reply(()) };
    let view = incident.view(now);
    let clocks = view.clocks.into_iter().map(|clock| (clock.name, clock.state, clock.due));
    let steps = view.steps.into_iter().filter(|step| step.late);
    let steps = steps.map(|step| (step.name, ClockState::Late, step.due));
    let said = |what: &str, state| {
        incident.warned.iter().any(|warned| warned.what == what && warned.state == state)
    };
    let due: Vec<_> = clocks
        .chain(steps)
        .filter(|(what, state, _)| {
            matches!(state, ClockState::Soon | ClockState::Late) && !said(what, *state)
        })
        .collect();
    if due.is_empty() {
        return Decision::reply(());
    }
    let mut next = incident.clone();
    let mut events = Vec::new();
    for (what, state, due) in due {
        let Some(due) = due else { continue };
        next.warned.push(Warned { what: what.clone(), state });
        let fact = Fact::IncidentDue { incident: incident.id.clone(), what, due, state };
        events.push(Event { at: now, fact });
    }
    let decision = Decision::reply(()).replace(found, &next);
    events.into_iter().fold(decision, Decision::event)
}
