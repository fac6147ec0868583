//! Finds out how to make a piece of the result from a window of the base. The algorithm is bsdiff's
//! (Colin Percival, 2003): exact matches from a suffix array, joined and extended while more bytes
//! agree than differ. How the steps are written is in `frame` and `streams`.

mod index;
mod scan;
mod steps;
#[cfg(test)]
mod tests;

pub(crate) use index::{Index, agreement};
pub(crate) use scan::{Around, scan};
pub(crate) use steps::Steps;
