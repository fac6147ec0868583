//! From releases to a signed repository: checks what a ceremony made, signs what a server may sign, and
//! has tough read the whole before any of it is activated. Bytes in, bytes out; where they are kept is
//! the caller's. Nothing here decides who gets what, and nothing here can sign for an offline role.

mod activate;
mod error;
mod files;
mod reader;
mod trusted;
mod upload;

pub use activate::{Activation, activate, refresh_timestamp};
pub use error::PublishError;
pub use files::Files;
pub use lazaret_repo_keys_signing::metadata::rules::{DeltaEntry, ImageEntry};
pub use reader::second_reader;
pub use trusted::{Expiry, expiries, images, offline_keys};
pub use upload::check_upload;

#[cfg(test)]
mod tests;
