//! Incidents: what got in, or may have; who is in it, who leads, what has been done and proved, and
//! what authorities must be told by when. States change in [`advance`] alone.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::{ActId, BundleId, DeviceId, IncidentId, OperatorName, RolloutId};
use lazaret_protocol::operator::{
    AdvanceRequest, FilingRequest, IncidentState, MomentView, Obligation, ProofKind, Severity,
    Standing, StepRequest,
};
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::event::{Event, Fact};
use crate::record::{Decision, Found, Record};
use crate::refused::Refused;

pub mod clock;
mod guard;
pub mod playbook;
pub mod standing;
mod view;

use clock::{Clock, Warned};
use playbook::{Playbook, Step};

/// Longest title, in bytes.
pub const TITLE_BYTES_MAX: usize = 200;

/// Longest note, in bytes.
pub const NOTE_BYTES_MAX: usize = 4096;

/// Devices of one incident.
pub const DEVICES_MAX: usize = 1_000_000;

/// Rollouts linked to one incident.
pub const LINKS_MAX: usize = 100;

/// Changes of state of one incident: one that goes back and forth more often is several.
const MOMENTS_MAX: usize = 100;

/// Filings of one incident.
const FILINGS_MAX: usize = 100;

/// An incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Its name.
    pub id: IncidentId,
    /// What it is.
    pub title: String,
    /// How bad.
    pub severity: Severity,
    /// Who leads.
    pub commander: OperatorName,
    /// The filter that said who is in it.
    pub filter: Option<String>,
    /// Devices in it.
    pub devices: u64,
    /// SHA-256 over their names, each with a line feed, sorted.
    pub members: Sha256Digest,
    /// What has to be filed.
    pub obligation: Obligation,
    /// When it began, as far as is known.
    pub began: Option<Timestamp>,
    /// When one became aware of it.
    pub aware: Timestamp,
    /// When a corrective measure was available.
    pub corrective: Option<Timestamp>,
    /// Its states in the order in which they came; never empty.
    pub moments: Vec<MomentView>,
    /// The playbook's name.
    pub playbook: Option<String>,
    /// Its steps.
    pub steps: Vec<Step>,
    /// What was filed.
    pub filings: Vec<Filing>,
    /// Of what clocks and steps it was warned.
    pub warned: Vec<Warned>,
    /// Rollouts that cure it.
    pub rollouts: Vec<RolloutId>,
    /// Containments of its devices.
    #[serde(default)]
    pub quarantines: Vec<ActId>,
    /// Notes made.
    pub notes: u64,
    /// The event log's last number when it was opened: the timeline begins behind it.
    pub behind_event: u64,
}

/// Something was filed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filing {
    /// What it answers.
    pub clock: Clock,
    /// When.
    pub at: Timestamp,
    /// Who says so.
    pub by: OperatorName,
    /// The authority's reference.
    pub reference: String,
}

impl Record for Incident {
    const KIND: &'static str = "incident";
    fn name(&self) -> String {
        self.id.to_string()
    }
}

/// Some of the devices of an incident, frozen when it was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    /// Whose.
    pub incident: IncidentId,
    /// Which part.
    pub part: u64,
    /// The devices.
    pub devices: Vec<DeviceId>,
}

impl Record for Members {
    const KIND: &'static str = "incident-members";
    fn name(&self) -> String {
        format!("{}/{:08}", self.incident, self.part)
    }
}

/// The bundle that was ordered from a device for an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// For which.
    pub incident: IncidentId,
    /// From whom.
    pub device: DeviceId,
    /// The bundle.
    pub bundle: BundleId,
}

impl Record for Asked {
    const KIND: &'static str = "incident-asked";
    fn name(&self) -> String {
        format!("{}/{}", self.incident, self.device)
    }
}

/// The digest of who is in an incident: sorted names, each with a line feed.
#[must_use]
pub fn members_digest(sorted: &[DeviceId]) -> Sha256Digest {
    let mut hash = Sha256::new();
    for device in sorted {
        hash.update(device.as_str().as_bytes());
        hash.update(b"\n");
    }
    Sha256Digest::from_bytes(hash.finalize().into())
}

