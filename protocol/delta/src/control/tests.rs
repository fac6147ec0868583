//! The control stream: round trips and refusals.

use super::*;
use proptest::prelude::*;
use std::vec;

fn instruction() -> impl Strategy<Value = Instruction> {
    (any::<u32>(), any::<u32>(), any::<i64>()).prop_map(|(add, insert, shift)| Instruction {
        add,
        insert,
        shift,
    })
}

#[test]
fn column_that_ends_early_is_refused() {
    let one = Instruction { add: 300, insert: 0, shift: -1 };
    let bytes = control_bytes(&[one]);
    assert_eq!(bytes, [1, 0xac, 2, 0, 1]);
    for end in 0..bytes.len() {
        assert_eq!(Columns::new(&bytes[..end]).unwrap_err(), ControlFault::Encoding);
    }
}

#[test]
fn huge_count_of_instructions_ends_with_the_stream() {
    let mut bytes = vec![0xff; 9];
    bytes.extend([1, 0, 0, 0]);
    assert_eq!(Columns::new(&bytes).unwrap_err(), ControlFault::Encoding);
}

#[test]
fn number_past_sixty_four_bits_is_refused() {
    let mut column: &[u8] = &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2];
    assert_eq!(number(&mut column), Err(ControlFault::Encoding));
    let mut column: &[u8] = &[0x80; 11];
    assert_eq!(number(&mut column), Err(ControlFault::Encoding));
}

#[test]
fn length_past_thirty_two_bits_is_refused() {
    let bytes = [1, 0x80, 0x80, 0x80, 0x80, 0x10, 0, 0];
    let read: Result<Vec<_>, _> = Columns::new(&bytes).unwrap().collect();
    assert_eq!(read.unwrap_err(), ControlFault::Lengths);
}

proptest! {
    #[test]
    fn instructions_survive_their_bytes(list in prop::collection::vec(instruction(), 0..50)) {
        let bytes = control_bytes(&list);
        let read: Result<Vec<_>, _> = Columns::new(&bytes).unwrap().collect();
        prop_assert_eq!(read.unwrap(), list);
    }

    #[test]
    fn no_bytes_make_the_columns_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        if let Ok(columns) = Columns::new(&bytes) {
            let read = columns.filter(Result::is_ok).count();
            prop_assert!(read <= bytes.len());
        }
    }
}
