//! The whole workflow against a small repository simulator: every clause and every named attack.
#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

mod delegations;
mod device;
mod hostile;
mod keys;
mod python_tuf;
mod repository;
mod root;
mod snapshot;
mod targets;
mod timestamp;
mod upkeep;
