//! python-tuf, the reference of the specification's authors, in a folder of its own below the
//! target folder. It is fetched once from PyPI; versions are pinned here and nowhere else.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

/// What is installed, with all that it brings along.
const PACKAGES: [&str; 6] = [
    "tuf==7.0.0",
    "securesystemslib==1.4.0",
    "cryptography==50.0.2",
    "cffi==2.1.1",
    "pycparser==3.12",
    "urllib3==2.8.0",
];

/// Bears the version, so that another one gets a folder of its own.
const FOLDER: &str = "python-tuf-7.0.0";

/// The Python that has python-tuf, made if it is not there.
///
/// # Errors
/// There is no Python with `venv`, or PyPI cannot be reached.
pub fn python() -> anyhow::Result<PathBuf> {
    environment(FOLDER, &PACKAGES)
}

/// The Python of a folder below the target folder, with these packages and nothing that they bring
/// along; made if it is not there.
///
/// # Errors
/// There is no Python with `venv`, or PyPI cannot be reached.
pub(crate) fn environment(name: &str, packages: &[&str]) -> anyhow::Result<PathBuf> {
    let folder = target_folder()?.join(name);
    std::fs::create_dir_all(&folder)?;
    // Test programs run side by side, and only one of them may install.
    let lock = File::create(folder.join("lock"))?;
    lock.lock().context("the folder of a Python environment cannot be locked")?;
    let python = folder.join("venv").join("bin").join("python");
    let done = folder.join("installed");
    if !done.is_file() {
        let venv = folder.join("venv");
        succeeds(Command::new("python3").args(["-m", "venv", "--clear"]).arg(venv))?;
        let pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check"];
        succeeds(Command::new(&python).args(pip).args(packages))?;
        File::create(done)?.sync_all()?;
    }
    Ok(python)
}

/// The folder that this program was built into, such as `target`.
fn target_folder() -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe().context("this program has no path")?;
    let profile = this
        .ancestors()
        .find(|folder| folder.file_name().is_some_and(|name| name == "debug" || name == "release"));
    let target = profile.and_then(Path::parent);
    Ok(target.with_context(|| format!("{} is in no target folder", this.display()))?.to_owned())
}

fn succeeds(command: &mut Command) -> anyhow::Result<()> {
    let output = command
        .output()
        .with_context(|| format!("{command:?} cannot be run (Debian's package python3-venv)"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} ended with {}: {said}", output.status);
    Ok(())
}
