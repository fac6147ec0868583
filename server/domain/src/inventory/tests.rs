//! A list is entered whole or not at all, and says where it is wrong.

use alloc::vec;

use lazaret_protocol::operator::InventoryItem;

use super::*;

fn line(number: u64, serial: &str) -> InventoryItem {
    InventoryItem {
        line: number,
        serial: serial.parse().unwrap(),
        device: serial.parse().unwrap(),
        model: "gw2".parse().unwrap(),
        group: Some("lyon".into()),
        endorsement: Some(Endorsement::Key(Sha256Digest::of(serial.as_bytes()))),
        factory: None,
        claim: None,
        imei: None,
        iccid: None,
        imsi: None,
    }
}

fn item(line: &InventoryItem) -> Item {
    Item {
        serial: line.serial.clone(),
        device: line.device.clone(),
        model: line.model.clone(),
        group: line.group.clone(),
        endorsement: line.endorsement.clone(),
        claim: None,
        imei: None,
        iccid: None,
        imsi: None,
        factory: None,
        by: "ana".parse().unwrap(),
        at: Timestamp::from_ms(1),
    }
}

fn found(item: Option<Item>, serial: &str) -> Found<Item> {
    let version = item.as_ref().map(|_| 1);
    Found { key: format!("inventory/{serial}"), version, value: item }
}

fn request(items: Vec<InventoryItem>) -> InventoryRequest {
    InventoryRequest { items, replace: false, dry_run: false, reason: "test".into() }
}

fn entered(
    request: &InventoryRequest,
    there: &[Item],
    enrolled: &[SerialNumber],
) -> Result<Decision<InventoryReply>, Refused> {
    let items: Vec<Item> = request.items.iter().map(item).collect();
    let found: Vec<Found<Item>> = items
        .iter()
        .map(|it| {
            let one = there.iter().find(|one| one.serial == it.serial).cloned();
            found(one, it.serial.as_str())
        })
        .collect();
    let listed = Listed { found: &found, all: there, enrolled };
    enter(request, &items, &listed, (&"bo".parse().unwrap(), Timestamp::from_ms(2)))
}

#[test]
fn a_list_is_entered_once_and_again_changes_nothing() {
    let request = request(vec![line(2, "sn-1"), line(3, "sn-2")]);
    let first = entered(&request, &[], &[]).unwrap();
    let reply = InventoryReply { added: 2, replaced: 0, unchanged: 0, dry_run: false };
    assert_eq!(*first.preview(), reply);
    assert!(!first.changes_nothing());
    let there: Vec<Item> = request.items.iter().map(item).collect();
    let again = entered(&request, &there, &[]).unwrap();
    let reply = InventoryReply { added: 0, replaced: 0, unchanged: 2, dry_run: false };
    assert_eq!(*again.preview(), reply);
    assert!(again.changes_nothing(), "a list that is there already is written again");
}

#[test]
fn a_rehearsal_says_the_same_and_changes_nothing() {
    let rehearsed = InventoryRequest { dry_run: true, ..request(vec![line(2, "sn-1")]) };
    let decision = entered(&rehearsed, &[], &[]).unwrap();
    assert_eq!(decision.preview().added, 1);
    assert!(decision.changes_nothing());
}

#[test]
fn one_bad_line_refuses_the_whole_list_and_is_named() {
    let mut other = line(9, "sn-2");
    other.device = "sn-1".parse().unwrap();
    let refused = entered(&request(vec![line(2, "sn-1"), other]), &[], &[]).unwrap_err();
    assert_eq!(refused.code, RefusalCode::BadRequest);
    assert_eq!(refused.detail, "line 9: the same device as in line 2");
}

#[test]
fn what_is_listed_with_something_else_is_replaced_only_on_request_and_never_once_enrolled() {
    let there = [item(&line(1, "sn-1"))];
    let mut changed = line(4, "sn-1");
    changed.group = Some("paris".into());
    let asked = request(vec![changed]);
    let refused = entered(&asked, &there, &[]).unwrap_err();
    assert_eq!(refused.code, RefusalCode::Conflict);
    assert!(refused.detail.starts_with("line 4: serial sn-1 is listed already"), "{refused:?}");
    let replacing = InventoryRequest { replace: true, ..asked };
    assert_eq!(entered(&replacing, &there, &[]).unwrap().preview().replaced, 1);
    let enrolled = ["sn-1".parse().unwrap()];
    let refused = entered(&replacing, &there, &enrolled).unwrap_err();
    assert!(refused.detail.contains("has enrolled already"), "{refused:?}");
}

#[test]
fn an_endorsement_key_that_another_machine_has_is_refused() {
    let there = [item(&line(1, "sn-1"))];
    let mut copy = line(2, "sn-2");
    copy.endorsement.clone_from(&there[0].endorsement);
    let refused = entered(&request(vec![copy]), &there, &[]).unwrap_err();
    let said = "line 2: the same endorsement as serial sn-1, which is listed already";
    assert_eq!(refused.detail, said);
}
