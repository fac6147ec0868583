//! Incidents: what each state asks for, the clocks, the steps, and that counts add up.

use alloc::vec;

use lazaret_protocol::operator::{ClockState, ReasonCount};
use lazaret_protocol::time::{DAY_MS, HOUR_MS};
use proptest::prelude::*;

use super::*;

fn at(ms: u64) -> Timestamp {
    Timestamp::from_ms(1_800_000_000_000 + ms)
}

fn alice() -> OperatorName {
    "alice".parse().unwrap()
}

fn opening(devices: usize) -> Opening {
    Opening {
        id: "i-1".parse().unwrap(),
        title: "calls strangers".into(),
        severity: Severity::High,
        declared: true,
        commander: alice(),
        filter: None,
        devices: (0..devices).map(|n| format!("d-{n:03}").parse().unwrap()).collect(),
        obligation: Obligation::ExploitedVulnerability,
        began: None,
        aware: at(0),
        playbook: None,
        reason: "seen by the firewall".into(),
        behind_event: 7,
    }
}

fn found(incident: &Incident) -> Found<Incident> {
    Found { key: "incident/i-1".into(), version: Some(1), value: Some(incident.clone()) }
}

fn opened() -> Incident {
    open(opening(3), (&alice(), at(0))).unwrap().into_parts().unwrap().reply
}

fn whole() -> Standing {
    Standing { devices: 3, contained: 3, collected: 3, patched: 3, ..Standing::default() }
}

fn to(state: IncidentState, accept: &[(&str, u64)]) -> AdvanceRequest {
    let accept =
        accept.iter().map(|(code, count)| ReasonCount { code: (*code).into(), count: *count });
    AdvanceRequest { to: state, reason: "so".into(), accept: accept.collect() }
}

fn led(
    incident: &Incident,
    request: &AdvanceRequest,
    standing: &Standing,
) -> Result<Incident, Refused> {
    advance(&found(incident), request, standing, (&alice(), at(HOUR_MS)))
        .map(|decision| decision.into_parts().unwrap().reply)
}

#[test]
fn contained_is_said_only_on_proof_or_of_devices_named_by_what_they_lack() {
    let standing = Standing { devices: 3, contained: 1, waiting: 1, free: 1, ..whole() };
    let refused = led(&opened(), &to(IncidentState::Contained, &[]), &standing).unwrap_err();
    assert!(refused.detail.contains("waiting=1 free=1"), "{}", refused.detail);
    let some = to(IncidentState::Contained, &[("waiting", 1)]);
    assert!(led(&opened(), &some, &standing).is_err());
    let stranger = to(IncidentState::Contained, &[("waiting", 1), ("free", 1), ("tired", 9)]);
    assert!(led(&opened(), &stranger, &standing).is_err());
    let named = to(IncidentState::Contained, &[("waiting", 1), ("free", 1)]);
    assert_eq!(led(&opened(), &named, &standing).unwrap().state(), IncidentState::Contained);
    let proved = led(&opened(), &to(IncidentState::Contained, &[]), &whole()).unwrap();
    assert_eq!(proved.state(), IncidentState::Contained);
}

#[test]
fn no_state_is_passed_over_and_a_relapse_leads_back_to_declared() {
    use IncidentState::{Closed, Contained, Declared, Eradicated, Recovering};
    for state in [Eradicated, Recovering, Closed] {
        assert!(led(&opened(), &to(state, &[]), &whole()).is_err(), "{state:?}");
    }
    let mut incident = opened();
    for state in [Contained, Eradicated, Recovering, Declared, Contained] {
        incident = led(&incident, &to(state, &[]), &whole()).unwrap();
    }
    assert_eq!(incident.moments.len(), 6);
}

#[test]
fn nothing_is_closed_that_is_not_written_up() {
    let mut incident = opened();
    incident.corrective = Some(at(0));
    for state in [IncidentState::Contained, IncidentState::Eradicated, IncidentState::Recovering] {
        incident = led(&incident, &to(state, &[]), &whole()).unwrap();
    }
    let out = Standing { contained: 0, free: 3, ..whole() };
    let close = to(IncidentState::Closed, &[]);
    assert!(led(&incident, &close, &out).unwrap_err().detail.contains("early-warning"));
    for clock in Clock::ALL {
        let filing =
            FilingRequest { clock: clock.as_str().into(), reference: "ref".into(), at: None };
        incident = file(&found(&incident), &filing, (&alice(), at(HOUR_MS)))
            .unwrap()
            .into_parts()
            .unwrap()
            .reply;
    }
    // Devices that are still in quarantine keep it open, unless somebody names them.
    assert!(led(&incident, &close, &whole()).is_err());
    let named = to(IncidentState::Closed, &[("contained", 3)]);
    assert!(led(&incident, &named, &whole()).is_ok());
    assert_eq!(led(&incident, &close, &out).unwrap().state(), IncidentState::Closed);
}

