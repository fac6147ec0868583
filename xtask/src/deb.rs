//! `cargo xtask deb`: the agent as a Debian package, for the machine that builds it. What goes
//! where stands in one table; units and settings lie in `agent/package`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;

use crate::bench::small_agent;
use crate::demo::target_folder;
use crate::run;
use crate::tree::Tree;

/// From the tree, or the agent that was built, to the package, with its mode.
const FILES: &[(From, &str, u32)] = &[
    (From::Agent, "usr/bin/lazaret-agent", 0o755),
    (
        From::Tree("agent/package/lazaret-agent.service"),
        "lib/systemd/system/lazaret-agent.service",
        0o644,
    ),
    (
        From::Tree("agent/package/lazaret-agent-measures.service"),
        "lib/systemd/system/lazaret-agent-measures.service",
        0o644,
    ),
    (From::Tree("agent/package/agent.toml"), "etc/lazaret/agent.toml.example", 0o644),
    (From::Tree("agent/boot/grub.cfg"), "usr/share/lazaret-agent/grub.cfg", 0o644),
    (From::Tree("agent/boot/uboot.cmd"), "usr/share/lazaret-agent/uboot.cmd", 0o644),
    (From::Tree("docs/CONFIG.md"), "usr/share/doc/lazaret-agent/CONFIG.md", 0o644),
    (From::Tree("docs/run/bootloaders.md"), "usr/share/doc/lazaret-agent/bootloaders.md", 0o644),
    (From::Tree("agent/package/postinst"), "DEBIAN/postinst", 0o755),
    (From::Tree("agent/package/prerm"), "DEBIAN/prerm", 0o755),
    (From::Tree("LICENSE"), "usr/share/doc/lazaret-agent/copyright", 0o644),
];

/// Where a file of the package comes from.
#[derive(Debug, Clone, Copy)]
enum From {
    Tree(&'static str),
    Agent,
}

/// What is put into the package.
#[derive(Debug, Clone, Args)]
pub(crate) struct Deb {
    /// An agent that is built already, for this kind of machine; built as devices get it (static,
    /// profile `small`) where none is given.
    #[arg(long, value_name = "FILE")]
    agent: Option<PathBuf>,
}

/// Builds the agent and the package; prints where the package lies.
///
/// # Errors
/// Something does not build, or `dpkg-deb` is missing.
pub(crate) fn run(tree: &Tree, deb: &Deb) -> anyhow::Result<()> {
    let agent = match &deb.agent {
        Some(agent) => agent.clone(),
        None => small_agent(tree)?,
    };
    let target = target_folder(tree)?;
    let root = target.join("deb").join("lazaret-agent");
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    for (from, to, mode) in FILES {
        let from = match from {
            From::Tree(path) => tree.root().join(path),
            From::Agent => agent.clone(),
        };
        put(&root.join(to), &fs::read(&from).with_context(|| from.display().to_string())?, *mode)?;
    }
    let architecture = run::read(tree, "dpkg", &["--print-architecture"])?;
    let version = env!("CARGO_PKG_VERSION");
    put(&root.join("DEBIAN/control"), control(version, architecture.trim()).as_bytes(), 0o644)?;
    let package = target.join(format!("lazaret-agent_{version}_{}.deb", architecture.trim()));
    let (root, out) = (root.to_string_lossy(), package.to_string_lossy());
    run::shown(tree, "dpkg-deb", &["--build", "--root-owner-group", &root, &out])
}

fn control(version: &str, architecture: &str) -> String {
    format!(
        "Package: lazaret-agent\nVersion: {version}\nArchitecture: {architecture}\n\
         Maintainer: Lazaret\nSection: admin\nPriority: optional\n\
         Description: keeps this device patched, and contains it when something gets in\n \
         Updates one of two slots with what offline keys signed, judges the new image, goes\n \
         back by itself, keeps a forensic log, and goes into quarantine when it is told to.\n"
    )
}

fn put(to: &Path, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    #[allow(clippy::disallowed_methods, reason = "a package that is built anew where it is torn")]
    fs::write(to, bytes)?;
    Ok(fs::set_permissions(to, fs::Permissions::from_mode(mode))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_package_is_in_the_tree() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for (from, to, _) in FILES {
            if let From::Tree(path) = from {
                assert!(root.join(path).is_file(), "{path}, for {to}");
            }
        }
    }

    #[test]
    fn the_unit_asks_for_no_more_than_its_exposure_allows() {
        let unit =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../agent/package/lazaret-agent.service");
        let said = std::process::Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--no-pager", "--threshold=25"])
            .arg(unit)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        // A threshold of 25 is an exposure of 2.5.
        assert!(said.status.success(), "{text}");
        assert!(text.contains("Overall exposure level"), "{text}");
    }
}