/// A new incident, before anything of it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// Its name.
    pub id: IncidentId,
    /// As the request says it.
    pub title: String,
    /// As the request says it.
    pub severity: Severity,
    /// Declared at once.
    pub declared: bool,
    /// Who leads.
    pub commander: OperatorName,
    /// The filter, as text.
    pub filter: Option<String>,
    /// Who is in it, sorted.
    pub devices: Vec<DeviceId>,
    /// What has to be filed.
    pub obligation: Obligation,
    /// When it began.
    pub began: Option<Timestamp>,
    /// When one became aware of it.
    pub aware: Timestamp,
    /// The playbook.
    pub playbook: Option<Playbook>,
    /// Why.
    pub reason: String,
    /// The event log's last number.
    pub behind_event: u64,
}

/// Opens an incident.
///
/// # Errors
/// No title or a long one, moments that lie ahead or in the wrong order, or too many devices.
pub fn open(
    opening: Opening,
    (by, now): (&OperatorName, Timestamp),
) -> Result<Decision<Incident>, Refused> {
    let Opening { title, began, aware, .. } = &opening;
    check_text("title", title, TITLE_BYTES_MAX)?;
    if *aware > now || began.is_some_and(|began| began > *aware) {
        let detail = format!("expected began <= aware <= now ({now}), got aware {aware}");
        return Err(Refused::because(RefusalCode::BadRequest, detail));
    }
    if opening.devices.len() > DEVICES_MAX {
        let got = opening.devices.len();
        let detail = format!("expected at most {DEVICES_MAX} devices in one incident, got {got}");
        return Err(Refused::because(RefusalCode::BadRequest, detail));
    }
    let state = if opening.declared { IncidentState::Declared } else { IncidentState::Suspected };
    let first = MomentView { state, at: now, by: by.clone(), reason: opening.reason.clone() };
    let members = members_digest(&opening.devices);
    let (playbook, steps) = opening.playbook.map(Playbook::into_parts).unzip();
    let incident = Incident {
        id: opening.id,
        title: opening.title,
        severity: opening.severity,
        commander: opening.commander,
        filter: opening.filter,
        devices: u64::try_from(opening.devices.len()).unwrap_or(u64::MAX),
        members,
        obligation: opening.obligation,
        began: opening.began,
        aware: opening.aware,
        corrective: None,
        moments: alloc::vec![first],
        playbook,
        steps: steps.unwrap_or_default(),
        filings: Vec::new(),
        warned: Vec::new(),
        rollouts: Vec::new(),
        quarantines: Vec::new(),
        notes: 0,
        behind_event: opening.behind_event,
    };
    let fact = Fact::IncidentOpened {
        incident: incident.id.clone(),
        title: incident.title.clone(),
        severity: incident.severity,
        state,
        devices: incident.devices,
        by: by.clone(),
        reason: opening.reason,
    };
    Ok(Decision::reply(incident.clone()).put(&incident).event(Event { at: now, fact }))
}

/// Leads an incident on. What may follow what, and what each state asks to be proved, stands in
/// one place: the guard.
///
/// # Errors
/// No such incident, a state that cannot follow, or devices without proof that nobody accepted.
pub fn advance(
    found: &Found<Incident>,
    request: &AdvanceRequest,
    standing: &Standing,
    (by, now): (&OperatorName, Timestamp),
) -> Result<Decision<Incident>, Refused> {
    let mut next = existing(found)?;
    let from = next.state();
    if from == request.to {
        return Ok(Decision::reply(next));
    }
    if next.moments.len() >= MOMENTS_MAX {
        return Err(conflict(format!(
            "{} changed its state {MOMENTS_MAX} times, the most",
            next.id
        )));
    }
    guard::check(&next, request, standing, now)?;
    let (to, reason) = (request.to, request.reason.clone());
    next.moments.push(MomentView { state: to, at: now, by: by.clone(), reason: reason.clone() });
    let fact = Fact::IncidentAdvanced {
        incident: next.id.clone(),
        from,
        to,
        by: by.clone(),
        reason,
        accepted: request.accept.clone(),
    };
    Ok(changed(found, next, Event { at: now, fact }))
}

