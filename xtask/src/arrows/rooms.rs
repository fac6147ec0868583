//! Arrows between the rooms inside the server, read from `crate::` and `super::` paths and from the
//! names of our crates. Tests are not judged.

use crate::arrows::table::{SERVER_ROOMS, ServerRoom};
use crate::finding::Finding;
use crate::tokens::{self, Scope, Token};
use crate::tree::SourceFile;

const RULE: &str = "room";
const FOLDER: &str = "server/src/";

/// Every forbidden arrow inside the server.
pub(crate) fn check(sources: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in sources.iter().filter(|file| !file.is_test()) {
        let Some(inside) = file.path.strip_prefix(FOLDER) else { continue };
        let module = module_path(inside);
        let name = module.first().map_or("main", String::as_str);
        let Some(room) = SERVER_ROOMS.iter().find(|room| room.module == name) else {
            let why = format!("the room {name} is in no row of xtask/src/arrows/table.rs");
            findings.push(Finding::at(&file.path, RULE, why));
            continue;
        };
        match tokens::lex(&file.text, Scope::ProductOnly) {
            Ok(lexed) => findings.extend(check_file(file, room, module.len(), &lexed.tokens)),
            Err(why) => findings.push(Finding::at(&file.path, RULE, why)),
        }
    }
    findings
}

/// `http/device.rs` is `[http, device]`, `http/mod.rs` is `[http]`, and `main.rs` the root itself.
fn module_path(inside: &str) -> Vec<String> {
    let stem = inside.strip_suffix(".rs").unwrap_or(inside);
    let mut parts: Vec<String> = stem.split('/').map(str::to_owned).collect();
    if parts.last().is_some_and(|last| last == "mod" || last == "main" || last == "lib") {
        parts.pop();
    }
    parts
}

fn check_file(
    file: &SourceFile,
    room: &ServerRoom,
    depth: usize,
    tokens: &[Token],
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (sibling, line) in siblings_named(tokens, depth) {
        let known = SERVER_ROOMS.iter().any(|other| other.module == sibling);
        if known && sibling != room.module && !room.siblings.contains(&sibling) {
            let why = format!("{} may not name {sibling}: DESIGN draws no such arrow", room.module);
            findings.push(Finding::on(&file.path, line, RULE, why));
        }
    }
    for token in tokens.iter().filter(|token| token.text.starts_with("lazaret_server_")) {
        if !room.crates.contains(&token.text.as_str()) {
            let why = format!("{} may not name the crate {}", room.module, token.text);
            findings.push(Finding::on(&file.path, token.line, RULE, why));
        }
    }
    findings
}

/// The names that stand directly under the crate's root in every path, with their lines.
fn siblings_named(tokens: &[Token], depth: usize) -> Vec<(&str, usize)> {
    let mut named = Vec::new();
    let mut rest = tokens;
    while let Some((token, after)) = rest.split_first() {
        rest = after;
        let at_root = match token.text.as_str() {
            "crate" => after,
            "super" => {
                let (supers, after) = count_supers(rest);
                rest = after;
                if supers < depth {
                    continue;
                }
                after
            }
            _ => continue,
        };
        named.extend(first_names(at_root));
    }
    named
}

/// Counts the `super`s of a path whose first one is already read.
fn count_supers(mut rest: &[Token]) -> (usize, &[Token]) {
    let mut supers: usize = 1;
    while let [separator, next, after @ ..] = rest {
        if separator.text != "::" || next.text != "super" {
            break;
        }
        supers = supers.saturating_add(1);
        rest = after;
    }
    (supers, rest)
}

/// What follows `::`: one name, or the first name of each branch of `{a::b, c::{d, e}}`.
fn first_names(tokens: &[Token]) -> Vec<(&str, usize)> {
    let [separator, first, branches @ ..] = tokens else { return Vec::new() };
    if separator.text != "::" {
        return Vec::new();
    }
    if first.text != "{" {
        return vec![(first.text.as_str(), first.line)];
    }
    let mut names = Vec::new();
    let mut depth: usize = 1;
    let mut at_start = true;
    for token in branches {
        match token.text.as_str() {
            "{" => depth = depth.saturating_add(1),
            "}" => depth = depth.saturating_sub(1),
            "," if depth == 1 => at_start = true,
            name if depth == 1 && at_start => {
                names.push((name, token.line));
                at_start = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}
