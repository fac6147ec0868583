//! Every stable code has its row in `docs/ERRORS.md`, and every row its code. Codes are the string
//! literals in the bodies of `fn code` and, for refusals, `fn as_str`; and, where an order's
//! outcome is decided, those that are given in place.

use std::collections::BTreeMap;

use crate::finding::Finding;
use crate::tokens::{self, Scope, Token};
use crate::tree::SourceFile;

/// The page that lists the codes.
pub(crate) const PAGE: &str = "docs/ERRORS.md";
/// The file whose `as_str` gives the refusals' codes.
const REFUSALS: &str = "protocol/src/refusal.rs";
/// Where outcomes of orders are decided, and codes are given in place.
const OUTCOMES: [&str; 3] = ["agent/core/src", "agent/src", "server/domain/src"];
/// The functions there that take a code.
const CODE_TAKERS: [&str; 8] = [
    "by_hand_failed",
    "drop_install",
    "failed",
    "refuse",
    "refuse_install",
    "refused",
    "refused_by_server",
    "refused_entry",
];
const RULE: &str = "codes";

/// Codes without a row, and rows without a code.
pub(crate) fn check(sources: &[SourceFile], page: &str) -> Vec<Finding> {
    let codes = codes(sources);
    let rows = rows(page);
    let mut findings = Vec::new();
    for (code, path) in &codes {
        if !rows.contains_key(code) {
            findings.push(Finding::at(path, RULE, format!("`{code}` has no row in {PAGE}")));
        }
    }
    for (code, line) in &rows {
        if !codes.contains_key(code) {
            findings.push(Finding::on(PAGE, *line, RULE, format!("no source has a code `{code}`")));
        }
    }
    findings
}

/// Every code with the file it stands in.
fn codes(sources: &[SourceFile]) -> BTreeMap<String, String> {
    let mut codes = BTreeMap::new();
    let product = sources.iter().filter(|file| !file.is_test() && !file.is_in("xtask"));
    for file in product {
        let Ok(lexed) = tokens::lex(&file.text, Scope::ProductOnly) else { continue };
        let mut found = literals_in(&lexed.tokens, "code");
        if file.path == REFUSALS {
            found.extend(literals_in(&lexed.tokens, "as_str"));
        }
        if OUTCOMES.iter().any(|folder| file.is_in(folder)) {
            found.extend(given_in_place(&lexed.tokens));
        }
        codes.extend(found.into_iter().map(|code| (code, file.path.clone())));
    }
    codes
}

/// The kebab-case string literals in the body of every `fn name`.
fn literals_in(tokens: &[Token], name: &str) -> Vec<String> {
    let mut literals = Vec::new();
    let mut rest = tokens;
    while let Some((keyword, after)) = rest.split_first() {
        rest = after;
        let named = after.first().is_some_and(|token| token.text == name);
        if keyword.text != "fn" || !named {
            continue;
        }
        let mut depth: usize = 0;
        for token in after.iter().skip_while(|token| token.text != "{" && token.text != ";") {
            match token.text.as_str() {
                "{" => depth = depth.saturating_add(1),
                "}" => depth = depth.saturating_sub(1),
                text => literals.extend(kebab_case(text)),
            }
            if depth == 0 {
                break;
            }
        }
    }
    literals
}

/// The codes in `code: "..."`, in `let code = ...;`, at the head of `Some(("...", ..))` and
/// `Err(("...", ..))`, and among
/// the arguments of the functions that take one.
fn given_in_place(tokens: &[Token]) -> Vec<String> {
    let mut codes = Vec::new();
    let mut rest = tokens;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let next = after.first().map_or("", |token| token.text.as_str());
        let end = match (first.text.as_str(), next) {
            ("code", ":") => 2,
            ("code", "=") => after.iter().position(|token| token.text == ";").unwrap_or(0),
            ("Some" | "Err", "(") if after.get(1).is_some_and(|token| token.text == "(") => 3,
            (taker, "(") if CODE_TAKERS.contains(&taker) => length_of_call(after),
            _ => continue,
        };
        let literals = after.iter().take(end).filter_map(|token| kebab_case(&token.text));
        codes.extend(literals);
    }
    codes
}

/// How many tokens the parentheses at the head of `tokens` take.
fn length_of_call(tokens: &[Token]) -> usize {
    let mut depth: usize = 0;
    for (index, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "(" => depth = depth.saturating_add(1),
            ")" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return index;
        }
    }
    tokens.len()
}

fn kebab_case(literal: &str) -> Option<String> {
    let code = literal.strip_prefix('"')?.strip_suffix('"')?;
    let plain = !code.is_empty()
        && code.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    plain.then(|| code.to_owned())
}

/// The codes in the first cells of the page's table rows, with their lines.
fn rows(page: &str) -> BTreeMap<String, usize> {
    (1..)
        .zip(page.lines())
        .filter_map(|(number, line)| {
            let cell = line.strip_prefix("| `")?.split('`').next()?;
            Some((cell.to_owned(), number))
        })
        .collect()
}
