//! What holds a device, in words, and what would open it.

use alloc::format;
use alloc::string::{String, ToString as _};

use super::{Awaited, FloorOf, Hold};

impl Hold {
    /// A stable word for it.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Nothing { .. } => "nothing",
            Self::NotInPlan => "not-in-plan",
            Self::NotApproved { .. } => "not-approved",
            Self::NotStarted { .. } => "not-started",
            Self::Cord { .. } => "cord",
            Self::Paused { .. } => "paused",
            Self::Halted { .. } => "halted",
            Self::Over { .. } => "over",
            Self::AlreadyRunning { .. } => "already-running",
            Self::Ended { .. } => "ended",
            Self::Offered { .. } => "offered",
            Self::GroupClosed { .. } => "group-closed",
            Self::Quarantined => "quarantined",
            Self::NumberChanged => "number-changed",
            Self::ScheduleNever { .. } => "schedule-never",
            Self::Schedule { .. } => "schedule",
            Self::Floor { .. } => "floor",
            Self::Evidence { .. } => "evidence",
            Self::Busy { .. } => "busy",
            Self::Window { .. } => "window",
            Self::WindowUnknown => "window-unknown",
            Self::Battery { .. } => "battery",
            Self::Probe { .. } => "probe",
            Self::Turn { .. } => "turn",
            Self::Offline { .. } => "offline",
        }
    }

    /// What holds it.
    #[must_use]
    pub fn in_words(&self) -> String {
        match self {
            Self::Nothing { version } => {
                format!("nothing holds it: its next poll offers {version}")
            }
            Self::NotInPlan => "it is in no rollout".to_string(),
            Self::NotApproved { rollout, have, need } => {
                format!("{rollout} has {have} of {need} approvals")
            }
            Self::NotStarted { rollout } => format!("{rollout} is approved and was not started"),
            Self::Cord { number, by, reason } => {
                format!("the whole fleet is halted (halt {number}) by {by}: {reason}")
            }
            Self::Paused { rollout } => format!("{rollout} is paused"),
            Self::Halted { rollout, reason } => format!("{rollout} is halted: {reason}"),
            Self::Over { rollout } => format!("{rollout} is over"),
            Self::AlreadyRunning { version } => format!("it runs {version} already"),
            Self::Ended { rollout, how, at } => {
                format!("its part in {rollout} ended at {at}: {how}")
            }
            Self::Offered { rollout, order, at, .. } => {
                format!("it was offered {rollout} with order {order} at {at} and has not reported")
            }
            Self::GroupClosed { rollout, group, name, open } => format!(
                "its group {} ({name}) of {rollout} is not open, {open} groups are",
                group.saturating_add(1)
            ),
            Self::Quarantined => "it is in quarantine".to_string(),
            Self::NumberChanged => {
                "a number of its modem or SIM changed, and nobody has accepted it".to_string()
            }
            Self::ScheduleNever { place } => {
                format!("the signed schedule never reaches its place {place}")
            }
            Self::Schedule { place, .. } => {
                format!("the signed schedule does not let place {place} in yet")
            }
            Self::Floor { version, counter, floor, of: FloorOf::Release } => format!(
                "{version} lets in only what runs a counter of {floor} or above, it runs \
                 {counter}, and the rollout has no step in between"
            ),
            Self::Floor { version, counter, floor, of: FloorOf::Device } => format!(
                "its floor {floor} does not let it go back to {version}, whose counter is {counter}"
            ),
            Self::Evidence { incident, bundle, state: Awaited::OnItsWay, .. } => {
                format!("{incident} wants its evidence first, and {bundle} is not here yet")
            }
            Self::Evidence { incident, bundle, state: Awaited::Failed, .. } => {
                format!("{incident} wants its evidence first, and it could not make {bundle}")
            }
            Self::Busy { order } => format!("it is busy with order {order}"),
            Self::Window { .. } => "no maintenance window is open where it stands".to_string(),
            Self::WindowUnknown => {
                "it has maintenance windows and has not reported its local time".to_string()
            }
            Self::Battery { percent, needs } => {
                format!("its battery has {percent} %, {needs} % are needed")
            }
            Self::Probe { name, reported: true } => format!("its probe {name} does not pass"),
            Self::Probe { name, reported: false } => format!("its probe {name} is not reported"),
            Self::Turn { since: Some(since) } => format!("it waits for its turn since {since}"),
            Self::Turn { since: None } => "it has to wait for its turn".to_string(),
            Self::Offline { since: Some(since), .. } => {
                format!("it was not heard of since {since}")
            }
            Self::Offline { since: None, .. } => "it never polled".to_string(),
        }
    }

    /// What would open it.
    #[must_use]
    pub fn opens(&self) -> String {
        match self {
            Self::Nothing { .. } => "its next poll".to_string(),
            Self::NotInPlan => "a rollout whose plan has it".to_string(),
            Self::NotApproved { rollout, have, need } => format!(
                "{} more approvals: lazaret rollout approve {rollout}",
                need.saturating_sub(*have)
            ),
            Self::NotStarted { rollout } => format!("lazaret rollout apply {rollout}"),
            Self::Cord { number, .. } => format!("lazaret resume --all {number} --reason ..."),
            Self::Paused { rollout } => format!("lazaret rollout resume {rollout} --reason ..."),
            Self::Halted { rollout, .. } => {
                format!("lazaret rollout resume {rollout}, naming the failures that are accepted")
            }
            Self::Over { .. } | Self::Ended { .. } => "another rollout".to_string(),
            Self::AlreadyRunning { .. } => "nothing is left to do".to_string(),
            Self::Offered { lapses, .. } => {
                format!("its report; without one the offer lapses at {lapses}")
            }
            Self::GroupClosed { .. } => "the group before it, when it passes".to_string(),
            Self::Quarantined => "its release from quarantine".to_string(),
            Self::NumberChanged => "`lazaret device accept-swap`".to_string(),
            Self::ScheduleNever { .. } => {
                "a schedule that release signers or the emergency role sign".to_string()
            }
            Self::Schedule { opens, .. } | Self::Window { opens } => format!("time: {opens}"),
            Self::Floor { floor, of: FloorOf::Release, .. } => format!(
                "a release in between, of counter {floor} or above: publish it and plan again"
            ),
            Self::Floor { floor, of: FloorOf::Device, .. } => {
                format!(
                    "a release whose counter is at least {floor}: its signers rule older ones out"
                )
            }
            Self::Evidence { until: Some(until), .. } => {
                format!("its evidence, or time: {until}")
            }
            Self::Evidence { since: None, .. } => "its evidence, or a poll and time".to_string(),
            Self::Evidence { .. } => "its evidence".to_string(),
            Self::Busy { order } => format!("its report on order {order}"),
            Self::WindowUnknown => "a poll that says its offset from UTC".to_string(),
            Self::Battery { needs, .. } => format!("a charge of {needs} %"),
            Self::Probe { name, .. } => format!("a poll that says that {name} passes"),
            Self::Turn { .. } => "a turn, as others finish or the rate allows".to_string(),
            Self::Offline { then, .. } => format!("a poll; then: {then}"),
        }
    }
}