#[test]
fn clocks_run_from_awareness_and_from_the_corrective_measure() {
    let mut incident = opened();
    let state = |incident: &Incident, clock: Clock, now| clock.view(incident, now).unwrap().state;
    let early = Clock::EarlyWarning;
    assert_eq!(state(&incident, early, at(17 * HOUR_MS)), ClockState::Running);
    assert_eq!(state(&incident, early, at(19 * HOUR_MS)), ClockState::Soon);
    assert_eq!(state(&incident, early, at(24 * HOUR_MS)), ClockState::Late);
    assert_eq!(state(&incident, Clock::Notification, at(72 * HOUR_MS)), ClockState::Late);
    assert_eq!(state(&incident, Clock::FinalReport, at(DAY_MS)), ClockState::NotBegun);
    incident.corrective = Some(at(DAY_MS));
    let due = Clock::FinalReport.view(&incident, at(DAY_MS)).unwrap().due;
    assert_eq!(due, Some(at(15 * DAY_MS)));
    incident.obligation = Obligation::SevereIncident;
    assert_eq!(state(&incident, Clock::FinalReport, at(DAY_MS)), ClockState::NotBegun);
    let filing = FilingRequest { clock: "notification".into(), reference: "r".into(), at: None };
    let late = file(&found(&incident), &filing, (&alice(), at(80 * HOUR_MS)))
        .unwrap()
        .into_parts()
        .unwrap()
        .reply;
    assert_eq!(state(&late, Clock::Notification, at(90 * HOUR_MS)), ClockState::MetLate);
    let due = Clock::FinalReport.view(&late, at(90 * HOUR_MS)).unwrap().due;
    assert_eq!(due, Some(at(80 * HOUR_MS + 28 * DAY_MS)));
}

#[test]
fn each_clock_and_step_is_warned_of_once_per_state() {
    let mut parts = opening(1);
    parts.playbook = Some(Playbook {
        name: "p".into(),
        about: String::new(),
        steps: vec![playbook::StepText {
            name: "contain".into(),
            what: "contain".into(),
            owner: "incident-commander".into(),
            due: crate::rollout::span::Span::from_ms(HOUR_MS),
            proof: ProofKind::Contained,
        }],
    });
    let incident = open(parts, (&alice(), at(0))).unwrap().into_parts().unwrap().reply;
    assert!(clock::warn(&found(&incident), at(1)).changes_nothing());
    let later = at(25 * HOUR_MS);
    let said = clock::warn(&found(&incident), later).into_parts().unwrap();
    assert_eq!(said.events.len(), 2, "the early warning and the step");
    let key = record_of(&said.put);
    assert!(clock::warn(&found(&key), later).changes_nothing());
}

fn record_of(put: &[(String, Vec<u8>)]) -> Incident {
    crate::record::decode(&put[0].0, &put[0].1).unwrap()
}

#[test]
fn a_step_that_asks_for_proof_is_not_done_on_a_word() {
    let mut incident = opened();
    incident.steps = vec![playbook::Step {
        name: "contain".into(),
        what: "contain".into(),
        owner: "incident-commander".into(),
        due_ms: HOUR_MS,
        proof: ProofKind::Contained,
        ended: None,
    }];
    let done = |waive| StepRequest { text: "all of them".into(), waive };
    let end = |name, request: &StepRequest, standing: &Standing| {
        end_step(&found(&incident), (name, request), standing, (&alice(), at(1)))
    };
    let short = Standing { contained: 2, free: 1, ..whole() };
    assert!(end("contain", &done(false), &short).is_err());
    assert!(end("contain", &done(true), &short).is_ok());
    assert!(end("else", &done(true), &short).is_err());
    assert!(end("contain", &done(false), &whole()).is_ok());
}

#[test]
fn a_closed_incident_takes_no_notes_and_may_be_opened_again() {
    let mut parts = opening(1);
    parts.declared = false;
    let suspected = open(parts, (&alice(), at(0))).unwrap().into_parts().unwrap().reply;
    let closed = led(&suspected, &to(IncidentState::Closed, &[]), &whole()).unwrap();
    assert!(note(&found(&closed), "late", (&alice(), at(1))).is_err());
    assert!(led(&closed, &to(IncidentState::Declared, &[]), &whole()).is_ok());
}

#[test]
fn odd_texts_and_moments_are_refused() {
    for title in ["", "  ", "a\u{7}b", &"x".repeat(201)] {
        let parts = Opening { title: title.into(), ..opening(1) };
        assert!(open(parts, (&alice(), at(0))).is_err(), "{title:?}");
    }
    let ahead = Opening { aware: at(5), ..opening(1) };
    assert!(open(ahead, (&alice(), at(0))).is_err());
    let backwards = Opening { began: Some(at(1)), aware: at(0), ..opening(1) };
    assert!(open(backwards, (&alice(), at(2))).is_err());
}

proptest! {
    #[test]
    fn every_device_is_counted_once_in_each_group_of_figures(
        kinds in prop::collection::vec((0_usize..5, any::<bool>()), 0..40),
    ) {
        use lazaret_protocol::operator::BundleState::{Deleted, Failed, Ordered, Received};
        let name: BundleId = "b-1".parse().unwrap();
        let id: DeviceId = "d-1".parse().unwrap();
        let mut standing = Standing::default();
        for (kind, asked) in &kinds {
            let states = [Ordered, Received, Failed, Deleted, Ordered];
            let bundle = asked.then(|| (&name, states[*kind]));
            let known = standing::Known { id: &id, device: None, bundle };
            standing::add(&mut standing, &known, &[]);
        }
        let s = &standing;
        prop_assert_eq!(s.contained + s.waiting + s.never_seen + s.free, s.devices);
        let evidence = s.collected + s.collecting + s.collect_failed + s.uncollected;
        prop_assert_eq!(evidence, s.devices);
        prop_assert_eq!(s.patched + s.unpatched, s.devices);
        prop_assert_eq!(usize::try_from(s.devices).unwrap(), kinds.len());
    }
}
