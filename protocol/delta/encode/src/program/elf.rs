//! Programs and libraries in ELF (System V ABI, chapters 4 and 5): the machine, and the segments
//! that are loaded.

use lazaret_protocol_delta::{Code, Region};

/// Regions of the base, regions of the result, and the kinds of code to try.
type Known = (Vec<Region>, Vec<Region>, Vec<Code>);

/// What both images' headers say, if both are for the same machine.
pub(super) fn regions(base: &[u8], result: &[u8]) -> Option<Known> {
    let (base, machine) = segments(base)?;
    let (result, same) = segments(result)?;
    let codes = match machine {
        183 => vec![Code::Arm64],
        62 => vec![Code::X86],
        40 => vec![Code::Thumb],
        94 => vec![Code::Xtensa],
        _ => Code::ALL[1..].to_vec(),
    };
    (machine == same).then_some((base, result, codes))
}

/// The loaded segments of one image, and its machine.
fn segments(image: &[u8]) -> Option<(Vec<Region>, u64)> {
    if image.get(..4)? != b"\x7fELF" || image.get(5)? != &1 {
        return None;
    }
    let is_wide = image.get(4)? == &2;
    let word = if is_wide { 8 } else { 4 };
    let machine = number(image, 18, 2)?;
    let (table, entry, count) = if is_wide { (32, 54, 56) } else { (28, 42, 44) };
    let table = usize::try_from(number(image, table, word)?).ok()?;
    let entry = usize::try_from(number(image, entry, 2)?).ok()?;
    let mut regions = Vec::new();
    for index in 0..usize::try_from(number(image, count, 2)?).ok()? {
        let at = table.checked_add(entry.checked_mul(index)?)?;
        let head = image.get(at..)?;
        if number(head, 0, 4)? != 1 {
            continue;
        }
        let (offset, address, length) = if is_wide { (8, 16, 32) } else { (4, 8, 16) };
        regions.push(Region {
            offset: number(head, offset, word)?,
            length: number(head, length, word)?,
            address: number(head, address, word)?,
            program: 0,
        });
    }
    Some((regions, machine))
}

fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(length)?)?;
    Some(field.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}
