//! Programs and libraries in ELF (System V ABI, chapters 4 and 5), wherever in an image they begin:
//! the machine, and the segments that are loaded. A file that is not stored in one piece is read as
//! if it were; its regions are then wrong from there on, which costs nothing but the chance.

use super::HEAD_BYTES;
use crate::error::{EncodeError, Side};
use crate::source::{ReadAt, read};
use lazaret_protocol_delta::layout::{Layout, Segment};
use lazaret_protocol_delta::{Code, Region};

/// How much is searched at a time.
const WINDOW_BYTES: u64 = 4 << 20;

const MARK: &[u8; 4] = b"\x7fELF";

/// The longest stretch between two packed parts of one stream: the length of an LZ4 block.
const GAP_BYTES_MAX: u64 = 16;

/// x86-64 kernels run in the last two gigabytes.
const TOPMOST: u64 = 0xffff_ffff_8000_0000;

/// Where what follows a kernel's program in its image is said to lie: far from everything.
const BEHIND: u64 = 1 << 46;

/// A program in an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) start: u64,
    pub(super) end: u64,
    machine: u64,
    pub(super) regions: Vec<Region>,
}

impl Program {
    /// The kinds of code to try.
    pub(super) fn codes(&self) -> &'static [Code] {
        match self.machine {
            183 => &[Code::Arm64],
            62 if self.is_topmost() => &[Code::X86, Code::X86Absolute],
            62 => &[Code::X86],
            40 => &[Code::Thumb],
            94 => &[Code::Xtensa],
            _ => &[],
        }
    }

    fn is_topmost(&self) -> bool {
        self.machine == 62 && self.regions.iter().any(|region| region.address >= TOPMOST)
    }
}

/// All programs of an image, in order and none inside another.
pub(super) fn programs(
    image: &dyn ReadAt,
    side: Side,
    length: u64,
    layout: &Layout,
) -> Result<Vec<Program>, EncodeError> {
    let stretches = Stretches::of(layout);
    let mut programs = Vec::new();
    let (mut from, mut searched) = (0, 0);
    while from < length {
        let window = read(image, side, from, WINDOW_BYTES.min(length - from))?;
        let mut rest = window.as_slice();
        let mut at = from;
        while let Some(skip) = find(rest) {
            at += skip as u64;
            rest = rest.get(skip + 1..).unwrap_or_default();
            if at >= searched {
                let head = read(image, side, at, HEAD_BYTES.min(length - at))?;
                if let Some(program) = program(&head, at, length, &stretches) {
                    searched = program.end;
                    programs.push(program);
                }
            }
            at += 1;
        }
        // A mark that is cut is found again whole.
        let overlap = MARK.len() as u64 - 1;
        from += (window.len() as u64).saturating_sub(overlap).max(1);
        if from + overlap >= length {
            break;
        }
    }
    Ok(programs)
}

fn find(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += bytes.get(at..)?.iter().position(|byte| *byte == MARK[0])?;
        if bytes.get(at..)?.starts_with(MARK) {
            return Some(at);
        }
        at += 1;
    }
}

