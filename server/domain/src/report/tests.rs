//! Success is believed only of the image that was ordered.

use super::*;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::operator::GroupState;
use lazaret_protocol::order::Order;
use lazaret_protocol::poll::{LogHead, RunningRelease};

use crate::rollout::fixture;

fn report(image: Option<&[u8]>) -> Report {
    Report {
        device: "d-1".parse().unwrap(),
        order: 7,
        outcome: Outcome::Done,
        running: image.map(|bytes| RunningRelease {
            version: "2.0".parse().unwrap(),
            counter: 2,
            sha256: Sha256Digest::of(bytes),
        }),
        at: Timestamp::from_ms(1),
        log_head: LogHead { size: 0, hash: Sha256Digest::of(b"") },
        bytes_fetched: 0,
        pace: lazaret_protocol::report::Pace::Ordinary,
        answers: None,
    }
}

fn install() -> OpenOrder {
    OpenOrder {
        order: Order {
            device: "d-1".parse().unwrap(),
            sequence: 7,
            issued: Timestamp::from_ms(0),
            expires: Timestamp::from_ms(9),
            kind: OrderKind::Install {
                rollout: "r-1".parse().unwrap(),
                model: "gw2".parse().unwrap(),
                version: "2.0".parse().unwrap(),
            },
        },
        rollout: Some("r-1".parse().unwrap()),
        halted: false,
    }
}

fn view() -> ReportView {
    let rollout = fixture::rollout(&[GroupState::Open]);
    let rollout = Found { key: "rollout/r-1".into(), version: Some(1), value: Some(rollout) };
    let device = Found { key: "device/d-1".into(), version: Some(1), value: None };
    ReportView {
        device,
        rollout: Some(rollout),
        assignment: None,
        bundle: None,
        known: Known::default(),
    }
}

#[test]
fn done_with_the_ordered_image_is_done() {
    assert_eq!(believed(&install(), &report(Some(b"2.0")), &view()), Outcome::Done);
}

#[test]
fn done_with_any_other_image_is_a_failure() {
    for image in [None, Some(&b"1.0"[..])] {
        let outcome = believed(&install(), &report(image), &view());
        assert!(matches!(outcome, Outcome::Failed { ref code, .. } if code == "wrong-digest"));
    }
}
