//! Bytes by their SHA-256: images, deltas and evidence bundles. What they mean, who may have them
//! and how long they are kept is decided elsewhere; here they arrive, stay and leave.

pub mod blob;
#[cfg(test)]
mod contract;
pub mod stores;
