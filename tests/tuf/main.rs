//! The TUF client against repositories that python-tuf makes and signs, and beside the two other
//! clients of this specification: python-tuf's own and tough.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails where it is wrong about what there is"
)]

mod canonical;
mod differential;
mod generated;
mod scenarios;
