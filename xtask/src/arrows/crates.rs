//! Arrows from crate to crate, as the manifests draw them, and what makes a pure crate pure. Judged
//! apart: what a crate ships with, and what only its tests use.

use serde::Deserialize;

use crate::arrows::table::{GUARDED, Outside, ROOMS, Room, SECOND_READERS, TEST_TOOLS};
use crate::finding::Finding;
use crate::run;
use crate::tokens::{self, Scope, Token};
use crate::tree::{SourceFile, Tree};

const RULE: &str = "crate";
const PURE: &str = "pure";

/// A package of the workspace, as `cargo metadata` describes it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// What it depends on.
    pub(crate) dependencies: Vec<Dependency>,
}

/// One dependency, inheritance from the workspace already resolved.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Dependency {
    /// The crate.
    pub(crate) name: String,
    /// What it is for.
    pub(crate) kind: Option<Kind>,
    /// The features asked for.
    pub(crate) features: Vec<String>,
    /// Whether its default features come along.
    #[serde(rename = "uses_default_features")]
    pub(crate) default_features: bool,
}

/// What a dependency is for; cargo says nothing for a normal one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Tests, examples and benches.
    Dev,
    /// The build script.
    Build,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

/// The packages of the workspace.
///
/// # Errors
/// Cargo cannot read the manifests.
pub(crate) fn packages(tree: &Tree) -> anyhow::Result<Vec<Package>> {
    let arguments = ["metadata", "--format-version", "1", "--no-deps", "--offline"];
    let metadata: Metadata = serde_json::from_str(&run::read(tree, "cargo", &arguments)?)?;
    Ok(metadata.packages)
}

/// Every forbidden arrow between crates.
pub(crate) fn check(packages: &[Package]) -> Vec<Finding> {
    packages.iter().flat_map(check_package).collect()
}

fn check_package(package: &Package) -> Vec<Finding> {
    let Some(room) = ROOMS.iter().find(|room| room.package == package.name) else {
        let why = "is in no row of xtask/src/arrows/table.rs: draw its arrows there";
        return vec![Finding::at(&package.name, RULE, why)];
    };
    package
        .dependencies
        .iter()
        .filter_map(|dependency| objection(room, dependency))
        .map(|why| Finding::at(&format!("{}/Cargo.toml", room.folder), RULE, why))
        .collect()
}

/// Why `room` may not have this dependency, if it may not.
fn objection(room: &Room, dependency: &Dependency) -> Option<String> {
    let name = dependency.name.as_str();
    let in_tests_only = dependency.kind == Some(Kind::Dev);
    if in_tests_only && is_test_tool(room, name) {
        return None;
    }
    if ROOMS.iter().any(|other| other.package == name) {
        return (!room.ours.contains(&name))
            .then(|| format!("{} may not use {name}: DESIGN draws no such arrow", room.package));
    }
    match room.outside {
        Outside::Any => None,
        Outside::Shell => guarded(room, name),
        Outside::Pure(allowed) if !allowed.contains(&name) => Some(format!(
            "{} is pure and may not use {name}; it may use {}",
            room.package,
            allowed.join(", ")
        )),
        Outside::Pure(_) if in_tests_only => None,
        Outside::Pure(_) => std_feature(room, dependency),
    }
}

fn is_test_tool(room: &Room, name: &str) -> bool {
    let reads_second =
        |row: &&(&str, &[&str], &str)| row.0 == room.package && row.1.contains(&name);
    TEST_TOOLS.contains(&name) || SECOND_READERS.iter().any(|row| reads_second(&row))
}

fn guarded(room: &Room, name: &str) -> Option<String> {
    let guarded = GUARDED.iter().find(|guarded| guarded.outside == name)?;
    (!guarded.rooms.contains(&room.package))
        .then(|| format!("{} may not use {name}: {}", room.package, guarded.why))
}

/// A pure crate that asks a dependency for std would pull std in for everybody.
fn std_feature(room: &Room, dependency: &Dependency) -> Option<String> {
    let asks = dependency.default_features || dependency.features.iter().any(|f| f == "std");
    asks.then(|| {
        format!(
            "{} is pure: {} needs default-features = false and no feature `std`",
            room.package, dependency.name
        )
    })
}

/// What utoipa derives names `std`; only the server, which has it, asks for the feature.
const SCHEMA_STD: &[&str] =
    &["#", "[", "cfg", "(", "feature", "=", "\"schema\"", ")", "]", "extern", "crate", "std"];

/// Every pure crate says `#![no_std]` before all else and never takes std back.
pub(crate) fn check_pure_sources(sources: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for room in ROOMS.iter().filter(|room| matches!(room.outside, Outside::Pure(_))) {
        let folder = format!("{}/src", room.folder);
        let root = format!("{folder}/lib.rs");
        for file in sources.iter().filter(|file| file.is_in(&folder) && !file.is_test()) {
            let Ok(lexed) = tokens::lex(&file.text, Scope::ProductOnly) else { continue };
            if file.path == root && first_attribute(&lexed.tokens) != Some("no_std") {
                let why = "a pure crate has `#![no_std]` as its first attribute";
                findings.push(Finding::at(&root, PURE, why));
            }
            let excused = tokens::lines_of(&lexed.tokens, SCHEMA_STD);
            for line in tokens::lines_of(&lexed.tokens, &["extern", "crate", "std"]) {
                if excused.iter().any(|above| above.saturating_add(1) == line) {
                    continue;
                }
                let why = "a pure crate may not take std back";
                findings.push(Finding::on(&file.path, line, PURE, why));
            }
        }
    }
    findings
}

/// The name of the first inner attribute that is not documentation.
fn first_attribute(tokens: &[Token]) -> Option<&str> {
    let attributes = tokens.windows(4).filter_map(|window| match window {
        [hash, bang, open, name] if hash.text == "#" && bang.text == "!" && open.text == "[" => {
            Some(name.text.as_str())
        }
        _ => None,
    });
    attributes.into_iter().find(|name| *name != "doc")
}
