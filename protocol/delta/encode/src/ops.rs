//! Collects instructions while the result is gone through, joins neighbours that are one, and cuts
//! the list into sections.

use lazaret_protocol_delta::{Control, ControlFault, OPS_MAX, Op};

/// Instructions from the start of the result on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ops {
    list: Vec<Op>,
    /// Where the next instruction begins in the result.
    new: u64,
}

impl Ops {
    /// How much they make.
    pub(crate) fn length(&self) -> u64 {
        self.new
    }

    /// Makes `length` bytes from the base at `old`.
    pub(crate) fn add(&mut self, old: u64, mut length: u64) {
        if length == 0 {
            return;
        }
        self.new += length;
        if let Some(last) = self.list.last_mut() {
            let goes_on = last.insert == 0 && last.add > 0 && last.old + u64::from(last.add) == old;
            if goes_on && let Ok(add) = u32::try_from(u64::from(last.add) + length) {
                last.add = add;
                return;
            }
        }
        let mut old = old;
        while length > 0 {
            let add = u32::try_from(length).unwrap_or(1 << 31);
            self.list.push(Op { old, add, insert: 0 });
            old += u64::from(add);
            length -= u64::from(add);
        }
    }

    /// Makes `length` bytes from literals.
    pub(crate) fn insert(&mut self, mut length: u64) {
        self.new += length;
        if let Some(last) = self.list.last_mut()
            && let Ok(insert) = u32::try_from(u64::from(last.insert) + length)
        {
            last.insert = insert;
            return;
        }
        while length > 0 {
            let insert = u32::try_from(length).unwrap_or(1 << 31);
            self.list.push(Op { old: 0, add: 0, insert });
            length -= u64::from(insert);
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.list.len()
    }

    /// Cuts the list where frames end, so that no section has more than `ops_max` instructions, or
    /// more bytes than it may.
    pub(crate) fn sections(self, frame_bytes: u64, ops_max: usize) -> Vec<SectionOps> {
        let ops_max = ops_max.min(OPS_MAX);
        let mut cutter =
            Cutter { frame_bytes, ops_max, made: Vec::new(), frame: Vec::new(), left: frame_bytes };
        for op in self.list {
            cutter.push(op);
        }
        cutter.end_frame();
        cutter.made
    }
}

/// The instructions of one section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SectionOps {
    pub(crate) ops: Vec<Op>,
    pub(crate) frames: u32,
    pub(crate) length: u32,
}

impl SectionOps {
    /// In the form that decoding uses.
    pub(crate) fn control(&self, first: u64, base_length: u64) -> Result<Control, ControlFault> {
        Control::new(self.ops.iter().copied(), first, self.length, base_length)
    }
}

/// Sections are no longer, so that offsets in them fit 32 bits with room to spare.
const SECTION_BYTES_MAX: u64 = 1 << 30;

struct Cutter {
    frame_bytes: u64,
    ops_max: usize,
    made: Vec<SectionOps>,
    frame: Vec<Op>,
    left: u64,
}

impl Cutter {
    /// Takes an instruction, in parts where it reaches over the ends of frames.
    fn push(&mut self, mut op: Op) {
        while op.add > 0 || op.insert > 0 {
            let left = u32::try_from(self.left).unwrap_or(u32::MAX);
            let add = op.add.min(left);
            let insert = op.insert.min(left - add);
            self.frame.push(Op { old: op.old, add, insert });
            self.left -= u64::from(add) + u64::from(insert);
            op = Op { old: op.old + u64::from(add), add: op.add - add, insert: op.insert - insert };
            if self.left == 0 {
                self.end_frame();
            }
        }
    }

    fn end_frame(&mut self) {
        let mut frame = std::mem::take(&mut self.frame);
        let length = self.frame_bytes - self.left;
        self.left = self.frame_bytes;
        if frame.is_empty() {
            return;
        }
        // Where a frame is in shreds, instructions cost more than they save.
        if frame.len() > self.ops_max / 2 {
            frame = vec![Op { old: 0, add: 0, insert: u32::try_from(length).unwrap_or(0) }];
        }
        let fits = self.made.last().is_some_and(|section| {
            section.ops.len() + frame.len() <= self.ops_max
                && u64::from(section.length) + length <= SECTION_BYTES_MAX
        });
        if !fits {
            self.made.push(SectionOps { ops: Vec::new(), frames: 0, length: 0 });
        }
        if let Some(section) = self.made.last_mut() {
            for op in frame {
                section.join(op);
            }
            section.frames += 1;
            section.length += u32::try_from(length).unwrap_or(0);
        }
    }
}

impl SectionOps {
    /// Appends an instruction, or joins it to the last one, which the end of a frame cut off.
    fn join(&mut self, op: Op) {
        if let Some(last) = self.ops.last_mut() {
            let end = last.old + u64::from(last.add);
            if last.insert == 0 && last.add > 0 && op.add > 0 && op.old == end {
                last.add += op.add;
                last.insert = op.insert;
                return;
            }
            if op.add == 0 {
                last.insert += op.insert;
                return;
            }
        }
        self.ops.push(op);
    }
}
