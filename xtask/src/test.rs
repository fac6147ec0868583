//! `cargo xtask test`: everything there is to test, from a fresh clone. The runner's own lines are
//! printed as they are, so that nobody has to believe a summary of ours.

use crate::run::{self, Steps};
use crate::tree::Tree;
use crate::{arrows, prepare, tidy};

/// Prepares the system, builds the four programs, and runs every test and every rule. Whatever
/// fails, the rest still runs.
///
/// # Errors
/// The system cannot be prepared, something does not build, or a test or rule fails.
pub(crate) fn run(tree: &Tree) -> anyhow::Result<()> {
    prepare::run(tree)?;
    build_programs(tree)?;
    let mut steps = Steps::default();
    // Documentation tests come first: the runner's closing line is then the one about all the rest.
    let doc_tests = ["test", "--workspace", "--locked", "--doc", "--quiet"];
    steps.note("documentation tests", run::shown(tree, "cargo", &doc_tests));
    steps.note("tests", run_tests(tree));
    steps.note("arrows", arrows::run(tree));
    steps.note("tidy", tidy::run(tree));
    steps.conclude()
}

/// The end-to-end tests start the real programs. All of them are asked for at once, with the
/// features that the test build will want too, so that nothing is compiled twice.
fn build_programs(tree: &Tree) -> anyhow::Result<()> {
    let arguments = ["build", "--workspace", "--exclude", "xtask", "--bins", "--locked"];
    run::shown(tree, "cargo", &arguments)
}

fn run_tests(tree: &Tree) -> anyhow::Result<()> {
    if prepare::has_command("cargo-nextest") {
        return run::shown(tree, "cargo", &["nextest", "run", "--workspace", "--locked"]);
    }
    println!(
        "cargo-nextest is not installed: running cargo test, one test program after the other"
    );
    let arguments = ["test", "--workspace", "--locked", "--no-fail-fast", "--lib", "--bins"];
    run::shown(tree, "cargo", &[&arguments[..], &["--tests"]].concat())
}
