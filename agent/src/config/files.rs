//! The settings of what a release's files are held against.

use std::path::PathBuf;

use super::Reader;

/// Folders that are looked through where the settings say none: what starts programs and lets
/// people in.
const WATCHED: &[&str] = &["/etc", "/usr/local/bin", "/usr/local/sbin", "/opt"];

/// Most of them.
pub(super) const WATCHED_MAX: usize = 64;

/// What the files of the running release are held against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseFiles {
    /// The list, as `sha256sum` writes it.
    pub list: Option<PathBuf>,
    /// The folder below which its paths are.
    pub root: PathBuf,
    /// Folders in which further files are looked for.
    pub watched: Vec<PathBuf>,
}

impl ReleaseFiles {
    pub(super) fn read(from: &mut Reader<'_>) -> Self {
        let list = from.optional_path("release_files");
        let root = from.optional_path("release_root").unwrap_or_else(|| PathBuf::from("/"));
        let given = from.has("watched_paths");
        let texts = from.texts("watched_paths");
        if texts.len() > WATCHED_MAX {
            let got = texts.len();
            from.wrong("watched_paths", format!("expected at most {WATCHED_MAX}, got {got}"));
        }
        for text in texts.iter().filter(|text| !text.starts_with('/')) {
            from.wrong("watched_paths", format!("expected paths such as /etc, got {text:?}"));
        }
        let watched = if given {
            texts.into_iter().map(PathBuf::from).collect()
        } else {
            WATCHED.iter().map(PathBuf::from).collect()
        };
        Self { list, root, watched }
    }
}
