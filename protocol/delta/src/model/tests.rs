//! The model there and back, on bytes that change in every way.

use super::*;
use proptest::prelude::*;

fn coded(pieces: &[(u64, Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let (mut model, mut bits) = (Model::new(), BitWriter::default());
    for (new, old, wanted) in pieces {
        let mut bytes = old.clone();
        model.piece(&mut bits, &mut bytes, Some(wanted), *new).unwrap();
        assert_eq!(&bytes, wanted);
    }
    bits.finish()
}

fn decoded(pieces: &[(u64, Vec<u8>, Vec<u8>)], bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (mut model, mut bits) = (Model::new(), BitReader::new(bytes));
    let mut made = Vec::new();
    for (new, old, _) in pieces {
        let mut bytes = old.clone();
        model.piece(&mut bits, &mut bytes, None, *new)?;
        made.push(bytes);
    }
    bits.is_at_end().then_some(made)
}

fn piece() -> impl Strategy<Value = (u64, Vec<u8>, Vec<u8>)> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..40);
    let old = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..600),
        prop::collection::vec(0u8..3, 0..600),
    ];
    (0u64..200, old, changes).prop_map(|(new, old, changes)| {
        let mut wanted = old.clone();
        for (at, by) in changes {
            if !wanted.is_empty() {
                let at = at.index(wanted.len());
                wanted[at] = wanted[at].wrapping_add(by);
            }
        }
        (new, old, wanted)
    })
}

#[test]
fn what_does_not_change_costs_next_to_nothing() {
    let old = vec![7; 1 << 20];
    let coded = coded(&[(0, old.clone(), old)]);
    assert!(coded.len() < 100, "{}", coded.len());
}

proptest! {
    #[test]
    fn changes_come_back(pieces in prop::collection::vec(piece(), 0..6)) {
        let made = decoded(&pieces, &coded(&pieces)).unwrap();
        for (made, (_, _, wanted)) in made.iter().zip(&pieces) {
            prop_assert_eq!(made, wanted);
        }
    }

    #[test]
    fn any_bytes_are_changes_or_none(
        pieces in prop::collection::vec(piece(), 0..4),
        bytes in prop::collection::vec(any::<u8>(), 0..80)
    ) {
        let _ = decoded(&pieces, &bytes);
    }
}
