//! The page: nothing that somebody wrote becomes markup, and its figures are right.

use lazaret_protocol::operator::{IncidentState, IncidentStatus, ProgressPoint, Severity};

use super::super::{Figures, Report};
use super::*;

fn report(title: &str) -> Report {
    let moment = |state, ms| lazaret_protocol::operator::MomentView {
        state,
        at: Timestamp::from_ms(ms),
        by: "alice".parse().unwrap(),
        reason: "so".to_owned(),
    };
    let incident = IncidentView {
        id: "i-1".parse().unwrap(),
        title: title.to_owned(),
        severity: Severity::High,
        state: IncidentState::Contained,
        commander: "alice".parse().unwrap(),
        filter: Some("model==gw2".to_owned()),
        devices: 4,
        members: lazaret_protocol::digest::Sha256Digest::of(b""),
        obligation: Obligation::None,
        began: None,
        aware: Timestamp::from_ms(0),
        corrective: None,
        moments: vec![moment(IncidentState::Declared, 0), moment(IncidentState::Contained, 5000)],
        clocks: Vec::new(),
        playbook: None,
        steps: Vec::new(),
        rollouts: Vec::new(),
        quarantines: vec![],
        notes: 0,
    };
    let standing = Standing { devices: 4, contained: 3, free: 1, ..Standing::default() };
    Report {
        written: Timestamp::from_ms(9000),
        figures: super::super::figures(&incident, &[]),
        status: IncidentStatus { incident, standing },
        rollouts: Vec::new(),
        bundles: None,
        timeline: Vec::new(),
        timeline_cut: false,
    }
}

#[test]
fn what_people_and_devices_wrote_cannot_become_markup() {
    let page = html(&report("<script>alert(1)</script>\u{202e}")).unwrap();
    assert!(!page.contains("<script"), "markup got through");
    assert!(!page.contains('\u{202e}'), "a turning sign got through");
    assert!(page.contains("&#60;script&#62;") || page.contains("&lt;script&gt;"));
}

#[test]
fn figures_are_counted_from_the_declaration() {
    let report = report("t");
    let Figures { time_to_contain_ms, time_to_close_ms, .. } = report.figures;
    assert_eq!((time_to_contain_ms, time_to_close_ms), (Some(5000), None));
}

#[test]
fn the_curve_rises_from_left_to_right_and_stays_in_its_frame() {
    let mut report = report("t");
    let point = |ms, done| ProgressPoint { at: Timestamp::from_ms(ms), done };
    let rollout = RolloutView {
        id: "r-1".parse().unwrap(),
        model: "gw2".parse().unwrap(),
        version: "2.0".parse().unwrap(),
        state: lazaret_protocol::operator::RolloutState::Finished,
        halt_reason: None,
        groups: Vec::new(),
        halts_unacknowledged: 0,
        halts_acknowledged: 0,
        started_by: "alice".parse().unwrap(),
        started: Timestamp::from_ms(0),
        error_percent: 10,
        success_percent: 95,
        emergency: None,
        progress: vec![point(0, 0), point(500, 2), point(1000, 9)],
        cures: None,
    };
    report.rollouts = vec![rollout];
    let (points, ..) = curve(&report);
    assert_eq!(points, "40.0,170.0 340.0,90.0 640.0,10.0");
}