/// The program whose head this is.
fn program(head: &[u8], start: u64, length: u64, stretches: &Stretches) -> Option<Program> {
    if head.get(..4)? != MARK || head.get(5)? != &1 || head.get(6)? != &1 {
        return None;
    }
    let is_wide = head.get(4)? == &2;
    let word = if is_wide { 8 } else { 4 };
    let machine = number(head, 18, 2)?;
    let (table, entry, count) = if is_wide { (32, 54, 56) } else { (28, 42, 44) };
    let table = usize::try_from(number(head, table, word)?).ok()?;
    let entry = usize::try_from(number(head, entry, 2)?).ok()?;
    let (sections, size, sections_count) = if is_wide { (40, 58, 60) } else { (32, 46, 48) };
    let sections = number(head, sections, word)?;
    let tables = number(head, size, 2)?.checked_mul(number(head, sections_count, 2)?)?;
    let mut content = sections.checked_add(tables)?;
    let mut loaded = Vec::new();
    let mut behind = 0;
    for index in 0..usize::try_from(number(head, count, 2)?).ok()? {
        let at = table.checked_add(entry.checked_mul(index)?)?;
        let entry = head.get(at..)?;
        if number(entry, 0, 4)? != 1 {
            continue;
        }
        let (offset, address, length) = if is_wide { (8, 16, 32) } else { (4, 8, 16) };
        let (offset, length) = (number(entry, offset, word)?, number(entry, length, word)?);
        loaded.push((offset, number(entry, address, word)?, length));
        behind = behind.max(offset.checked_add(length)?);
    }
    content = content.max(behind);
    let end = stretches.place(start, content).min(length);
    if end <= start {
        return None;
    }
    let mut program = Program { start, end, machine, regions: Vec::new() };
    for (offset, address, length) in loaded {
        program.regions.extend(stretches.regions(start, offset, length, address));
    }
    // A kernel that unpacks itself has the places of its addresses in a table behind it.
    if program.is_topmost()
        && let Some(end) = stretches.end_of(start)
    {
        let from = stretches.place(start, behind);
        program.end = program.end.max(end);
        let length = end.saturating_sub(from);
        program.regions.push(Region { offset: from, length, address: BEHIND, program: 0 });
    }
    Some(program)
}

/// Packed parts that follow each other and are one stream: where it begins and ends, and the bytes
/// between its parts, which are none of its own.
struct Stretches(Vec<Stretch>);

struct Stretch {
    start: u64,
    end: u64,
    /// Where each gap begins, and how long it is.
    gaps: Vec<(u64, u64)>,
}

impl Stretches {
    fn of(layout: &Layout) -> Stretches {
        let mut all: Vec<Stretch> = Vec::new();
        for placed in layout.placed() {
            let Segment::Packed { unpacked, .. } = placed.segment else { continue };
            let start = placed.expanded_offset;
            let end = start + u64::from(unpacked);
            match all.last_mut() {
                Some(last) if start - last.end <= GAP_BYTES_MAX => {
                    if start > last.end {
                        last.gaps.push((last.end, start - last.end));
                    }
                    last.end = end;
                }
                _ => all.push(Stretch { start, end, gaps: Vec::new() }),
            }
        }
        Stretches(all)
    }

    fn around(&self, offset: u64) -> Option<&Stretch> {
        let after = self.0.partition_point(|stretch| stretch.start <= offset);
        self.0.get(after.checked_sub(1)?).filter(|stretch| offset < stretch.end)
    }

    /// Where the stream ends that holds this offset, if one does.
    fn end_of(&self, offset: u64) -> Option<u64> {
        self.around(offset).map(|stretch| stretch.end)
    }

    /// Where the byte stands that is `by` bytes of content after `start`.
    fn place(&self, start: u64, by: u64) -> u64 {
        let mut place = start.saturating_add(by);
        for (at, length) in self.around(start).map_or(&[][..], |stretch| &stretch.gaps) {
            if *at >= start && *at <= place {
                place = place.saturating_add(*length);
            }
        }
        place
    }

    /// The regions that `length` bytes of content make, from `by` bytes after `start` on.
    fn regions(&self, start: u64, by: u64, length: u64, address: u64) -> Vec<Region> {
        let (mut offset, end) = (self.place(start, by), self.place(start, by + length));
        let mut address = address;
        let mut regions = Vec::new();
        let gaps = self.around(start).map_or(&[][..], |stretch| &stretch.gaps);
        for (at, gap) in gaps.iter().filter(|(at, _)| *at < end) {
            let Some(length) = at.checked_sub(offset) else { continue };
            regions.push(Region { offset, length, address, program: 0 });
            address = address.wrapping_add(length);
            offset = at + gap;
        }
        regions.push(Region { offset, length: end.saturating_sub(offset), address, program: 0 });
        regions
    }
}

fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(length)?)?;
    Some(field.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}
