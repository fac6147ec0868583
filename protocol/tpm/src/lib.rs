//! TPM 2.0 as the server meets it: the public areas that devices send, the statements that their
//! TPMs sign, and the credential that only one TPM can open. Pure: no TPM is spoken to here, and
//! who is believed in the end is the server's to decide.
//!
//! Source: Trusted Platform Module Library, revision 01.59: part 1 (architecture), part 2
//! (structures). Everything is big-endian, and every list and buffer has its length in front.
#![no_std]
#![warn(clippy::arithmetic_side_effects)]

extern crate alloc;

pub mod attest;
pub mod credential;
pub mod enrolment;
pub mod public;
mod reader;

pub use reader::TpmError;
