//! Custody, holds and retention.

use super::*;

const NOW: Timestamp = Timestamp::from_ms(1_000 * DAY_MS);

fn ana() -> OperatorName {
    "ana".parse().unwrap()
}

fn seal(text: &str) -> Option<String> {
    Some(format!("signed: {text}"))
}

fn received(days_ago: u64) -> Bundle {
    let mut bundle = Bundle {
        id: "b-1".parse().unwrap(),
        device: "d-1".parse().unwrap(),
        state: BundleState::Received,
        sha256: Some(Sha256Digest::of(b"bytes")),
        length: 5,
        reason: "case".into(),
        wanted: Wanted::default(),
        custody: vec![],
        custody_seal: None,
        held_by: vec![],
        damage: None,
        receipt: None,
        received: Some(Timestamp::from_ms(NOW.as_ms() - days_ago * DAY_MS)),
    };
    bundle.note((NOW, "d-1"), "received", None, &seal);
    bundle
}

fn found(bundle: &Bundle) -> Found<Bundle> {
    Found { key: "bundle/b-1".into(), version: Some(1), value: Some(bundle.clone()) }
}

fn after(decision: Result<Decision<Bundle>, Refused>) -> Bundle {
    decision.unwrap().preview().clone()
}

#[test]
fn every_act_is_a_leaf_under_a_new_seal() {
    let mut bundle = received(0);
    for (act, size) in [("pulled", 2), ("held", 3), ("freed", 4), ("damaged", 5), ("whole", 6)] {
        let (before, who) = (found(&bundle), (&ana(), NOW));
        bundle = after(match act {
            "pulled" => pull(&before, who, &seal),
            "held" => hold(&before, "court", who, &seal),
            "freed" => free(&before, "closed", who, &seal),
            "damaged" => looked_at(&before, Some("missing"), NOW, &seal),
            _ => looked_at(&before, None, NOW, &seal),
        });
        let last = bundle.custody.last().unwrap();
        assert_eq!(last.act, act);
        let head = custody::head(&bundle.id, &bundle.custody).unwrap();
        assert_eq!((head.size, bundle.custody_seal.clone()), (size, seal(&head.to_string())));
    }
}

#[test]
fn what_anybody_holds_is_not_deleted_however_long_it_was_kept() {
    let old = received(30);
    assert!(is_due(&old, 30, NOW) && !is_due(&old, 31, NOW));
    let held = after(hold(&found(&old), "court", (&ana(), NOW), &seal));
    assert!(!is_due(&held, 0, NOW));
    assert!(delete(&found(&held), 0, NOW, &seal).is_err());
    // Twice by the same is once; nobody lifts another's.
    assert_eq!(after(hold(&found(&held), "again", (&ana(), NOW), &seal)), held);
    let bob: OperatorName = "bob".parse().unwrap();
    assert!(free(&found(&held), "no", (&bob, NOW), &seal).is_err());
    let both = after(hold(&found(&held), "mine too", (&bob, NOW), &seal));
    let one = after(free(&found(&both), "closed", (&ana(), NOW), &seal));
    assert!(!is_due(&one, 0, NOW));
    let none = after(free(&found(&one), "closed", (&bob, NOW), &seal));
    let gone = after(delete(&found(&none), 30, NOW, &seal));
    assert_eq!(gone.state, BundleState::Deleted);
    assert_eq!(gone.custody.last().unwrap().act, "deleted");
    // What is deleted is neither pulled, held nor sent again.
    assert!(pull(&found(&gone), (&ana(), NOW), &seal).is_err());
    assert!(hold(&found(&gone), "late", (&ana(), NOW), &seal).is_err());
    assert!(may_send(&found(&gone), &"d-1".parse().unwrap()).is_err());
}

#[test]
fn how_bytes_are_found_is_said_where_it_is_news() {
    let bundle = received(1);
    assert!(looked_at(&found(&bundle), None, NOW, &seal).unwrap().changes_nothing());
    let damaged = after(looked_at(&found(&bundle), Some("missing"), NOW, &seal));
    let again = looked_at(&found(&damaged), Some("missing"), NOW, &seal);
    assert!(again.unwrap().changes_nothing());
}

#[test]
fn what_a_third_party_reads_is_a_leaf_once_an_hour() {
    let mut bundle = received(0);
    let at = |ms: u64| NOW.plus_ms(ms);
    for (ms, acts) in [(1, 2), (2, 2), (VIEW_MS, 2), (VIEW_MS + 1, 3)] {
        bundle = after(view(&found(&bundle), (&ana(), at(ms)), &seal));
        assert_eq!(bundle.custody.len(), acts, "after {ms} ms");
    }
    let last = bundle.custody.last().unwrap();
    assert_eq!((last.who.as_str(), last.act.as_str()), ("ana", "viewed"));
    let bob = "bob".parse().unwrap();
    assert_eq!(after(view(&found(&bundle), (&bob, at(VIEW_MS + 2)), &seal)).custody.len(), 4);
}
