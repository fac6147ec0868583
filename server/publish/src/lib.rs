//! From releases to a signed repository: checks what a ceremony made, signs what a server may sign,
//! and has tough read the whole before any of it is activated. Bytes in, bytes out; where they are
//! kept is the caller's. Nothing here decides who gets what, and nothing here can sign for an
//! offline role.

mod activate;
mod delta;
mod error;
mod reader;
mod served;
mod trusted;
mod upload;

pub use activate::{Activation, activate, check_uploads, refresh_timestamp};
pub use delta::{DELTA_FORMAT, DeltaMade, MakeDeltaError, make_delta};
pub use error::PublishError;
pub use lazaret_repo_keys_signing::metadata::rules::{DeltaEntry, EmergencyEntry, ImageEntry};
pub use lazaret_repo_keys_signing::repository::Files;
pub use lazaret_repo_keys_signing::{KeyError, OnlineKeys};
pub use reader::second_reader;
pub use served::{anchors, models};
pub use trusted::{Expiry, emergencies, expiries, images, offline_keys};
pub use upload::check_upload;

#[cfg(test)]
mod tests;
