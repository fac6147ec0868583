//! A list judges its own model alone, as sternly as it says.

use lazaret_protocol::time::Timestamp;

use super::*;

fn item() -> Item {
    Item {
        serial: "sn-1".parse().unwrap(),
        device: "d-1".parse().unwrap(),
        model: "gw2".parse().unwrap(),
        group: Some("lyon".into()),
        endorsement: None,
        claim: None,
        imei: None,
        iccid: None,
        imsi: None,
        factory: Some("acme".into()),
        by: "ana".parse().unwrap(),
        at: Timestamp::from_ms(0),
    }
}

fn lists(judging: Judging, model: &str) -> Vec<Allowed> {
    let digests = alloc::vec![Octets(alloc::vec![1; 32])];
    alloc::vec![Allowed { model: model.parse().unwrap(), judging, digests }]
}

#[test]
fn what_is_not_on_the_list_is_told_or_refused_as_the_list_says() {
    let judged = |got: u8, judging, model| {
        judge(&item(), (&[0, 7], &Octets(alloc::vec![got; 32])), &lists(judging, model))
    };
    for judging in [Judging::Off, Judging::Alert, Judging::Enforce] {
        assert_eq!(judged(1, judging, "gw2"), Judged::Expected);
        assert_eq!(judged(2, judging, "other"), Judged::Expected);
    }
    assert_eq!(judged(2, Judging::Off, "gw2"), Judged::Expected);
    assert!(matches!(judged(2, Judging::Alert, "gw2"), Judged::Told(_)));
    let Judged::Refused(Fact::MeasurementUnexpected { got, refused: true, .. }, refused) =
        judged(2, Judging::Enforce, "gw2")
    else {
        panic!("expected a refusal");
    };
    assert_eq!(
        (got.as_str(), refused.code),
        ("02".repeat(32).as_str(), RefusalCode::MeasurementRefused)
    );
}
