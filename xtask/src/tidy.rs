//! `cargo xtask tidy`: what STYLE forbids and neither compiler nor clippy sees. Texts, names,
//! manifests, documented codes and the changelog are judged, one file each.

mod changelog;
mod codes;
mod manifests;
mod names;
#[cfg(test)]
mod tests;
mod texts;

use crate::finding::{Finding, conclude};
use crate::tree::Tree;

/// Checks every rule on the whole tree, and prints what breaks one.
///
/// # Errors
/// A rule is broken, or a file cannot be read.
pub(crate) fn run(tree: &Tree) -> anyhow::Result<()> {
    conclude("tidy", check(tree)?, "every file keeps the rules of STYLE")
}

/// All that breaks a rule.
///
/// # Errors
/// A file cannot be read.
pub(crate) fn check(tree: &Tree) -> anyhow::Result<Vec<Finding>> {
    let sources = tree.files("rs")?;
    let mut findings = Vec::new();
    for file in &sources {
        findings.extend(texts::check(file));
        findings.extend(names::check(file));
    }
    findings.extend(manifests::check(tree)?);
    findings.extend(changelog::check(&tree.read(changelog::PAGE).unwrap_or_default()));
    findings.extend(codes::check(&sources, tree.read(codes::PAGE).unwrap_or_default().as_str()));
    Ok(findings)
}
