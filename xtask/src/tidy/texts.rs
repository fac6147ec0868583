//! Rules about the text of one Rust file: its opening, width, length, and the words that promise
//! work instead of doing it.

use crate::finding::Finding;
use crate::tokens::{self, Scope, Token};
use crate::tree::SourceFile;

/// Columns a line may take.
const COLUMNS_MAX: usize = 100;
/// Lines a file may have, tests not counted (house rules, section 11).
const LINES_MAX: usize = 500;
/// A word longer than this cannot be broken to fit: a digest, an address.
const UNBREAKABLE_COLUMNS: usize = 80;

/// Words that put work off. They are built from halves so that this file does not contain them.
const BANNED_WORDS: [&str; 2] = [concat!("FIX", "ME"), concat!("XX", "X")];
/// Tokens that put work off or switch a test off.
const BANNED_TOKENS: [(&[&str], &str); 5] = [
    (&["todo", "!"], "what is missing is said plainly, not left to panic"),
    (&["unimplemented", "!"], "what is missing is said plainly, not left to panic"),
    (&["dbg", "!"], "a finding for the log goes through tracing"),
    (&["#", "[", "ignore"], "a test that does not run proves nothing"),
    (&["should_panic"], "compare the error value instead"),
];

/// All that is wrong with the text of `file`.
pub(crate) fn check(file: &SourceFile) -> Vec<Finding> {
    let mut findings = lines(file);
    if !file.text.starts_with("//!") {
        let why = "a file opens with `//!`: what lives here, what must not";
        findings.push(Finding::on(&file.path, 1, "opening", why));
    }
    match tokens::lex(&file.text, Scope::Everything) {
        Ok(lexed) => {
            for (sequence, why) in BANNED_TOKENS {
                let lines = tokens::lines_of(&lexed.tokens, sequence);
                findings.extend(lines.into_iter().map(|line| {
                    let why = format!("{} is banned: {why}", sequence.concat());
                    Finding::on(&file.path, line, "words", why)
                }));
            }
            findings.extend(error_texts(file, &lexed.tokens));
            findings.extend(length(file));
        }
        Err(why) => findings.push(Finding::at(&file.path, "words", why)),
    }
    findings
}

fn lines(file: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(file.text.lines()) {
        let columns = line.chars().count();
        let breakable = line.split_whitespace().all(|word| word.len() <= UNBREAKABLE_COLUMNS);
        if columns > COLUMNS_MAX && breakable {
            let why = format!("expected at most {COLUMNS_MAX} columns, got {columns}");
            findings.push(Finding::on(&file.path, number, "columns", why));
        }
        let mut words = line.split(|c: char| !c.is_alphanumeric());
        if let Some(word) = words.find(|word| BANNED_WORDS.contains(word)) {
            let why = format!("{word} is banned: say plainly what is missing, in docs or an issue");
            findings.push(Finding::on(&file.path, number, "words", why));
        }
    }
    findings
}

/// The text of an error starts in lower case, unless with an abbreviation, and has no full stop.
fn error_texts(file: &SourceFile, tokens: &[Token]) -> Vec<Finding> {
    let texts = tokens.windows(5).filter_map(|window| match window {
        [hash, open, name, paren, text]
            if hash.text == "#"
                && open.text == "["
                && name.text == "error"
                && paren.text == "(" =>
        {
            Some((text.line, text.text.strip_prefix('"')?.strip_suffix('"')?))
        }
        _ => None,
    });
    let mut findings = Vec::new();
    for (line, text) in texts {
        let mut letters = text.chars();
        let capital = letters.next().is_some_and(char::is_uppercase)
            && letters.next().is_some_and(char::is_lowercase);
        if capital || text.ends_with('.') {
            let why = "the text of an error is lower case and has no full stop";
            findings.push(Finding::on(&file.path, line, "error-text", why));
        }
    }
    findings
}

fn length(file: &SourceFile) -> Option<Finding> {
    if file.is_test() {
        return None;
    }
    let lexed = tokens::lex(&file.text, Scope::ProductOnly).ok()?;
    let in_tests: usize = lexed.test_lines.into_iter().map(Iterator::count).sum();
    let lines = file.text.lines().count().saturating_sub(in_tests);
    (lines > LINES_MAX).then(|| {
        let why =
            format!("expected at most {LINES_MAX} lines without tests, got {lines}: split it");
        Finding::at(&file.path, "length", why)
    })
}
