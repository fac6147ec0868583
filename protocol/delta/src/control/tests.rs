//! Control blocks: there and back, refusals, and where the map leads.

use super::*;
use proptest::prelude::*;
use std::vec;

const BASE: u64 = 1 << 40;

fn op() -> impl Strategy<Value = Op> {
    let old = prop_oneof![0..1000u64, 0..BASE - 5000];
    (old, 0..5000u32, 0..5000u32).prop_filter_map("it makes something", |(old, add, insert)| {
        let old = if add > 0 { old } else { 0 };
        (add > 0 || insert > 0).then_some(Op { old, add, insert })
    })
}

fn length(ops: &[Op]) -> u32 {
    ops.iter().map(|op| op.add + op.insert).sum()
}

fn parsed(ops: &[Op], first: u64) -> Result<Control, ControlFault> {
    let columns = control_columns(ops, first);
    let columns = [&*columns[0], &columns[1], &columns[2], &columns[3]];
    Control::parse(columns, ops.len(), (first, length(ops)), BASE)
}

const fn copy(old: u64, add: u32) -> Op {
    Op { old, add, insert: 0 }
}

#[test]
fn instructions_that_leave_the_base_are_refused() {
    for (op, fault) in [
        (copy(BASE - 1, 2), ControlFault::Position),
        (copy(u64::MAX, 2), ControlFault::Position),
        (copy(0, 0), ControlFault::Count),
    ] {
        assert_eq!(Control::new([op], 0, op.add, BASE), Err(fault), "{op:?}");
    }
}

#[test]
fn instructions_of_another_length_are_refused() {
    for length in [0, 9, 11, u32::MAX] {
        assert_eq!(Control::new([copy(0, 10)], 0, length, BASE), Err(ControlFault::Lengths));
    }
    let ops = [copy(0, u32::MAX), copy(0, u32::MAX)];
    assert_eq!(Control::new(ops, 0, u32::MAX - 1, BASE), Err(ControlFault::Lengths));
}

#[test]
fn columns_that_end_early_or_go_on_are_refused() {
    let ops = [copy(500, 300), Op { old: 900, add: 70, insert: 8 }];
    let columns = control_columns(&ops, 0);
    for cut in 0..COLUMNS {
        let mut columns = columns.clone();
        columns[cut].pop();
        let columns = [&*columns[0], &columns[1], &columns[2], &columns[3]];
        assert!(Control::parse(columns, 2, (0, 378), BASE).is_err(), "{cut}");
    }
    for grown in 0..COLUMNS {
        let mut columns = columns.clone();
        columns[grown].push(0);
        let columns = [&*columns[0], &columns[1], &columns[2], &columns[3]];
        assert_eq!(Control::parse(columns, 2, (0, 378), BASE), Err(ControlFault::Encoding));
    }
}

#[test]
fn the_map_follows_the_longest_piece_that_reads_a_byte() {
    // In the result: 0..1000 from 5000, 1000..1010 from 5500, 1010..1510 from 5800.
    let control = Control::new([copy(5000, 1000), copy(5500, 10), copy(5800, 500)], 0, 1510, BASE);
    let control = control.unwrap();
    let mut hint = 0;
    let mut at = |old| control.map(old, &mut hint);
    assert_eq!(at(5000), Some(0));
    assert_eq!(at(5505), Some(505), "the short piece in the middle does not count");
    assert_eq!(at(5999), Some(999));
    assert_eq!(at(6000), Some(1210), "the next longest goes on where the longest ends");
    assert_eq!(at(6299), Some(1509));
    assert_eq!(at(6310), Some(1520), "after the last, as if it went on");
}

proptest! {
    #[test]
    fn instructions_come_back_from_their_columns(
        ops in prop::collection::vec(op(), 0..60), first in 0..BASE
    ) {
        let made = Control::new(ops.iter().copied(), first, length(&ops), BASE).unwrap();
        prop_assert_eq!(parsed(&ops, first).unwrap(), made);
    }

    #[test]
    fn the_map_leads_to_a_longest_piece_for_every_byte(
        ops in prop::collection::vec((0..60u64, 1..40u32), 1..12)
    ) {
        let ops: Vec<Op> = ops.into_iter().map(|(old, add)| copy(old, add)).collect();
        let control = Control::new(ops.iter().copied(), 7, length(&ops), BASE).unwrap();
        let mut hint = 0;
        for old in 0..100 {
            let mut new = 7;
            let mut holding = vec![];
            for op in &ops {
                if (op.old..op.old + u64::from(op.add)).contains(&old) {
                    holding.push((op.add, new + old - op.old));
                }
                new += u64::from(op.add);
            }
            if let Some((longest, _)) = holding.iter().max() {
                let at = control.map(old, &mut hint).unwrap();
                prop_assert!(holding.contains(&(*longest, at)), "{old} to {at}: {holding:?}");
            }
        }
    }

    #[test]
    fn any_columns_are_instructions_or_refused(
        columns in [(); 4].map(|()| prop::collection::vec(any::<u8>(), 0..20)),
        count in 0usize..30, length in 0..100_000u32,
    ) {
        let columns = [&*columns[0], &columns[1], &columns[2], &columns[3]];
        if let Ok(control) = Control::parse(columns, count, (0, length), BASE) {
            let made: u64 = control
                .pieces_between(0, length.into())
                .map(|made| (made.add + made.insert) as u64)
                .sum();
            prop_assert_eq!(made, u64::from(length));
        }
    }
}
