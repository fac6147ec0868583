//! Leaves come into the log once each, in order, and what is stored of it is what a verifier reads.

use super::*;
use alloc::vec;
use lazaret_protocol::operator::{AuditWho, AuditWhoKind};
use lazaret_protocol::time::Timestamp;
use lazaret_protocol_evidence::tlog::note::SignatureType;

use crate::record::{DecisionParts, decode, key_of};

fn key() -> VerifierKey {
    VerifierKey::new("log.example", SignatureType::Ed25519, [7; 32]).unwrap()
}

fn leaf(number: u64) -> WaitingLeaf {
    let who = AuditWho {
        kind: AuditWhoKind::Operator,
        name: format!("op-{number}"),
        credential: String::new(),
        address: String::new(),
    };
    let act = AuditAct {
        at: Timestamp::from_ms(number),
        who,
        what: "POST /v1/halt".into(),
        target: String::new(),
        reason: "why".into(),
        request: None,
        outcome: "done".into(),
        detail: String::new(),
        count: 1,
    };
    WaitingLeaf::new(act, number.to_be_bytes())
}

fn taken(head: Option<AuditHead>, waiting: &[WaitingLeaf]) -> DecisionParts<u64> {
    let found = Found { key: key_of::<AuditHead>(AuditHead::NAME), version: None, value: None };
    let head = head.unwrap_or_else(|| founded("log.example".into()));
    let signer = Signer { key: &key(), sign: &|_| [0; 64] };
    take_over(&found, head, waiting, &signer).unwrap().into_parts().unwrap()
}

fn read<T: Record>(parts: &DecisionParts<u64>, name: &str) -> T {
    let key = key_of::<T>(name);
    let (_, bytes) = parts.put.iter().find(|(put, _)| *put == key).expect("a record");
    decode(&key, bytes).unwrap()
}

#[test]
fn every_leaf_comes_in_once_and_stops_waiting_in_the_same_commit() {
    let leaves: Vec<WaitingLeaf> = (0..300).map(leaf).collect();
    let mut head = None;
    let mut rows = 0;
    for chunk in leaves.chunks(70) {
        let parts = taken(head.take(), chunk);
        let gone: Vec<String> =
            chunk.iter().map(|leaf| key_of::<WaitingLeaf>(&leaf.name())).collect();
        assert_eq!(parts.removed, gone);
        for leaf in chunk {
            let row: AuditRow = read(&parts, &row_name(rows));
            assert!(row.entry.contains(&leaf.act.who.name), "{row:?}");
            rows += 1;
        }
        let now: AuditHead = read(&parts, AuditHead::NAME);
        assert_eq!(now.size, rows);
        assert!(now.note.starts_with(&format!("log.example\n{rows}\n")), "{}", now.note);
        if rows == 280 {
            let full: AuditTile = read(&parts, "tile/0/000");
            assert_eq!(full.hashes.len(), 256);
            assert_eq!(now.partial(0).len(), 24);
        }
        head = Some(now);
    }
    assert_eq!(rows, 300);
}

#[test]
fn a_head_that_contradicts_itself_is_not_continued() {
    let parts = taken(None, &[leaf(1), leaf(2)]);
    let mut head: AuditHead = read(&parts, AuditHead::NAME);
    head.partial = vec![vec![head.last]];
    let found = Found { key: key_of::<AuditHead>(AuditHead::NAME), version: None, value: None };
    let signer = Signer { key: &key(), sign: &|_| [0; 64] };
    let refused = take_over(&found, head, &[leaf(3)], &signer).unwrap_err();
    assert!(matches!(refused, AuditLogError::Tree { source: TileError::Width { got: 1, .. } }));
}

#[test]
fn leaves_wait_in_the_order_of_time() {
    assert!(leaf(9).id < leaf(10).id && leaf(99).id < leaf(1_790_000_000_000).id);
}
