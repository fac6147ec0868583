//! A filter's text as words and signs, each with the column it begins at.

use alloc::string::String;
use alloc::vec::Vec;

use super::FilterError;

/// A word or a sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A word without quotes: a field, a value, `and`, `or`.
    Word(String),
    /// A value in quotes.
    Quoted(String),
    /// `(`.
    Open,
    /// `)`.
    Close,
    /// `;`.
    And,
    /// `,`.
    Or,
    /// `==`, `=lt=`, `<` and the like, as written.
    Operator(String),
}

impl Token {
    /// As it is called in an error.
    pub(super) fn in_words(&self) -> String {
        match self {
            Self::Word(word) | Self::Operator(word) => alloc::format!("{:?}", cut(word)),
            Self::Quoted(text) => alloc::format!("the text {:?}", cut(text)),
            Self::Open => "\"(\"".into(),
            Self::Close => "\")\"".into(),
            Self::And => "\";\"".into(),
            Self::Or => "\",\"".into(),
        }
    }
}

fn cut(text: &str) -> String {
    text.chars().take(40).collect()
}

/// Splits a text into tokens with their columns, from 1.
pub(super) fn tokens(text: &str) -> Result<Vec<(usize, Token)>, FilterError> {
    let mut rest = text.chars().peekable();
    let mut column = 1usize;
    let mut found = Vec::new();
    while let Some(&c) = rest.peek() {
        let start = column;
        let mut next = || {
            column = column.saturating_add(1);
            rest.next()
        };
        let token = match c {
            ' ' | '\t' => {
                next();
                continue;
            }
            '(' => Token::Open,
            ')' => Token::Close,
            ';' => Token::And,
            ',' => Token::Or,
            '"' | '\'' => {
                next();
                let text = quoted(c, next).ok_or_else(|| FilterError {
                    column: start,
                    expected: alloc::format!("a closing {c}"),
                    got: "the end of the filter".into(),
                })?;
                found.push((start, Token::Quoted(text)));
                continue;
            }
            '=' | '!' | '<' | '>' => {
                let operator = operator(&mut rest, &mut column);
                found.push((start, Token::Operator(operator)));
                continue;
            }
            c if is_word(c) => {
                let mut word = String::new();
                while let Some(&c) = rest.peek().filter(|c| is_word(**c)) {
                    word.push(c);
                    rest.next();
                    column = column.saturating_add(1);
                }
                found.push((start, Token::Word(word)));
                continue;
            }
            other => {
                return Err(FilterError {
                    column: start,
                    expected: "a field, a value, an operator or a parenthesis (other characters \
                               stand in quotes)"
                        .into(),
                    got: alloc::format!("{other:?}"),
                });
            }
        };
        next();
        found.push((start, token));
    }
    Ok(found)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | ':' | '@' | '/' | '*' | '%' | '#')
}

fn quoted(end: char, mut next: impl FnMut() -> Option<char>) -> Option<String> {
    let mut text = String::new();
    loop {
        match next()? {
            '\\' => text.push(next()?),
            c if c == end => return Some(text),
            c => text.push(c),
        }
    }
}

/// `==`, `!=`, `<`, `<=`, `>`, `>=`, or `=` letters `=`. Whether there is such an operator is the
/// parser's question.
fn operator(rest: &mut core::iter::Peekable<core::str::Chars<'_>>, column: &mut usize) -> String {
    let mut word = String::new();
    while let Some(&c) = rest.peek() {
        let closed = matches!(word.as_str(), "==" | "!=" | "<=" | ">=" | "<" | ">")
            && !(matches!(word.as_str(), "<" | ">") && c == '=');
        let ended = word.len() > 1 && word.ends_with('=');
        let fits = matches!(c, '=' | '!' | '<' | '>') && word.is_empty()
            || c == '=' && !ended
            || word.starts_with('=') && c.is_ascii_alphabetic() && !ended;
        if closed || !fits {
            break;
        }
        word.push(c);
        rest.next();
        *column = column.saturating_add(1);
    }
    word
}
