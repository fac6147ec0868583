//! What a device's evidence is made of and when it is believed: the forensic log, the signed
//! manifest of a bundle, and the verdict over a bundle's parts; and the server's audit log. Pure:
//! bytes in, verdict out. Reading files, archives and certificates is the caller's; making
//! signatures is the device's.
#![no_std]
#![warn(clippy::arithmetic_side_effects)]

extern crate alloc;

pub mod age;
pub mod audit;
pub mod bundle;
pub mod custody;
pub mod device_log;
pub mod log;
pub mod manifest;
pub mod release;
pub mod sums;
pub mod text;
pub mod tlog;
pub mod verdict;
