//! What programs say to each other: identifiers, time, limits, signed envelopes, and the messages
//! of the device, operator and responder interfaces. No clock, disk, network or randomness lives
//! here.
#![no_std]
#![warn(clippy::arithmetic_side_effects)]

#[cfg_attr(feature = "schema", macro_use)]
extern crate alloc;
// What utoipa derives names it.
#[cfg(feature = "schema")]
extern crate std;

pub mod anchors;
pub mod attested;
pub mod canonical;
pub mod containment;
pub mod digest;
pub mod enroll;
pub mod id;
pub mod key;
pub mod limits;
pub mod offline;
pub mod operator;
pub mod order;
pub mod poll;
pub mod receipt;
pub mod refusal;
pub mod release;
pub mod report;
#[cfg(feature = "schema")]
pub mod schema;
pub mod signed;
pub mod sshsig;
pub mod target;
pub mod time;
