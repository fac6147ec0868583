//! Transparency logs as C2SP writes them, so that tools that are not ours read them too: the Merkle
//! tree of RFC 6962 (`tree`), its tiles and entry bundles (`tile`), inclusion and consistency
//! (`proof`), signed notes (`note`) and the checkpoints they carry (`checkpoint`). What is logged
//! and who keeps it is not known here; nothing here reads a file or signs anything.
//!
//! Sources: c2sp.org/tlog-tiles, c2sp.org/signed-note, c2sp.org/tlog-checkpoint,
//! c2sp.org/tlog-cosignature, c2sp.org/tlog-proof; RFC 6962 section 2.1, RFC 9162 section 2.1.

pub mod checkpoint;
pub mod note;
pub mod proof;
pub mod tile;
pub mod tree;
