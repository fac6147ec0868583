//! `cargo xtask docs-check`: the pages say nothing that the tree does not hold. Links lead
//! somewhere, the paths and tests that a page names exist, and the page of settings is whole.

mod settings;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use crate::finding::{Finding, conclude};
use crate::tokens::{self, Scope};
use crate::tree::{SourceFile, Tree};

/// A test's name is a sentence; with fewer words than this, a name in a page is something else.
const TEST_NAME_WORDS_MIN: usize = 4;
/// The folders whose paths a page may name.
const FOLDERS: [&str; 8] =
    ["agent/", "cli/", "docs/", "protocol/", "repo-keys/", "server/", "tests/", "xtask/"];

/// Checks every page.
///
/// # Errors
/// A page names what is not there, lacks a setting, or cannot be read.
pub(crate) fn run(tree: &Tree) -> anyhow::Result<()> {
    let held = "every link, path and test that a page names exists, and every setting has its row";
    conclude("pages", check(tree)?, held)
}

/// All that the pages name and the tree does not hold, and the settings that they lack.
///
/// # Errors
/// A file cannot be read.
pub(crate) fn check(tree: &Tree) -> anyhow::Result<Vec<Finding>> {
    let sources = tree.files("rs")?;
    // A long setting has as many words as the name of a test.
    let mut known = functions(&sources);
    known.extend(settings::names(&sources));
    let page = tree.read(settings::PAGE).unwrap_or_default();
    let mut findings = settings::check(&sources, &page);
    for page in tree.files("md")? {
        for (number, line) in (1..).zip(page.text.lines()) {
            for link in links(line).filter(|link| !leads_somewhere(tree, &page.path, link)) {
                let why = format!("the link to {link} leads nowhere");
                findings.push(Finding::on(&page.path, number, "link", why));
            }
            for word in quoted(line) {
                if let Some(why) = untrue(tree, &known, word) {
                    findings.push(Finding::on(&page.path, number, "named", why));
                }
            }
        }
    }
    Ok(findings)
}

/// Every function of the tree, tests included.
fn functions(sources: &[SourceFile]) -> BTreeSet<String> {
    let mut functions = BTreeSet::new();
    for file in sources {
        let Ok(lexed) = tokens::lex(&file.text, Scope::Everything) else { continue };
        for pair in lexed.tokens.windows(2) {
            if let [keyword, name] = pair
                && keyword.text == "fn"
            {
                functions.insert(name.text.clone());
            }
        }
    }
    functions
}

/// The targets of `[text](target)` that are not addresses on the web.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter(|link| !link.contains("://") && !link.starts_with("mailto:"))
}

fn leads_somewhere(tree: &Tree, page: &str, link: &str) -> bool {
    let path = link.split('#').next().unwrap_or_default();
    if path.is_empty() {
        return true;
    }
    let folder = Path::new(page).parent().unwrap_or(Path::new(""));
    tree.has(&normal(&folder.join(path)).to_string_lossy())
}

/// `docs/../README.md` as `README.md`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                normal.pop();
            }
            Component::Normal(name) => normal.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    normal
}

/// What stands between backquotes.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// Why a quoted word is untrue, if it names a path or a test that is not there. A word with a
/// blank, a capital or a placeholder in it is neither.
fn untrue(tree: &Tree, known: &BTreeSet<String>, word: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-./".contains(c);
    if !word.chars().all(plain) {
        return None;
    }
    if FOLDERS.iter().any(|folder| word.starts_with(folder)) {
        return (!tree.has(word)).then(|| format!("there is no {word}"));
    }
    let is_test_name = word.split('_').count() >= TEST_NAME_WORDS_MIN && !word.contains(['.', '/']);
    (is_test_name && !known.contains(word)).then(|| format!("there is no test {word}"))
}
