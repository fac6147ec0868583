//! What may follow what, and what each state of an incident asks to be proved. A device without
//! proof does not stop it where a person accepts it by what it lacks; nobody accepts more than they
//! name.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use lazaret_protocol::operator::{AdvanceRequest, ClockState, IncidentState, Standing};
use lazaret_protocol::time::Timestamp;

use super::{Incident, conflict};
use crate::refused::Refused;

use IncidentState::{Closed, Contained, Declared, Eradicated, Recovering, Suspected};

/// Whether an incident may be led where the request wants it.
///
/// # Errors
/// It cannot follow, or something is neither proved nor accepted.
pub(super) fn check(
    incident: &Incident,
    request: &AdvanceRequest,
    standing: &Standing,
    now: Timestamp,
) -> Result<(), Refused> {
    let from = incident.state();
    match (from, request.to) {
        // A suspicion becomes one or is a false alarm; whatever was said later, it may be a
        // relapse.
        (Suspected, Declared | Closed)
        | (Contained | Eradicated | Recovering | Closed, Declared) => Ok(()),
        (Declared, Contained) => accepted(request, &uncontained(standing)),
        (Contained, Eradicated) => accepted(request, &[("unpatched", standing.unpatched)]),
        (Eradicated, Recovering) => Ok(()),
        (Recovering, Closed) => {
            written_up(incident, now)?;
            accepted(request, &still_inside(standing))
        }
        (from, to) => {
            let may: Vec<&str> = followers(from).iter().map(|state| state.as_str()).collect();
            Err(conflict(format!(
                "{} is {}: expected {} next, got {}",
                incident.id,
                from.as_str(),
                may.join(" or "),
                to.as_str()
            )))
        }
    }
}

/// What may follow a state.
fn followers(from: IncidentState) -> &'static [IncidentState] {
    match from {
        Suspected => &[Declared, Closed],
        Declared => &[Contained],
        Contained => &[Eradicated, Declared],
        Eradicated => &[Recovering, Declared],
        Recovering => &[Closed, Declared],
        _ => &[Declared],
    }
}

fn uncontained(standing: &Standing) -> [(&'static str, u64); 3] {
    let Standing { waiting, never_seen, free, .. } = standing;
    [("waiting", *waiting), ("never-seen", *never_seen), ("free", *free)]
}

/// Devices that are still in quarantine.
fn still_inside(standing: &Standing) -> [(&'static str, u64); 3] {
    let Standing { contained, waiting, never_seen, .. } = standing;
    [("contained", *contained), ("waiting", *waiting), ("never-seen", *never_seen)]
}

/// Every figure is nothing, or accepted by name with at least as many.
fn accepted(request: &AdvanceRequest, lacking: &[(&str, u64)]) -> Result<(), Refused> {
    let accepts = |code: &str| {
        let named = request.accept.iter().filter(|one| one.code == code);
        named.map(|one| one.count).max().unwrap_or(0)
    };
    let known: Vec<&str> = lacking.iter().map(|(code, _)| *code).collect();
    if let Some(stranger) = request.accept.iter().find(|one| !known.contains(&one.code.as_str())) {
        let expected = if known.is_empty() { "nothing".into() } else { known.join(", ") };
        return Err(conflict(format!("expected {expected} to accept, got {:?}", stranger.code)));
    }
    let open: Vec<String> = lacking
        .iter()
        .filter(|(code, count)| *count > accepts(code))
        .map(|(code, count)| format!("{code}={count}"))
        .collect();
    if open.is_empty() {
        return Ok(());
    }
    let (to, open) = (request.to.as_str(), open.join(" "));
    Err(conflict(format!("not {to}: {open}; wait for them, or accept them by name")))
}

/// Every clock of an authority has its filing, every step has ended.
fn written_up(incident: &Incident, now: Timestamp) -> Result<(), Refused> {
    let view = incident.view(now);
    let filed = |state: ClockState| matches!(state, ClockState::Met | ClockState::MetLate);
    let clocks = view.clocks.iter().filter(|clock| !filed(clock.state)).map(|one| &one.name);
    let steps = view.steps.iter().filter(|step| step.ended.is_none()).map(|one| &one.name);
    let open: Vec<&str> = clocks.chain(steps).map(String::as_str).collect();
    match open.is_empty() {
        true => Ok(()),
        false => Err(conflict(format!(
            "not closed: {} are open; file them, end or waive them",
            open.join(", ")
        ))),
    }
}
