//! What the fleet should do, decided from values alone. No clock, no store, no randomness: all
//! three come in as arguments, so that any decision can be replayed from what it read.
#![no_std]
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

#[cfg_attr(feature = "schema", macro_use)]
extern crate alloc;
// What utoipa derives names it.
#[cfg(feature = "schema")]
extern crate std;

pub mod access;
pub mod anomaly;
pub mod approver;
pub mod attestation;
pub mod attribute;
pub mod audit;
pub mod bundle;
pub mod claim;
pub mod clone;
pub mod device;
pub mod enroll;
pub mod event;
pub mod factory;
pub mod filter;
pub mod incident;
pub mod inventory;
pub mod label;
pub mod measurement;
pub mod number;
pub mod poll;
pub mod quarantine;
pub mod record;
pub mod refused;
pub mod release;
pub mod report;
pub mod repository;
pub mod retire;
pub mod rollout;
pub mod sweep;
pub mod upload;
pub mod webhook;
pub mod witness;
