//! One thing that a check found, and how a list of them ends a command. What is checked lives with
//! each check.

use std::fmt;

/// Something in the tree that a rule forbids.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// Where: a path from the root of the tree, often with `:line`.
    pub(crate) place: String,
    /// The rule's short name.
    pub(crate) rule: &'static str,
    /// What is wrong there, and what would be right.
    pub(crate) why: String,
}

impl Finding {
    /// A finding that concerns a whole file or package.
    pub(crate) fn at(place: &str, rule: &'static str, why: impl Into<String>) -> Self {
        Self { place: place.to_owned(), rule, why: why.into() }
    }

    /// A finding on one line of a file.
    pub(crate) fn on(path: &str, line: usize, rule: &'static str, why: impl Into<String>) -> Self {
        Self { place: format!("{path}:{line}"), rule, why: why.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: [{}] {}", self.place, self.rule, self.why)
    }
}

/// Prints every finding, and fails if there is one.
///
/// # Errors
/// There is at least one finding.
pub(crate) fn conclude(check: &str, mut findings: Vec<Finding>, held: &str) -> anyhow::Result<()> {
    findings.sort();
    findings.dedup();
    for finding in &findings {
        println!("{finding}");
    }
    anyhow::ensure!(findings.is_empty(), "{check}: expected no finding, got {}", findings.len());
    println!("{check}: {held}");
    Ok(())
}

/// One finding a line, for a test that expects none.
#[cfg(test)]
pub(crate) fn as_lines(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("{finding}\n")).collect()
}
