//! What moves is followed, what does not is left alone, and no bytes are too strange.

#![allow(clippy::cast_possible_truncation, reason = "all of this is a test")]

use super::*;
use crate::address::Shift;
use crate::control::Op;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

const BASE: u64 = 4096;

/// The first 1000 bytes stay, then 64 come in, then the rest follows.
fn moved() -> Control {
    let ops = [Op { old: 0, add: 1000, insert: 64 }, Op { old: 1000, add: 3096, insert: 0 }];
    Control::new(ops, 0, 4160, BASE).unwrap()
}

fn at(address: u64) -> Addresses {
    let region = |length| vec![Region { offset: 0, length, address, program: 0 }];
    Addresses { base: region(BASE), result: region(4160), shifts: Vec::new() }
}

fn rewritten(code: Code, addresses: &Addresses, bytes: &[u8], old: u64, new: u64) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    Predictor::new(&moved(), addresses, BASE).rewrite(code, &mut bytes, old, new);
    bytes
}

fn word(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes[..4].try_into().unwrap())
}

#[test]
fn arm64_branches_follow_what_they_call() {
    // BL from 0x40 to 2048, which is at 2112 afterwards.
    let call = |target: u32| (0x9400_0000u32 | ((target - 0x40) / 4)).to_le_bytes();
    let made = rewritten(Code::Arm64, &Addresses::default(), &call(2048), 0x40, 0x40);
    assert_eq!(made, call(2112));
    // From behind what came in, backwards to what did not move: B.EQ at 2048 to 512.
    let branch = |from: u32| 0x5400_0000u32 | ((512u32.wrapping_sub(from) / 4) & 0x7_ffff) << 5;
    let old = branch(2048).to_le_bytes();
    let made = rewritten(Code::Arm64, &Addresses::default(), &old, 2048, 2112);
    assert_eq!(word(&made), branch(2112));
}

#[test]
fn arm64_addresses_in_two_words_follow_together() {
    // ADRP x1, page of 0x10fd0; ADD x2, x1, #0xfd0. Its place moves on to the next page.
    let adrp = |pages: u32| 0x9000_0001u32 | (pages & 3) << 29 | (pages >> 2) << 5;
    let add = |low: u32| 0x9100_0022u32 | low << 10;
    let bytes = [adrp(0).to_le_bytes(), add(0xfd0).to_le_bytes()].concat();
    let made = rewritten(Code::Arm64, &at(0x10000), &bytes, 0x20, 0x20);
    assert_eq!((word(&made), word(&made[4..])), (adrp(1), add(0x010)));
}

#[test]
fn x86_calls_and_operands_follow() {
    // call 2048; mov rax, [rip + to 2048]; jz 2048.
    let code = |target: u32| {
        let mut code = vec![0xe8];
        code.extend((target - 5).to_le_bytes());
        code.extend([0x48, 0x8b, 0x05]);
        code.extend((target - 12).to_le_bytes());
        code.extend([0x0f, 0x84]);
        code.extend((target - 18).to_le_bytes());
        code.extend([0x90; 8]);
        code
    };
    let made = rewritten(Code::X86, &Addresses::default(), &code(2048), 0, 0);
    assert_eq!(made, code(2112));
}

#[test]
fn thumb_calls_follow() {
    // BL from 0x100 to 2048 (A7.7.18): the offset is 0x6fc.
    let call = |by: u32| [0x00, 0xf0, (by >> 1) as u8, 0xf8 | (by >> 9 & 7) as u8];
    let made = rewritten(Code::Thumb, &Addresses::default(), &call(2048 - 0x104), 0x100, 0x100);
    assert_eq!(made, call(2112 - 0x104));
}

#[test]
fn xtensa_calls_follow_after_a_short_instruction() {
    let code = |target: u32| {
        let call = ((target - 8) / 4) << 6 | 0x25;
        [&[0x3d, 0xf0][..], &[0; 3], &call.to_le_bytes()[..3], &[0; 4]].concat()
    };
    let made = rewritten(Code::Xtensa, &Addresses::default(), &code(2048), 0, 0);
    assert_eq!(made, code(2112));
}

#[test]
fn pointers_follow_and_numbers_are_left() {
    let at_flash = at(0x0800_0000);
    let words = |word: u32| [word.to_le_bytes(), 7u32.to_le_bytes()].concat();
    let made = rewritten(Code::Thumb, &at_flash, &words(0x0800_0801), 0, 0);
    assert_eq!(made, words(0x0800_0841));
    let made = rewritten(Code::Thumb, &at_flash, &words(0x2000_0000), 0, 0);
    assert_eq!(made, words(0x2000_0000));
    let long = 0xffff_8000_0000_0800u64;
    let made = rewritten(Code::Arm64, &at(long - 0x800), &(long + 8).to_le_bytes(), 0, 0);
    assert_eq!(made, (long + 72).to_le_bytes());
}

#[test]
fn pointers_to_what_the_image_does_not_hold_follow_the_shifts() {
    let shift = |start, by| Shift { program: 0, start, by };
    let shifts = vec![shift(0x2000_0000, 4), shift(0x2000_0100, -8)];
    let addresses = Addresses { shifts, ..at(0x0800_0000) };
    let made = |value: u32| word(&rewritten(Code::Thumb, &addresses, &value.to_le_bytes(), 0, 0));
    assert_eq!(made(0x1fff_ffff), 0x1fff_ffff);
    assert_eq!(made(0x2000_0080), 0x2000_0084);
    assert_eq!(made(0x2000_0180), 0x2000_0178);
}

proptest! {
    #[test]
    fn what_stays_in_place_is_left_alone(
        bytes in prop::collection::vec(any::<u8>(), 0..800),
        old in 0u64..200, address in any::<u64>(),
        has_regions in any::<bool>(),
    ) {
        let control = Control::new([Op { old: 0, add: 4096, insert: 0 }], 0, 4096, BASE).unwrap();
        let region = vec![Region { offset: 0, length: BASE, address: address & !4095, program: 0 }];
        let mut addresses = Addresses { base: region.clone(), result: region, shifts: vec![] };
        if !has_regions {
            addresses = Addresses::default();
        }
        for code in Code::ALL {
            let mut made = bytes.clone();
            Predictor::new(&control, &addresses, BASE).rewrite(code, &mut made, old, old);
            prop_assert_eq!(&made, &bytes, "{:?}", code);
        }
    }

    #[test]
    fn any_bytes_at_any_place_are_rewritten_without_harm(
        bytes in prop::collection::vec(any::<u8>(), 0..300), old in any::<u64>(),
        new in any::<u64>(), address in any::<u64>(), start in any::<u64>(), by in any::<i64>(),
    ) {
        let addresses = Addresses { shifts: vec![Shift { program: 0, start, by }], ..at(address) };
        for code in Code::ALL {
            for addresses in [&addresses, &Addresses::default()] {
                let made = rewritten(code, addresses, &bytes, old, new);
                prop_assert_eq!(made.len(), bytes.len());
            }
        }
    }
}
