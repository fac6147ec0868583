//! What a program links in the end, however indirectly: `cargo tree` says, this reads it.

use crate::arrows::table::Program;
use crate::finding::Finding;

/// Every crate in `tree`, the output of `cargo tree --prefix none`, that `program` must not link.
pub(crate) fn check(program: &Program, tree: &str) -> Vec<Finding> {
    tree.lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|linked| program.never.contains(linked))
        .map(|linked| {
            let why = format!("{} must not link {linked}: {}", program.package, program.why);
            Finding::at(program.package, "links", why)
        })
        .collect()
}