/// Adds a note. Its text lies in the event log, where nothing is changed.
///
/// # Errors
/// No such incident, it is closed, or no text or a long one.
pub fn note(
    found: &Found<Incident>,
    text: &str,
    (by, now): (&OperatorName, Timestamp),
) -> Result<Decision<Incident>, Refused> {
    let mut next = open_one(found)?;
    check_text("text", text, NOTE_BYTES_MAX)?;
    next.notes = next.notes.saturating_add(1);
    let fact = Fact::IncidentNoted { incident: next.id.clone(), by: by.clone(), text: text.into() };
    Ok(changed(found, next, Event { at: now, fact }))
}

/// Links a rollout as the corrective measure; `begun` is when it began, if it has. Linking it again
/// takes that moment in and is no error.
///
/// # Errors
/// No such incident, it is closed, or too many.
pub fn link(
    found: &Found<Incident>,
    (rollout, begun): (&RolloutId, Option<Timestamp>),
    reason: &str,
    (by, now): (&OperatorName, Timestamp),
) -> Result<Decision<Incident>, Refused> {
    let mut next = open_one(found)?;
    let known = next.rollouts.contains(rollout);
    if !known && next.rollouts.len() >= LINKS_MAX {
        return Err(conflict(format!("{} has {LINKS_MAX} linked rollouts, the most", next.id)));
    }
    let corrective = [next.corrective, begun].into_iter().flatten().min();
    if known && corrective == next.corrective {
        return Ok(Decision::reply(next));
    }
    next.corrective = corrective;
    if !known {
        next.rollouts.push(rollout.clone());
    }
    let fact = Fact::IncidentLinked {
        incident: next.id.clone(),
        rollout: rollout.clone(),
        by: by.clone(),
        reason: reason.into(),
    };
    Ok(changed(found, next, Event { at: now, fact }))
}

/// Notes a containment of its devices. Past the most it is still in the timeline.
///
/// # Errors
/// No such incident, or it is closed.
pub fn contain(found: &Found<Incident>, act: &ActId) -> Result<Decision<Incident>, Refused> {
    let mut next = open_one(found)?;
    if next.quarantines.contains(act) || next.quarantines.len() >= LINKS_MAX {
        return Ok(Decision::reply(next));
    }
    next.quarantines.push(act.clone());
    Ok(Decision::reply(next.clone()).replace(found, &next))
}

/// Ends a step of the playbook: done, with what shows it, or waived.
///
/// # Errors
/// No such incident or step, it is closed, the step has ended, or what it asks for is not so.
pub fn end_step(
    found: &Found<Incident>,
    (name, request): (&str, &StepRequest),
    standing: &Standing,
    (by, now): (&OperatorName, Timestamp),
) -> Result<Decision<Incident>, Refused> {
    let mut next = open_one(found)?;
    check_text("text", &request.text, NOTE_BYTES_MAX)?;
    let known: Vec<String> = next.steps.iter().map(|step| step.name.clone()).collect();
    let step = next.steps.iter_mut().find(|step| step.name == name).ok_or_else(|| {
        let detail = format!("expected one of the steps {}, got {name:?}", known.join(", "));
        Refused::because(RefusalCode::NotFound, detail)
    })?;
    if let Some(ended) = &step.ended {
        return Err(conflict(format!("step {name} has ended {} by {}", ended.at, ended.by)));
    }
    if !request.waive {
        proved(step.proof, standing)
            .map_err(|lacking| conflict(format!("step {name} is not done: {lacking}")))?;
    }
    let (by, text) = (by.clone(), request.text.clone());
    step.ended = Some(playbook::Ended {
        at: now,
        by: by.clone(),
        waived: request.waive,
        text: text.clone(),
    });
    let (incident, step) = (next.id.clone(), name.into());
    let fact = Fact::IncidentStepEnded { incident, step, waived: request.waive, by, text };
    Ok(changed(found, next, Event { at: now, fact }))
}

