//! Every size and count that a repository can make grow, with its unit and its reason.

use lazaret_protocol::limits::{METADATA_BYTES_MAX, SIGNATURES_MAX};

/// What one refresh may cost. The defaults are those of python-tuf's client where it has one, so
/// that what one client reads the other reads too; a small device sets smaller ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Largest root file, in bytes (W of TUF 5.3.3). A 3-of-5 root takes 4 kB.
    pub root_bytes_max: u64,
    /// Largest timestamp file, in bytes (X of TUF 5.4.1). Ours takes under 500.
    pub timestamp_bytes_max: u64,
    /// Largest snapshot file, in bytes (Y of TUF 5.5.1). 100 models take 15 kB with hashes.
    pub snapshot_bytes_max: u64,
    /// Largest file of the targets role or of a delegated one, in bytes (Z of TUF 5.6.1).
    pub targets_bytes_max: u64,
    /// Root files taken in one refresh (Y of TUF 5.3.3); the next refresh goes on from there.
    pub root_rotations_max: u32,
    /// Delegated roles that one search may visit (TUF 5.6.7.1).
    pub delegations_max: usize,
    /// Signatures on one file, which is also how many are ever checked.
    pub signatures_max: usize,
    /// JSON values (keys not counted) in one file. Bounds memory: an object of seven bytes of
    /// text takes over 600 bytes once read, so a limit in bytes alone would not.
    pub json_values_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            root_bytes_max: 512_000,
            timestamp_bytes_max: 16_384,
            snapshot_bytes_max: 2_000_000,
            targets_bytes_max: METADATA_BYTES_MAX,
            root_rotations_max: 1024,
            delegations_max: 32,
            signatures_max: SIGNATURES_MAX,
            json_values_max: 100_000,
        }
    }
}
