//! The offline bundle: one tar file that carries a release, and the signed metadata that leads to
//! it, to a device without a network. `lazaret release export` writes it, `lazaret-agent apply`
//! reads it. Nothing in it is believed for being there: every byte that counts is signed by TUF.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::id::{ModelName, VersionName};
use crate::time::Timestamp;

/// The format that this code writes and reads.
pub const BUNDLE_FORMAT: &str = "lazaret-offline-1";

/// The first entry of the tar: an [`OfflineManifest`] as JSON.
pub const MANIFEST_PATH: &str = "lazaret-offline.json";

/// The folder of metadata in the tar; names below it are those of the repository.
pub const METADATA_FOLDER: &str = "metadata/";

/// The folder of targets in the tar; names below it are those of the repository.
pub const TARGETS_FOLDER: &str = "targets/";

/// Largest manifest, in bytes: a line of about 400 for each of [`BUNDLE_FILES_MAX`] files.
pub const MANIFEST_BYTES_MAX: u64 = 512 * 1024;

/// Most files in a bundle. A root a month for 80 years is 960; an image has a few deltas.
pub const BUNDLE_FILES_MAX: usize = 1200;

/// Longest name in a bundle, in bytes: two folders of 64, a digest, and `from-<base>.delta`.
pub const BUNDLE_NAME_BYTES_MAX: usize = 320;

/// What a bundle says of itself, for people and for the check that it is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfflineManifest {
    /// [`BUNDLE_FORMAT`].
    pub format: String,
    /// The hardware model that the release is for.
    pub model: ModelName,
    /// The release.
    pub version: VersionName,
    /// When the bundle was made.
    pub made: Timestamp,
    /// When the first of its signatures lapses: after that a device takes it only where somebody
    /// overrules `freshness`, and not at all once root, targets or release have lapsed.
    pub fresh_until: Timestamp,
    /// Releases that it has a delta from.
    pub deltas_from: Vec<VersionName>,
    /// Every other entry of the tar, in its order.
    pub files: Vec<OfflineFile>,
}

/// One entry of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfflineFile {
    /// Its name in the tar.
    pub path: String,
    /// Its length in bytes.
    pub length: u64,
    /// Its digest.
    pub sha256: Sha256Digest,
}

/// Whether a name may stand in a bundle: `metadata/FILE`, or `targets/...` of plain segments. No
/// name leads out of the bundle, and none means two things.
#[must_use]
pub fn is_bundle_name(name: &str) -> bool {
    let plain = |segment: &str| {
        let known = |c: char| c.is_ascii_alphanumeric() || "._-~%+@=,".contains(c);
        !segment.is_empty() && segment != "." && segment != ".." && segment.chars().all(known)
    };
    if name.len() > BUNDLE_NAME_BYTES_MAX {
        return false;
    }
    match (name.strip_prefix(METADATA_FOLDER), name.strip_prefix(TARGETS_FOLDER)) {
        (Some(file), _) => plain(file),
        (_, Some(path)) => path.split('/').all(plain),
        _ => name == MANIFEST_PATH,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_a_bundle() {
        for good in [MANIFEST_PATH, "metadata/1.root.json", "targets/gw2/1.0/ab.from-0.9.delta"] {
            assert!(is_bundle_name(good), "{good}");
        }
        let long = ["targets/", &"a".repeat(BUNDLE_NAME_BYTES_MAX)].concat();
        for bad in [
            "",
            "/metadata/a",
            "metadata/",
            "metadata/../a",
            "metadata/a/b",
            "targets/../a",
            "targets//a",
            "targets/a/",
            "targets/./a",
            "targets/a\\b",
            "targets/a\0",
            "targets/a b",
            "other/a",
            "a",
            "targets",
            long.as_str(),
        ] {
            assert!(!is_bundle_name(bad), "{bad:?}");
        }
    }
}