/// Notes what was filed with an authority.
///
/// # Errors
/// No such incident, no such clock, a moment that lies ahead or before one was aware, or no
/// reference.
pub fn file(
    found: &Found<Incident>,
    request: &FilingRequest,
    (by, now): (&OperatorName, Timestamp),
) -> Result<Decision<Incident>, Refused> {
    let mut next = existing(found)?;
    let clock = Clock::parse(&request.clock).ok_or_else(|| {
        let known: Vec<&str> = Clock::ALL.into_iter().map(Clock::as_str).collect();
        let detail = format!("expected one of {}, got {:?}", known.join(", "), request.clock);
        Refused::because(RefusalCode::BadRequest, detail)
    })?;
    check_text("reference", &request.reference, NOTE_BYTES_MAX)?;
    let at = request.at.unwrap_or(now);
    if at > now || at < next.aware {
        let detail = format!("expected a moment from {} to now ({now}), got {at}", next.aware);
        return Err(Refused::because(RefusalCode::BadRequest, detail));
    }
    if next.filings.len() >= FILINGS_MAX {
        return Err(conflict(format!("{} has {FILINGS_MAX} filings, the most", next.id)));
    }
    let (by, reference) = (by.clone(), request.reference.clone());
    let (incident, name) = (next.id.clone(), clock.as_str().into());
    next.filings.push(Filing { clock, at, by: by.clone(), reference: reference.clone() });
    let fact = Fact::IncidentFiled { incident, clock: name, by, reference };
    Ok(changed(found, next, Event { at: now, fact }))
}

impl Incident {
    /// How it stands.
    #[must_use]
    pub fn state(&self) -> IncidentState {
        self.moments.last().map_or(IncidentState::Suspected, |moment| moment.state)
    }

    /// When it was declared for the first time.
    #[must_use]
    pub fn declared(&self) -> Option<Timestamp> {
        let declared = |moment: &&MomentView| moment.state == IncidentState::Declared;
        self.moments.iter().find(declared).map(|moment| moment.at)
    }
}

/// Whether the devices stand as a proof asks; what lacks, otherwise.
fn proved(proof: ProofKind, standing: &Standing) -> Result<(), String> {
    let Standing { devices, contained, collected, patched, .. } = standing;
    let (have, what) = match proof {
        ProofKind::Word => return Ok(()),
        ProofKind::Contained => (contained, "proved their quarantine"),
        ProofKind::Collected => (collected, "have their evidence here"),
        ProofKind::Patched => (patched, "run what a linked rollout brought"),
    };
    if have == devices { Ok(()) } else { Err(format!("{have} of {devices} devices {what}")) }
}

fn existing(found: &Found<Incident>) -> Result<Incident, Refused> {
    let unknown = || Refused::because(RefusalCode::NotFound, "no such incident");
    found.value.clone().ok_or_else(unknown)
}

fn open_one(found: &Found<Incident>) -> Result<Incident, Refused> {
    let incident = existing(found)?;
    match incident.state() {
        IncidentState::Closed => Err(conflict(format!("{} is closed", incident.id))),
        _ => Ok(incident),
    }
}

fn changed(found: &Found<Incident>, next: Incident, event: Event) -> Decision<Incident> {
    Decision::reply(next.clone()).replace(found, &next).event(event)
}

fn conflict(detail: String) -> Refused {
    Refused::because(RefusalCode::Conflict, detail)
}

fn check_text(what: &str, text: &str, most: usize) -> Result<(), Refused> {
    let written = text.chars().all(|one| !one.is_control() || one == '\n');
    if !text.trim().is_empty() && text.len() <= most && written {
        return Ok(());
    }
    let detail = format!(
        "expected in {what} 1 to {most} bytes of text without control characters, got {} bytes",
        text.len()
    );
    Err(Refused::because(RefusalCode::BadRequest, detail))
}

#[cfg(test)]
mod tests;
