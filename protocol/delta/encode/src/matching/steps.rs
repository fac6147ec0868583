//! Steps: how a piece is made, with absolute positions in a window. They can be cut where frames
//! end, which instructions with their relative shifts cannot.

use lazaret_protocol_delta::Instruction;

/// Makes `add` bytes from the window at `position`, then `insert` bytes from literals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) position: usize,
    pub(crate) add: usize,
    pub(crate) insert: usize,
}

/// All steps of a piece, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Steps(Vec<Step>);

impl Steps {
    /// Adds a step; one that makes nothing is left out.
    pub(crate) fn push(&mut self, step: Step) {
        if step.add + step.insert > 0 {
            self.0.push(step);
        }
    }

    /// Takes off the steps for the first `length` bytes.
    pub(crate) fn cut(&mut self, length: usize) -> Steps {
        let (mut first, mut rest) = (Steps::default(), Steps::default());
        let mut left = length;
        for step in self.0.drain(..) {
            let add = step.add.min(left);
            left -= add;
            let insert = step.insert.min(left);
            left -= insert;
            first.push(Step { add, insert, ..step });
            let position = step.position + add;
            rest.push(Step { position, add: step.add - add, insert: step.insert - insert });
        }
        *self = rest;
        first
    }

    /// The stretch of the window that is read: where it begins, and its length.
    pub(crate) fn range(&self) -> (usize, usize) {
        let reading = || self.0.iter().filter(|step| step.add > 0);
        let start = reading().map(|step| step.position).min().unwrap_or(0);
        let end = reading().map(|step| step.position + step.add).max().unwrap_or(start);
        (start, end - start)
    }

    /// The instructions that do the same in a window which begins at `start`; `None` when a length
    /// does not fit.
    pub(crate) fn instructions(&self, start: usize) -> Option<Vec<Instruction>> {
        let mut instructions = Vec::with_capacity(self.0.len());
        let mut position = i64::try_from(start).ok()?;
        for step in &self.0 {
            let add = u32::try_from(step.add).ok()?;
            let insert = u32::try_from(step.insert).ok()?;
            let wanted = i64::try_from(step.position).ok()?;
            let shift = if add > 0 { wanted - position } else { 0 };
            instructions.push(Instruction { add, insert, shift });
            position += shift + i64::from(add) + i64::from(insert);
        }
        Some(instructions)
    }
}
