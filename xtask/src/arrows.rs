//! `cargo xtask arrows`: who may use whom (DESIGN section 2). Four kinds of arrow are judged, one
//! file each: crate to crate, what a program links in the end, room to room inside the server, and
//! what only certain files may name. What is allowed stands in `table`.

mod crates;
mod links;
mod reserved;
mod rooms;
mod table;
#[cfg(test)]
mod tests;

use crate::finding::{Finding, conclude};
use crate::run;
use crate::tree::Tree;

/// Checks every arrow of the tree, and prints the forbidden ones.
///
/// # Errors
/// There is a forbidden arrow, or cargo does not answer.
pub(crate) fn run(tree: &Tree) -> anyhow::Result<()> {
    let mut findings = check(tree)?;
    for program in table::PROGRAMS {
        let package = program.package;
        let arguments = ["tree", "--locked", "--package", package, "--edges", "normal,build"];
        let links = run::read(tree, "cargo", &[&arguments[..], &["--prefix", "none"]].concat())?;
        findings.extend(links::check(program, &links));
    }
    conclude("arrows", findings, "every arrow is one that DESIGN section 2 draws")
}

/// Every forbidden arrow that manifests and sources show by themselves.
///
/// # Errors
/// The manifests cannot be read.
pub(crate) fn check(tree: &Tree) -> anyhow::Result<Vec<Finding>> {
    let packages = crates::packages(tree)?;
    let sources = tree.files("rs")?;
    let mut findings = crates::check(&packages);
    findings.extend(crates::check_pure_sources(&sources));
    findings.extend(rooms::check(&sources));
    findings.extend(reserved::check(&sources));
    Ok(findings)
}

/// The pure crates, by name.
pub(crate) fn pure_packages() -> impl Iterator<Item = &'static str> {
    let pure = |room: &&table::Room| matches!(room.outside, table::Outside::Pure(_));
    table::ROOMS.iter().filter(pure).map(|room| room.package)
}
