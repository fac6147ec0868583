//! What programs say to each other: identifiers, time, limits, signed envelopes, and the messages
//! of the device, operator and responder interfaces. No clock, disk, network or randomness lives
//! here.
#![no_std]
#![warn(clippy::arithmetic_side_effects)]

extern crate alloc;

pub mod anchors;
pub mod canonical;
pub mod digest;
pub mod enroll;
pub mod id;
pub mod key;
pub mod limits;
pub mod operator;
pub mod order;
pub mod poll;
pub mod refusal;
pub mod report;
pub mod signed;
pub mod target;
pub mod time;
