//! What the server keeps: records and the event log, behind one port with an engine of choice.
//! Bytes of images and bundles are `lazaret-server-blobs`; no rule about a device or a rollout
//! lives here.

pub mod backend;
pub mod backends;
#[cfg(test)]
mod contract;
pub mod faulty;
mod store;

pub use store::{Committed, Store, StoreError};
