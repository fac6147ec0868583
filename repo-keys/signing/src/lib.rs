//! Signing the repository: roles as two types (what the server may sign, and what only people sign
//! in a ceremony), key files, and the metadata that both sides read and make. No network, and no
//! decision about what a release should be: `lazaret-keys` and the server's publish room take
//! those.

pub mod durable;
pub mod key;
pub mod metadata;
pub mod online;
pub mod passphrase;
pub mod repository;
pub mod role;
pub mod sealed;
pub mod sources;

pub use key::{HolderPublic, KeyError};
pub use online::{OnlineKeys, OnlinePublic};
pub use passphrase::{Passphrase, Pin};
pub use role::{FileName, OfflineRole, OnlineRole, RoleName};
