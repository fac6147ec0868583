//! Measures: what containment does to this device. Each is a file and a line in [`MEASURES`]; each
//! applies, is then tried, and can be undone. Whether a device is contained is decided from their
//! verdicts elsewhere; nothing here knows of orders or journals.

use std::path::Path;

use lazaret_protocol::containment::{MeasureWord, Terms};

use crate::durable::Durable;

mod nftables;
mod services;

/// What a measure goes by.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The terms of the order, which were checked.
    pub terms: &'a Terms,
    /// A folder of the agent's, for what a measure has to remember to undo.
    pub folder: &'a Path,
    /// How it is kept.
    pub durable: &'a Durable,
}

/// Why a measure is not in force: what was expected and what came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct MeasureFailure {
    /// In words.
    pub why: String,
}

impl MeasureFailure {
    pub(crate) fn because(why: impl Into<String>) -> Self {
        Self { why: why.into() }
    }
}

/// One thing that containment does. Each of these may be called again at any time: after a restart,
/// after a power cut in its midst, with other terms.
pub trait Measure: std::fmt::Debug {
    /// Puts it in force, in one step where there is one. What was in force before stays so until
    /// the new is.
    ///
    /// # Errors
    /// It cannot be put in force.
    fn apply(&self, wanted: Wanted<'_>) -> Result<(), MeasureFailure>;

    /// Tries whether it is in force: looks at what the system says, and does what it must prevent.
    ///
    /// # Errors
    /// It is not.
    fn verify(&self, wanted: Wanted<'_>) -> Result<(), MeasureFailure>;

    /// Takes it back, where it is in force.
    ///
    /// # Errors
    /// It cannot be taken back.
    fn undo(&self, folder: &Path) -> Result<(), MeasureFailure>;
}

/// A measure of the table: its name, whether terms ask for it, and how it is made.
pub type Entry = (&'static str, fn(&Terms) -> bool, fn() -> Box<dyn Measure>);

/// Every measure, in the order in which they are applied: the network first, because what is
/// stopped may say goodbye.
pub const MEASURES: &[Entry] = &[
    ("nftables", |terms| terms.level.closes_network(), || Box::<nftables::Nftables>::default()),
    ("services", |terms| !terms.stop.is_empty(), || Box::<services::Services>::default()),
];

/// Applies and tries every measure that the terms ask for. One that fails stops none of the others.
#[must_use]
pub fn carry_out(wanted: Wanted<'_>) -> Vec<MeasureWord> {
    each(wanted, |measure| {
        measure.apply(wanted)?;
        measure.verify(wanted)
    })
}

/// Tries every measure that the terms ask for, and changes nothing.
#[must_use]
pub fn look(wanted: Wanted<'_>) -> Vec<MeasureWord> {
    each(wanted, |measure| measure.verify(wanted))
}

fn each(
    wanted: Wanted<'_>,
    tried: impl Fn(&dyn Measure) -> Result<(), MeasureFailure>,
) -> Vec<MeasureWord> {
    let asked = MEASURES.iter().filter(|(_, asked, _)| asked(wanted.terms));
    let words = asked.map(|(name, _, make)| MeasureWord {
        name: (*name).to_owned(),
        failed: tried(&*make()).err().map(|failure| failure.why),
    });
    words.collect()
}

/// Takes every measure back. One that fails stops none of the others.
#[must_use]
pub fn undo_all(folder: &Path) -> Vec<MeasureWord> {
    let words = MEASURES.iter().map(|(name, _, make)| MeasureWord {
        name: (*name).to_owned(),
        failed: make().undo(folder).err().map(|failure| failure.why),
    });
    words.collect()
}

#[cfg(test)]
mod tests;
