//! x86-64 (Intel SDM, volume 2): calls and jumps of 32 bits, and operands relative to the
//! instruction pointer. Instructions are not told apart from other bytes: an opcode is taken for
//! one if what it would name lies in the image.

use super::{Place, low, signed};

pub(super) fn rewrite(place: &mut Place<'_>, bytes: &mut [u8]) {
    let mut at = 0usize;
    // The displacement starts after an opcode of one byte and up to two more.
    while let Some([first, second, third, _, _, _]) =
        bytes.get(at..).and_then(|rest| rest.first_chunk::<6>()).copied()
    {
        let length = match first {
            0xe8 | 0xe9 => 1,
            0x0f if second & 0xf0 == 0x80 => 2,
            0x0f if third & 0xc7 == 5 && second_reads(second) => 3,
            _ if second & 0xc7 == 5 && reads(first) => 2,
            _ => {
                at = at.wrapping_add(1);
                continue;
            }
        };
        let start = at.wrapping_add(length);
        at =
            if displaced(place, bytes, start) { start.wrapping_add(4) } else { at.wrapping_add(1) };
    }
}

/// Whether the displacement at `start` names a place in the image; it is then rewritten.
fn displaced(place: &mut Place<'_>, bytes: &mut [u8], start: usize) -> bool {
    let Some(field) = bytes.get_mut(start..).and_then(|rest| rest.first_chunk_mut::<4>()) else {
        return false;
    };
    let (from, to) = place.addresses(start);
    let value = signed(u32::from_le_bytes(*field), 32);
    let target = from.wrapping_add(4).wrapping_add(value);
    let Some(moved) = place.moved(target) else { return false };
    *field = low(moved.wrapping_sub(to).wrapping_sub(4)).to_le_bytes();
    true
}

/// Addresses of 32 bits, whose sign widens them: operands of instructions, tables of addresses, and
/// the low halves of pointers. They are told from other numbers by what stands around them: the end
/// of an opcode that takes one, another address, or a high half of ones.
pub(super) fn rewrite_absolute(place: &mut Place<'_>, bytes: &mut [u8]) {
    if place.old_region.is_none() || place.new_region.is_none() {
        return;
    }
    let mut at = 0usize;
    let mut before = 0x80;
    while let Some([a, b, c, top]) = bytes.get(at..).and_then(|rest| rest.first_chunk()).copied() {
        let is_topmost = top >= 0x80 && (top != 0xff || c < 0x80);
        if is_topmost && (takes_address(before) || is_high_half(bytes, at)) {
            let value = signed(u32::from_le_bytes([a, b, c, top]), 32);
            place.addresses(at);
            let moved = place.moved(value).map(|moved| low(moved).to_le_bytes());
            let field = bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<4>());
            if let (Some(moved), Some(field)) = (moved, field) {
                *field = moved;
                before = top;
                at = at.wrapping_add(4);
                continue;
            }
        }
        before = a;
        at = at.wrapping_add(1);
    }
}

/// Whether a byte can end what stands before an address: a register or an operand in ModRM or SIB
/// form, MOV and PUSH of a constant, or the top byte of another address.
fn takes_address(before: u8) -> bool {
    matches!(before, 0x80..=0xc7 | 0x68) || before & 7 == 5
}

fn is_high_half(bytes: &[u8], at: usize) -> bool {
    bytes.get(at.wrapping_add(4)..).and_then(|rest| rest.first_chunk()) == Some(&[0xffu8; 4])
}

/// Opcodes of one byte with an operand in memory: arithmetic, moves, comparisons, LEA, and the
/// groups that call, jump and push.
fn reads(opcode: u8) -> bool {
    match opcode {
        0x00..=0x3f => opcode & 7 < 4,
        0x63
        | 0x69
        | 0x6b
        | 0x80..=0x8b
        | 0x8d
        | 0xc6
        | 0xc7
        | 0xd8..=0xdf
        | 0xf6
        | 0xf7
        | 0xfe
        | 0xff => true,
        _ => false,
    }
}

/// The same of two bytes, of which the first is 0F: SSE moves and arithmetic, CMOV, MOVZX and
/// MOVSX, and the atomic ones.
fn second_reads(opcode: u8) -> bool {
    matches!(opcode,
        0x10..=0x17 | 0x28..=0x2f | 0x40..=0x7f | 0xaf..=0xb1 | 0xb6 | 0xb7 | 0xbe | 0xbf
        | 0xc0 | 0xc1 | 0xc6 | 0xd0..=0xfe)
}
