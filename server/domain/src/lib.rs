//! What the fleet should do, decided from values alone. No clock, no store, no randomness: all
//! three come in as arguments, so that any decision can be replayed from what it read.
#![no_std]
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

extern crate alloc;

pub mod attribute;
pub mod bundle;
pub mod claim;
pub mod device;
pub mod enroll;
pub mod event;
pub mod filter;
pub mod poll;
pub mod quarantine;
pub mod record;
pub mod refused;
pub mod release;
pub mod report;
pub mod repository;
pub mod rollout;
pub mod upload;
