//! Every setting of a program has its row in `docs/CONFIG.md`, and every row its setting. Settings
//! are read from the sources: the fields of the structs that TOML is read into, and, for the agent,
//! its own table and the keys of its probes, profiles and tamper inputs.

use std::collections::{BTreeMap, BTreeSet};

use crate::finding::Finding;
use crate::tokens::{self, Scope, Token};
use crate::tree::SourceFile;

/// The page that lists the settings.
pub(super) const PAGE: &str = "docs/CONFIG.md";
/// The methods with which a probe asks for its settings.
const ASKS: [&str; 8] =
    ["flag", "number", "optional_path", "path", "required", "tables", "text", "texts"];
const RULE: &str = "settings";

/// Where the settings of one program stand.
struct Program {
    /// The heading of its section on the page.
    heading: &'static str,
    /// Its source, of which `keys` reads the settings.
    source: &'static str,
    keys: fn(&[Token]) -> BTreeSet<String>,
}

const PROGRAMS: [Program; 7] = [
    Program {
        heading: "Server",
        source: "server/src/config.rs",
        keys: |tokens| fields(tokens, "Config"),
    },
    Program { heading: "Agent", source: "agent/src/config/settings.rs", keys: in_table },
    Program { heading: "Agent", source: "agent/src/probes.rs", keys: asked_by_probes },
    Program { heading: "Agent", source: "agent/src/probes", keys: asked_by_probes },
    Program {
        heading: "Agent",
        source: "agent/src/artifacts/profile.rs",
        keys: |tokens| asked(tokens, "profiles"),
    },
    Program {
        heading: "Agent",
        source: "agent/src/tamper.rs",
        keys: |tokens| asked(tokens, "tamper"),
    },
    Program {
        heading: "Command line",
        source: "cli/src/settings.rs",
        keys: |tokens| fields(tokens, "ConfigFile"),
    },
];

/// Settings without a row, and rows without a setting.
pub(super) fn check(sources: &[SourceFile], page: &str) -> Vec<Finding> {
    let (settings, rows) = (settings(sources), rows(page));
    let mut findings = Vec::new();
    for ((heading, key), path) in &settings {
        if !rows.contains_key(&(*heading, key.as_str())) {
            let why = format!("`{key}` has no row under {heading} in {PAGE}");
            findings.push(Finding::at(path, RULE, why));
        }
    }
    for ((heading, key), line) in rows {
        let known = settings.keys().any(|(of, name)| *of == heading && name == key);
        if !known {
            let why = format!("no source has a setting `{key}` for {heading}");
            findings.push(Finding::on(PAGE, line, RULE, why));
        }
    }
    findings
}

/// The names of all settings, for pages that quote them.
pub(super) fn names(sources: &[SourceFile]) -> impl Iterator<Item = String> + use<> {
    settings(sources).into_keys().map(|(_, key)| key)
}

/// Every setting, by the heading of its program and its name, with the file it stands in.
fn settings(sources: &[SourceFile]) -> BTreeMap<(&'static str, String), String> {
    let mut settings = BTreeMap::new();
    for program in &PROGRAMS {
        let files = sources.iter().filter(|file| file.is_in(program.source) && !file.is_test());
        for file in files {
            let Ok(lexed) = tokens::lex(&file.text, Scope::ProductOnly) else { continue };
            let keys = (program.keys)(&lexed.tokens).into_iter();
            settings.extend(keys.map(|key| ((program.heading, key), file.path.clone())));
        }
    }
    settings
}

/// The fields of the struct `name` of this file; those of a struct in a field are named with a dot.
fn fields(tokens: &[Token], name: &str) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for (field, kind) in own_fields(tokens, name) {
        let inner = fields(tokens, kind);
        if inner.is_empty() {
            keys.insert(field.to_owned());
        }
        keys.extend(inner.into_iter().map(|key| format!("{field}.{key}")));
    }
    keys
}

/// The fields of the struct `name` with the first word of their types, or of what may be there.
fn own_fields<'a>(tokens: &'a [Token], name: &str) -> Vec<(&'a str, &'a str)> {
    let head = ["struct", name, "{"];
    let begin = tokens
        .windows(head.len())
        .position(|window| window.iter().map(|token| token.text.as_str()).eq(head));
    let Some(begin) = begin else { return Vec::new() };
    let mut fields = Vec::new();
    let mut depth: usize = 0;
    let rest = tokens.get(begin.saturating_add(2)..).unwrap_or_default();
    for (at, window) in rest.windows(3).enumerate() {
        let [field, colon, kind] = window else { continue };
        let inner = rest.get(at.saturating_add(4)).filter(|_| kind.text == "Option");
        let kind = inner.unwrap_or(kind);
        match field.text.as_str() {
            "(" | "[" | "{" => depth = depth.saturating_add(1),
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            name if depth == 1 && colon.text == ":" => fields.push((name, kind.text.as_str())),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    fields
}

/// The names in `setting("name", ..)`.
fn in_table(tokens: &[Token]) -> BTreeSet<String> {
    let named = tokens.windows(3).filter_map(|window| match window {
        [setting, open, name] if setting.text == "setting" && open.text == "(" => literal(name),
        _ => None,
    });
    named.collect()
}

/// The names in `from.number("name", ..)` and its kind.
fn asked_by_probes(tokens: &[Token]) -> BTreeSet<String> {
    asked(tokens, "probes")
}

fn asked(tokens: &[Token], table: &str) -> BTreeSet<String> {
    let named = tokens.windows(5).filter_map(|window| match window {
        [from, dot, method, open, name]
            if from.text == "from"
                && dot.text == "."
                && ASKS.contains(&method.text.as_str())
                && open.text == "(" =>
        {
            literal(name).map(|name| format!("{table}.{name}"))
        }
        _ => None,
    });
    named.collect()
}

fn literal(token: &Token) -> Option<String> {
    Some(token.text.strip_prefix('"')?.strip_suffix('"')?.to_owned())
}

/// The first cells of the page's table rows, by the heading they stand under, with their lines.
fn rows(page: &str) -> BTreeMap<(&str, &str), usize> {
    let mut rows = BTreeMap::new();
    let mut heading = "";
    for (number, line) in (1..).zip(page.lines()) {
        if let Some(text) = line.strip_prefix("## ") {
            heading = text;
        } else if let Some(cell) = line.strip_prefix("| `").and_then(|rest| rest.split('`').next())
        {
            rows.insert((heading, cell), number);
        }
    }
    rows
}
