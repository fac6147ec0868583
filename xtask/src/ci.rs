//! `cargo xtask ci`: all that a change must pass. It adds to `test` what a compiler, clippy,
//! rustfmt and the pages have to say.

use crate::arrows;
use crate::run::{self, Steps};
use crate::tree::Tree;
use crate::{docs_check, prepare, test, tidy};

/// Runs every check, and says in the end which ones failed.
///
/// # Errors
/// At least one check failed.
pub(crate) fn run(tree: &Tree) -> anyhow::Result<()> {
    // The lints compile everything, and some of it needs libraries of the system.
    prepare::run(tree)?;
    let mut steps = Steps::default();
    steps.note("formatting", run::shown(tree, "cargo", &["fmt", "--all", "--check"]));
    let clippy = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    steps.note("lints", run::shown(tree, "cargo", &clippy));
    steps.note("arrows", arrows::run(tree));
    steps.note("tidy", tidy::run(tree));
    steps.note("pages", docs_check::run(tree));
    let doc = ["doc", "--workspace", "--no-deps", "--locked"];
    let strict = [("RUSTDOCFLAGS", "-D warnings")];
    steps.note("API documentation", run::shown_with(tree, "cargo", &doc, &strict));
    for package in arrows::pure_packages() {
        // Alone, because in a workspace build another crate's features could lend it std.
        let check = run::shown(tree, "cargo", &["check", "--locked", "--package", package]);
        steps.note("no_std", check);
    }
    steps.note("test", test::run(tree));
    steps.conclude()
}
