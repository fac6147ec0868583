//! Rules about names: words that name no room, and what a `mod.rs` may hold.

use crate::finding::Finding;
use crate::tokens::{self, Scope, Token};
use crate::tree::SourceFile;

/// Words that say nothing about what lives in a room.
const BANNED: [&str; 9] = [
    "util",
    "utils",
    "helper",
    "helpers",
    "manager",
    "managers",
    "common",
    "misc",
    "miscellaneous",
];
/// What an item of a `mod.rs` may begin with.
const LISTING: [&str; 6] = ["mod", "use", "const", "static", "extern", "type"];

/// All that is wrong with the names of and in `file`.
pub(crate) fn check(file: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for part in file.path.trim_end_matches(".rs").split('/') {
        if let Some(word) = banned_word(part) {
            let why = format!("`{word}` names no room: say what lives here");
            findings.push(Finding::at(&file.path, "names", why));
        }
    }
    let Ok(lexed) = tokens::lex(&file.text, Scope::ProductOnly) else { return findings };
    for pair in lexed.tokens.windows(2) {
        let [keyword, name] = pair else { continue };
        if let ("mod", Some(word)) = (keyword.text.as_str(), banned_word(&name.text)) {
            let why = format!("module {}: `{word}` names no room", name.text);
            findings.push(Finding::on(&file.path, name.line, "names", why));
        }
    }
    if file.path.ends_with("/mod.rs") {
        findings.extend(check_listing(file, &lexed.tokens));
    }
    findings
}

fn banned_word(name: &str) -> Option<&str> {
    name.split(['_', '-']).find(|word| BANNED.contains(word))
}

/// A `mod.rs` lists rooms: modules, imports, and tables of constants.
fn check_listing(file: &SourceFile, tokens: &[Token]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut rest = tokens;
    while let Some(first) = rest.first() {
        if first.text == "#" {
            rest = after_group(rest);
            continue;
        }
        if first.text == "pub" {
            rest = rest.get(1..).unwrap_or_default();
            if rest.first().is_some_and(|token| token.text == "(") {
                rest = after_group(rest);
            }
            continue;
        }
        let keyword = first.text.as_str();
        let lists = LISTING.contains(&keyword);
        let item = item_length(rest, keyword);
        let inline = keyword == "mod" && rest.get(2).is_some_and(|token| token.text == "{");
        let function = keyword == "const" && rest.get(1).is_some_and(|token| token.text == "fn");
        if !lists || inline || function {
            let why = format!("a mod.rs lists rooms; move this `{keyword}` item to a room");
            findings.push(Finding::on(&file.path, first.line, "mod-rs", why));
        }
        rest = rest.get(item..).unwrap_or_default();
    }
    findings
}

/// The tokens behind the first delimited group in `tokens`.
fn after_group(tokens: &[Token]) -> &[Token] {
    let mut depth: usize = 0;
    for (index, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "(" | "[" | "{" => depth = depth.saturating_add(1),
            ")" | "]" | "}" => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return tokens.get(index.saturating_add(1)..).unwrap_or_default();
                }
            }
            _ => {}
        }
    }
    &[]
}

/// How many tokens the item at the head of `tokens` takes. A `use` or `const` ends at its semicolon
/// alone; anything else may end with its braces.
fn item_length(tokens: &[Token], keyword: &str) -> usize {
    let ends_with_braces = !matches!(keyword, "use" | "const" | "static" | "extern" | "type")
        || tokens.get(1).is_some_and(|token| token.text == "fn");
    let mut depth: usize = 0;
    for (index, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "(" | "[" | "{" => depth = depth.saturating_add(1),
            ")" | "]" => depth = depth.saturating_sub(1),
            "}" => {
                depth = depth.saturating_sub(1);
                if depth == 0 && ends_with_braces {
                    return index.saturating_add(1);
                }
            }
            ";" if depth == 0 => return index.saturating_add(1),
            _ => {}
        }
    }
    tokens.len()
}
