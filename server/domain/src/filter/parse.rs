//! Tokens to a tree. A recursive descent whose depth is bounded by
//! [`DEPTH_MAX`](super::DEPTH_MAX).

use alloc::string::String;
use alloc::vec::Vec;

use super::field::{self, Field, Value};
use super::lex::{Token, tokens};
use super::{COMPARISONS_MAX, DEPTH_MAX, FilterError, VALUES_MAX};

/// A filter as a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// All of them.
    All(Vec<Node>),
    /// At least one of them.
    Any(Vec<Node>),
    /// One comparison.
    Compare(Comparison),
}

/// One comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Comparison {
    /// What is looked at.
    pub(super) field: Field,
    /// What must hold.
    pub(super) test: Test,
}

/// What must hold of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Test {
    /// It is one of these.
    In(Vec<Value>),
    /// It is none of these.
    Out(Vec<Value>),
    /// It is before.
    Less(Value),
    /// It is before or equal.
    AtMost(Value),
    /// It is behind.
    More(Value),
    /// It is behind or equal.
    AtLeast(Value),
}

/// Reads a filter.
pub(super) fn parse(text: &str) -> Result<Node, FilterError> {
    let tokens = tokens(text)?;
    let end = text.chars().count().saturating_add(1);
    let mut parser = Parser { tokens, at: 0, end, comparisons: 0 };
    let node = parser.any(0)?;
    match parser.peek() {
        None => Ok(node),
        Some(_) => Err(parser.expected("\";\" or \"and\", \",\" or \"or\", or the end")),
    }
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    at: usize,
    end: usize,
    comparisons: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(_, token)| token)
    }

    fn next(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    fn column(&self) -> usize {
        self.tokens.get(self.at).map_or(self.end, |(column, _)| *column)
    }

    fn expected(&self, what: impl Into<String>) -> FilterError {
        let got = self.peek().map_or_else(|| "the end of the filter".into(), Token::in_words);
        FilterError { column: self.column(), expected: what.into(), got }
    }

    fn any(&mut self, depth: usize) -> Result<Node, FilterError> {
        let mut nodes = alloc::vec![self.all(depth)?];
        while self.takes(&Token::Or, "or") {
            nodes.push(self.all(depth)?);
        }
        Ok(one_or(nodes, Node::Any))
    }

    fn all(&mut self, depth: usize) -> Result<Node, FilterError> {
        let mut nodes = alloc::vec![self.one(depth)?];
        while self.takes(&Token::And, "and") {
            nodes.push(self.one(depth)?);
        }
        Ok(one_or(nodes, Node::All))
    }

    fn takes(&mut self, sign: &Token, word: &str) -> bool {
        let found = match self.peek() {
            Some(Token::Word(got)) => got.eq_ignore_ascii_case(word),
            got => got == Some(sign),
        };
        if found {
            self.next();
        }
        found
    }

    fn one(&mut self, depth: usize) -> Result<Node, FilterError> {
        if self.peek() != Some(&Token::Open) {
            return self.comparison().map(Node::Compare);
        }
        if depth >= DEPTH_MAX {
            return Err(self.expected(alloc::format!("at most {DEPTH_MAX} open parentheses")));
        }
        self.next();
        let node = self.any(depth.saturating_add(1))?;
        if self.peek() != Some(&Token::Close) {
            return Err(self.expected("\")\""));
        }
        self.next();
        Ok(node)
    }

    fn comparison(&mut self) -> Result<Comparison, FilterError> {
        if self.comparisons >= COMPARISONS_MAX {
            return Err(self.expected(alloc::format!("at most {COMPARISONS_MAX} comparisons")));
        }
        self.comparisons = self.comparisons.saturating_add(1);
        let named = match self.peek() {
            Some(Token::Word(name)) => Field::parse(name),
            _ => None,
        };
        let field = named
            .ok_or_else(|| self.expected(alloc::format!("one of the fields {}", field::NAMES)))?;
        self.next();
        let test = self.test(&field)?;
        Ok(Comparison { field, test })
    }

    fn test(&mut self, field: &Field) -> Result<Test, FilterError> {
        let what = "an operator such as ==, !=, =lt=, =le=, =gt=, =ge=, =in= or =out=";
        let Some(Token::Operator(operator)) = self.peek().cloned() else {
            return Err(self.expected(what));
        };
        let known = matches!(
            operator.to_ascii_lowercase().as_str(),
            "==" | "!="
                | "<"
                | "=lt="
                | "<="
                | "=le="
                | ">"
                | "=gt="
                | ">="
                | "=ge="
                | "=in="
                | "=out="
        );
        if !known {
            return Err(self.expected(what));
        }
        let ordered: Option<fn(Value) -> Test> = match operator.to_ascii_lowercase().as_str() {
            "<" | "=lt=" => Some(Test::Less),
            "<=" | "=le=" => Some(Test::AtMost),
            ">" | "=gt=" => Some(Test::More),
            ">=" | "=ge=" => Some(Test::AtLeast),
            _ => None,
        };
        if ordered.is_some() && !field.is_ordered() {
            return Err(self.expected("== or !=, because this field has no order"));
        }
        self.next();
        if let Some(ordered) = ordered {
            return self.value(field, Wants::Order).map(ordered);
        }
        match operator.to_ascii_lowercase().as_str() {
            "==" => Ok(Test::In(alloc::vec![self.value(field, Wants::Equality)?])),
            "!=" => Ok(Test::Out(alloc::vec![self.value(field, Wants::Equality)?])),
            "=in=" => self.values(field).map(Test::In),
            _ => self.values(field).map(Test::Out),
        }
    }

    fn values(&mut self, field: &Field) -> Result<Vec<Value>, FilterError> {
        if self.peek() != Some(&Token::Open) {
            return Err(self.expected("\"(\" and values with commas between them"));
        }
        self.next();
        let mut values = alloc::vec![self.value(field, Wants::Equality)?];
        while self.peek() == Some(&Token::Or) {
            self.next();
            if values.len() >= VALUES_MAX {
                return Err(self.expected(alloc::format!("at most {VALUES_MAX} values")));
            }
            values.push(self.value(field, Wants::Equality)?);
        }
        if self.peek() != Some(&Token::Close) {
            return Err(self.expected("\",\" or \")\""));
        }
        self.next();
        Ok(values)
    }

    fn value(&mut self, field: &Field, wants: Wants) -> Result<Value, FilterError> {
        let (Some(Token::Word(text)) | Some(Token::Quoted(text))) = self.peek() else {
            return Err(self.expected("a value"));
        };
        let value = field.value(text).map_err(|what| self.expected(what))?;
        if wants == Wants::Order && !value.is_ordered() {
            return Err(self.expected("a value that has an order, without *"));
        }
        self.next();
        Ok(value)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wants {
    Equality,
    Order,
}

fn one_or(mut nodes: Vec<Node>, many: fn(Vec<Node>) -> Node) -> Node {
    match nodes.pop() {
        Some(only) if nodes.is_empty() => only,
        last => {
            nodes.extend(last);
            many(nodes)
        }
    }
}
