//! Rust text as a flat list of tokens, so that a check never mistakes a comment or a string for
//! code. Lexing is proc-macro2's; no rule lives here.

use std::ops::RangeInclusive;
use std::str::FromStr;

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// One token: an identifier, a literal, `::`, a single punctuation mark, or one delimiter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// As it is written; a string literal keeps its quotes.
    pub(crate) text: String,
    /// The line it starts on, counted from 1.
    pub(crate) line: usize,
}

/// A lexed file.
#[derive(Debug, Default)]
pub(crate) struct Lexed {
    /// Every token outside `#[cfg(test)]` items.
    pub(crate) tokens: Vec<Token>,
    /// The lines that `#[cfg(test)]` items take.
    pub(crate) test_lines: Vec<RangeInclusive<usize>>,
}

/// Which items of a file to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All of them.
    Everything,
    /// All but what `#[cfg(test)]` marks.
    ProductOnly,
}

/// Lexes `text`.
///
/// # Errors
/// It is not made of Rust tokens; the text says why.
pub(crate) fn lex(text: &str, scope: Scope) -> Result<Lexed, String> {
    let stream = TokenStream::from_str(text).map_err(|err| format!("not Rust: {err}"))?;
    let mut lexed = Lexed::default();
    flatten(stream, scope, &mut lexed);
    Ok(lexed)
}

fn flatten(stream: TokenStream, scope: Scope, into: &mut Lexed) {
    let trees: Vec<TokenTree> = stream.into_iter().collect();
    let mut rest = trees.as_slice();
    while let Some((tree, after)) = rest.split_first() {
        if scope == Scope::ProductOnly
            && let Some(taken) = test_item(rest)
        {
            let item = rest.get(..taken).unwrap_or(rest);
            if let (Some(first), Some(last)) = (item.first(), item.last()) {
                into.test_lines.push(first.span().start().line..=last.span().end().line);
            }
            rest = rest.get(taken..).unwrap_or_default();
            continue;
        }
        rest = match push(tree, after, scope, into) {
            Taken::One => after,
            Taken::Two => after.get(1..).unwrap_or_default(),
        };
    }
}

/// How many trees [`push`] has used.
enum Taken {
    One,
    Two,
}

fn push(tree: &TokenTree, after: &[TokenTree], scope: Scope, into: &mut Lexed) -> Taken {
    let line = tree.span().start().line;
    let mut add = |text: &str, line: usize| into.tokens.push(Token { text: text.to_owned(), line });
    match tree {
        TokenTree::Group(group) => {
            let (open, close) = match group.delimiter() {
                Delimiter::Parenthesis => ("(", ")"),
                Delimiter::Brace => ("{", "}"),
                Delimiter::Bracket => ("[", "]"),
                Delimiter::None => ("", ""),
            };
            add(open, line);
            flatten(group.stream(), scope, into);
            let line = group.span_close().start().line;
            into.tokens.push(Token { text: close.to_owned(), line });
        }
        TokenTree::Punct(punct) if punct.as_char() == ':' && punct.spacing() == Spacing::Joint => {
            if matches!(after.first(), Some(TokenTree::Punct(next)) if next.as_char() == ':') {
                add("::", line);
                return Taken::Two;
            }
            add(":", line);
        }
        other => add(&other.to_string(), line),
    }
    Taken::One
}

/// The number of trees that one `#[cfg(test)]` item takes, if `trees` starts with one.
fn test_item(trees: &[TokenTree]) -> Option<usize> {
    let [TokenTree::Punct(hash), TokenTree::Group(attribute), ..] = trees else { return None };
    let says = attribute.stream().to_string().replace(' ', "");
    if hash.as_char() != '#' || says != "cfg(test)" {
        return None;
    }
    let ends = |tree: &TokenTree| match tree {
        TokenTree::Punct(punct) => punct.as_char() == ';',
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        TokenTree::Ident(_) | TokenTree::Literal(_) => false,
    };
    trees.iter().position(ends).map(|index| index.saturating_add(1))
}

/// The lines on which `sequence` stands, token for token.
pub(crate) fn lines_of(tokens: &[Token], sequence: &[&str]) -> Vec<usize> {
    tokens
        .windows(sequence.len().max(1))
        .filter(|window| {
            window.iter().map(|token| token.text.as_str()).eq(sequence.iter().copied())
        })
        .filter_map(|window| window.first())
        .map(|token| token.line)
        .collect()
}
