//! Rules about manifests: every crate takes the workspace's lints.

use anyhow::Context;

use crate::finding::Finding;
use crate::tree::Tree;

/// All that is wrong with the manifests of the workspace's members.
///
/// # Errors
/// A manifest cannot be read or is not TOML.
pub(crate) fn check(tree: &Tree) -> anyhow::Result<Vec<Finding>> {
    let workspace = parse(tree, "Cargo.toml")?;
    let members = workspace
        .get("workspace")
        .and_then(|workspace| workspace.get("members"))
        .and_then(toml::Value::as_array)
        .context("expected workspace.members in Cargo.toml")?;
    let mut findings = Vec::new();
    for member in members.iter().filter_map(toml::Value::as_str) {
        let path = format!("{member}/Cargo.toml");
        let manifest = parse(tree, &path)?;
        let inherits = manifest
            .get("lints")
            .and_then(|lints| lints.get("workspace"))
            .and_then(toml::Value::as_bool);
        if inherits != Some(true) {
            let why = "expected `[lints] workspace = true`: no crate has lints of its own";
            findings.push(Finding::at(&path, "lints", why));
        }
    }
    Ok(findings)
}

fn parse(tree: &Tree, path: &str) -> anyhow::Result<toml::Table> {
    tree.read(path)?.parse().with_context(|| format!("parsing {path}"))
}
