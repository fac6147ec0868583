//! A batch is held against every limit, at it and one past it, before an engine sees it.

use super::*;

fn key(bytes: usize) -> Key {
    Key::from(vec![b'k'; bytes])
}

fn outside(limit: Limit, got: usize) -> Result<(), Refused> {
    Err(Refused::OutsideLimit { limit, got })
}

#[test]
fn a_batch_at_every_limit_is_taken() {
    let batch = Batch {
        expect: vec![(key(KEY_BYTES_MAX), None)],
        put: vec![(key(KEY_BYTES_MAX), vec![0; VALUE_BYTES_MAX])],
        delete: vec![key(1)],
        append: vec![vec![0; VALUE_BYTES_MAX]],
    };
    assert_eq!(batch.check(), Ok(()));
    let many = (0..BATCH_ITEMS_MAX).map(|i| Key::from(i.to_string())).collect();
    assert_eq!(Batch { delete: many, ..Batch::default() }.check(), Ok(()));
}

#[test]
fn a_batch_past_a_limit_is_refused_with_that_limit() {
    let put = |key, bytes| Batch { put: vec![(key, vec![0; bytes])], ..Batch::default() };
    assert_eq!(put(key(0), 0).check(), outside(Limit::KeyBytes, 0));
    assert_eq!(put(key(513), 0).check(), outside(Limit::KeyBytes, 513));
    let large = VALUE_BYTES_MAX + 1;
    assert_eq!(put(key(1), large).check(), outside(Limit::ValueBytes, large));
    let event = Batch { append: vec![vec![0; large]], ..Batch::default() };
    assert_eq!(event.check(), outside(Limit::ValueBytes, large));
    let many = vec![vec![]; BATCH_ITEMS_MAX + 1];
    let many = Batch { append: many, ..Batch::default() };
    assert_eq!(many.check(), outside(Limit::BatchItems, BATCH_ITEMS_MAX + 1));
    let heavy = Batch { append: vec![vec![0; VALUE_BYTES_MAX]; 5], ..Batch::default() };
    assert_eq!(heavy.check(), outside(Limit::BatchBytes, 5 * VALUE_BYTES_MAX));
}

#[test]
fn a_key_named_twice_is_refused() {
    let twice = Err(Refused::KeyTwice { key: key(1) });
    let expect = vec![(key(1), None), (key(1), Some(Version(1)))];
    assert_eq!(Batch { expect, ..Batch::default() }.check(), twice);
    let put = vec![(key(1), vec![])];
    assert_eq!(Batch { put, delete: vec![key(1)], ..Batch::default() }.check(), twice);
    let put = vec![(key(1), vec![]), (key(1), vec![])];
    assert_eq!(Batch { put, ..Batch::default() }.check(), twice);
}
