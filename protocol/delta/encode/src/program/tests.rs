//! Programs are found wherever they begin, and what they name outside of the image is learnt.

use super::*;
use crate::plan::Pair;
use lazaret_protocol_delta::layout::Segment;
use lazaret_protocol_delta::{Op, Shift};

/// The head of a program of two loaded segments: 64 bytes from 0 at `address`, 256 from 64 behind
/// 4096 more.
fn elf(machine: u16, address: u64) -> Vec<u8> {
    let mut image = vec![0; 320];
    image[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    image[18..20].copy_from_slice(&machine.to_le_bytes());
    image[32] = 64;
    image[54] = 56;
    image[56] = 2;
    for (at, offset, address, length) in [(64, 0, address, 176), (120, 176, address + 4096, 144)] {
        image[at] = 1;
        for (field, value) in [(8, offset), (16, address), (32, length)] {
            image[at + field..at + field + 8].copy_from_slice(&u64::to_le_bytes(value));
        }
    }
    image
}

fn found(image: &Vec<u8>, layout: &Layout) -> Vec<(u64, u64, Vec<(u64, u64, u64)>)> {
    let length = image.len() as u64;
    let programs = elf::programs(image, Side::Base, length, layout).unwrap();
    let region = |region: &Region| (region.offset, region.length, region.address);
    programs.iter().map(|it| (it.start, it.end, it.regions.iter().map(region).collect())).collect()
}

#[test]
fn programs_are_found_wherever_they_begin() {
    let mut image = vec![0x7f; 1000];
    image.extend(elf(183, 0x1000));
    image.extend(b"\x7fELF no program");
    image.extend(elf(62, 0x40_0000));
    let second = 1000 + 320 + 15;
    let expected = vec![
        (1000, 1320, vec![(1000, 176, 0x1000), (1176, 144, 0x2000)]),
        (second, second + 320, vec![(second, 176, 0x40_0000), (second + 176, 144, 0x40_1000)]),
    ];
    assert_eq!(found(&image, &Layout::default()), expected);
}

#[test]
fn a_program_in_two_packed_parts_has_its_regions_cut_between_them() {
    // 100 bytes, the first 200 of the program, 4 that are none of its own, and the rest.
    let mut image = vec![0; 100];
    let program = elf(183, 0x1000);
    image.extend(&program[..200]);
    image.extend([9; 4]);
    image.extend(&program[200..]);
    let packed = |unpacked| Segment::Packed { codec: 3, parameter: 0, packed: 50, unpacked };
    let plain = |length| Segment::Plain { length };
    let layout = Layout::new([plain(100), packed(200), plain(4), packed(120)]).unwrap();
    let regions = vec![(100, 176, 0x1000), (276, 24, 0x2000), (304, 120, 0x2018)];
    assert_eq!(found(&image, &layout), vec![(100, 424, regions)]);
}

/// Words that point to variables behind the image, in both images, `shift` bytes apart from the
/// hundredth on.
fn pointers(by: u32) -> Vec<u8> {
    let address = |number: u32| 0x2000_0000 + number * 4 + if number < 100 { 0 } else { by };
    (0..200).flat_map(|number| address(number).to_le_bytes()).collect()
}

#[test]
fn how_variables_outside_of_the_image_move_is_learnt() {
    let (base, result) = (pointers(0), pointers(64));
    let pair = Pair { base: &base, base_length: 800, result: &result, result_length: 800 };
    let control = Control::new([Op { old: 0, add: 800, insert: 0 }], 0, 800, 800).unwrap();
    let plain = Layout::default();
    let known = Known {
        base_layout: &plain,
        result_layout: &plain,
        same: &[],
        controls: &[control],
        threads: 1,
    };
    let region = vec![Region { offset: 0, length: 800, address: 0x1000_0000, program: 0 }];
    let addresses = Addresses { base: region.clone(), result: region, shifts: Vec::new() };
    let programs = Programs { addresses, codes: vec![Code::Thumb] };
    let shift = |start, by| Shift { program: 0, start, by };
    let expected = vec![shift(0x2000_0000 + 400, 64), shift(0x2000_0000 + 796 + 64, 0)];
    assert_eq!(shifts::learnt(&pair, &known, &programs).unwrap(), expected);
}
