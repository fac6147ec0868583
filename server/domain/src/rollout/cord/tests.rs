//! One command holds the fleet, and only who names it lets it go.

use super::*;

const NOW: Timestamp = Timestamp::from_ms(9);

fn found(value: Option<Cord>) -> Found<Cord> {
    Found { key: "cord/fleet".into(), version: value.as_ref().map(|_| 1), value }
}

fn ana() -> OperatorName {
    "ana".parse().unwrap()
}

fn pulled() -> Cord {
    pull(&found(None), "smoke", (&ana(), NOW)).unwrap().preview().clone()
}

#[test]
fn a_cord_that_is_pulled_twice_is_one_halt() {
    let cord = pulled();
    assert!(cord.holds());
    let again = pull(&found(Some(cord.clone())), "fire", (&ana(), NOW)).unwrap();
    assert!(again.changes_nothing());
    assert_eq!(again.preview(), &cord);
}

#[test]
fn only_the_halt_that_is_meant_is_let_go() {
    let cord = pulled();
    let wrong = release(&found(Some(cord.clone())), 7, "over", (&ana(), NOW)).unwrap_err();
    assert_eq!(wrong.code, RefusalCode::Conflict);
    let free = release(&found(Some(cord)), 1, "over", (&ana(), NOW)).unwrap();
    assert!(!free.preview().holds());
    let twice = release(&found(Some(free.preview().clone())), 1, "over", (&ana(), NOW));
    assert_eq!(twice.unwrap_err().code, RefusalCode::Conflict);
    let none = pull(&found(None), "  ", (&ana(), NOW)).unwrap_err();
    assert_eq!(none.code, RefusalCode::BadRequest);
}

#[test]
fn acknowledgements_are_counted_from_the_first_count_on() {
    let cord = pulled();
    assert_eq!(cord.acknowledged(3), None);
    let parts = counted(&found(Some(cord)), 5).into_parts().unwrap();
    let cord: Cord = crate::record::decode("cord/fleet", &parts.put[0].1).unwrap();
    assert_eq!(cord.acknowledged(3), Some(Acknowledged { acknowledged: 2, of: 5 }));
    assert!(counted(&found(Some(cord)), 9).changes_nothing());
}
