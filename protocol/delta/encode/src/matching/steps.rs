//! Steps: how a piece is made, with positions in the window.

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

    /// The steps in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Step> {
        self.0.iter()
    }
}
