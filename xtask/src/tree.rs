//! The tree under check: where its files are and what they are for. It only reads; what a rule
//! makes of a file lives with the rule.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// What cargo puts into a build folder. Its name says nothing: `target` is also a word of ours.
const MARK_OF_A_BUILD_FOLDER: &str = "CACHEDIR.TAG";

/// A checkout of the workspace, or a copy of one.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    root: PathBuf,
}

/// A text file of the tree.
#[derive(Debug, Clone)]
pub(crate) struct SourceFile {
    /// The path from the root, with forward slashes.
    pub(crate) path: String,
    /// What it says.
    pub(crate) text: String,
}

impl SourceFile {
    /// Whether it holds tests alone: `tests.rs`, anything in a folder `tests`, or the crate
    /// `tests`.
    pub(crate) fn is_test(&self) -> bool {
        self.path.split('/').any(|part| part == "tests" || part == "tests.rs")
    }

    /// Whether it lies in `folder`, or is that very file.
    pub(crate) fn is_in(&self, folder: &str) -> bool {
        lies_in(&self.path, folder)
    }
}

/// Whether `path` is `folder` itself or below it.
pub(crate) fn lies_in(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Tree {
    /// The workspace that this tool was built from.
    pub(crate) fn of_this_workspace() -> Self {
        let own_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        Self::at(own_folder.parent().unwrap_or(own_folder))
    }

    /// The tree at `root`.
    pub(crate) fn at(root: &Path) -> Self {
        Self { root: root.to_path_buf() }
    }

    /// Where it starts.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The text of one file.
    ///
    /// # Errors
    /// There is no such file, or it is not UTF-8.
    pub(crate) fn read(&self, path: &str) -> anyhow::Result<String> {
        fs::read_to_string(self.root.join(path)).with_context(|| format!("reading {path}"))
    }

    /// Whether there is such a file or folder.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    /// Every file whose name ends in `.extension`, in the order of their paths.
    ///
    /// # Errors
    /// A folder cannot be listed or a file cannot be read.
    pub(crate) fn files(&self, extension: &str) -> anyhow::Result<Vec<SourceFile>> {
        let mut paths = Vec::new();
        collect(&self.root, &mut paths)?;
        paths.sort();
        let mut files = Vec::new();
        for path in paths.iter().filter(|path| path.extension().is_some_and(|e| e == extension)) {
            let relative = path.strip_prefix(&self.root).unwrap_or(path);
            let path = relative.to_string_lossy().replace('\\', "/");
            let text = self.read(&path)?;
            files.push(SourceFile { path, text });
        }
        Ok(files)
    }
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type()?;
        if kind.is_dir() {
            if !name.starts_with('.') && !entry.path().join(MARK_OF_A_BUILD_FOLDER).exists() {
                collect(&entry.path(), into)?;
            }
        } else if kind.is_file() {
            into.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn build_folder_is_skipped_whatever_its_name_and_a_room_called_target_is_not() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        for path in ["src/target/tests.rs", "built/debug/out.rs", "built/CACHEDIR.TAG", ".git/a.rs"]
        {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::File::create(path).expect("a file");
        }
        let files = Tree::at(folder.path()).files("rs").expect("the tree is listed");
        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["src/target/tests.rs"]);
    }
}
