//! The client workflow of The Update Framework (specification 1.0.33), without I/O: metadata bytes
//! and the time go in, the next wanted file or a trusted target comes out. No clock, disk, network
//! or randomness lives here, and nothing here writes or signs metadata.
//!
//! # Driving it
//!
//! [`Refresh`] and [`Search`] are both a [`Machine`]: it says which file it wants, the shell
//! fetches it and supplies it, until nothing is wanted. Then the shell carries out the changes to
//! its disk, and last writes the floors to its journal; also after an error.
//!
//! ```
//! use lazaret_protocol::time::Timestamp;
//! use lazaret_protocol_tuf::*;
//!
//! /// What a shell brings: the repository, the disk and the journal.
//! trait Shell {
//!     /// GET `<base>/metadata/<name>`, of which at most `length_max + 1` bytes are read.
//!     fn fetch(&mut self, wanted: &WantedFile) -> Result<Supplied, ShellError>;
//!     /// Makes one change durable.
//!     fn carry_out(&mut self, change: Change) -> Result<(), ShellError>;
//!     fn journal(&mut self, floors: Floors, notices: Vec<Notice>) -> Result<(), ShellError>;
//! }
//!
//! enum ShellError {
//!     Tuf(TufError),
//!     Io(std::io::Error),
//! }
//! # impl From<TufError> for ShellError { fn from(err: TufError) -> Self { Self::Tuf(err) } }
//!
//! fn drive(machine: &mut impl Machine, shell: &mut impl Shell) -> Result<(), ShellError> {
//!     let outcome = loop {
//!         let Want::File(wanted) = machine.next() else { break Ok(()) };
//!         let supplied = match shell.fetch(&wanted) {
//!             Ok(supplied) => supplied,
//!             Err(err) => break Err(err),
//!         };
//!         if let Err(err) = machine.supply(supplied) {
//!             break Err(err.into());
//!         }
//!     };
//!     for change in machine.keep() {
//!         shell.carry_out(change)?;
//!     }
//!     shell.journal(machine.floors(), machine.notices())?;
//!     outcome
//! }
//!
//! fn image(
//!     stored: Stored,
//!     floors: Floors,
//!     now: Timestamp,
//!     shell: &mut impl Shell,
//! ) -> Result<Target, ShellError> {
//!     let mut refresh = Refresh::begin(stored, floors, now, Limits::default())?;
//!     drive(&mut refresh, shell)?;
//!     let mut trusted = refresh.finish()?;
//!     let mut search = trusted.find("model-7/1.4.0/image");
//!     drive(&mut search, shell)?;
//!     Ok(search.finish()?)
//! }
//! ```
//!
//! The target is then fetched from `<base>/targets/<wire_path>`, and what arrives is checked with
//! [`Target::check`] while it streams.
//!
//! # What is decided here where the specification leaves it open
//!
//! - Keys: ed25519 (strictly verified) and ECDSA over P-256; with the feature `rsa`, which no
//!   device has, also RSA-PSS. Keys of other types or schemes are left aside and never count. A key
//!   id only finds a key; keys are counted.
//! - Hashes: sha256 and sha512; all of these that are listed must match. Others are left aside, and
//!   an entry with only others is refused.
//! - Numbers are integers of 64 bits. Metadata with fractions, exponents or larger integers is
//!   malformed, and so is an object that names a member twice.
//! - "Keys have been rotated" (5.3.11) means: the key ids, keys or threshold of timestamp or
//!   snapshot differ from those of the root before. Then both files are dropped, and so are the
//!   floors of the journal that were reached under the old keys.
//! - An unchanged timestamp (5.4.3.1) asks for nothing more where all that it lists is stored, and
//!   for what is missing otherwise. With nothing new a refresh takes two requests.
//! - A stored file is used where it is exactly what is listed, and verified again each time, a
//!   delegated role against the delegator that it was reached by. Metadata that expired in the
//!   store is not asked for again under the same version.
//! - Paths (4.5): `*`, `?` and `[...]` within one path segment; a backslash and a leading dot are
//!   characters like any other.
//! - Targets are searched for in order; a role on the way that cannot be verified ends the search
//!   (5.6.7) with [`TufError::RoleUnverified`], which is not [`TufError::TargetNotFound`].
//! - Not done: mirrors.json (4.7), several repositories (TAP 4), and deciding which mirror to ask.
#![no_std]
#![warn(clippy::arithmetic_side_effects)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod envelope;
mod error;
mod json;
mod keys;
mod limits;
mod machine;
mod metadata;
mod name;
mod pattern;
mod refresh;
mod search;
mod stored;
mod target;
mod targets;
mod trust;

#[cfg(test)]
mod tests;

pub use error::{Mismatch, TufError};
pub use limits::Limits;
pub use machine::{Machine, Presence, Supplied, Want, WantedFile};
pub use metadata::Hashes;
pub use name::{local_name, role_of_local_name};
pub use refresh::Refresh;
pub use search::{Search, Trusted};
pub use stored::{Change, Floors, Notice, Stored};
pub use target::{Target, TargetCheck};
