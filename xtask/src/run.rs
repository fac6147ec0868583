//! Runs other programs, says what it runs, and keeps their output as it is.

use std::process::Command;

use anyhow::Context;

use crate::tree::Tree;

/// Runs `program` in the root of the tree, its output going straight to the terminal.
///
/// # Errors
/// It cannot be started, or ends with anything but success.
pub(crate) fn shown(tree: &Tree, program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    shown_with(tree, program, arguments, &[])
}

/// Like [`shown`], with environment variables of its own.
///
/// # Errors
/// It cannot be started, or ends with anything but success.
pub(crate) fn shown_with(
    tree: &Tree,
    program: &str,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> anyhow::Result<()> {
    println!("$ {program} {}", arguments.join(" "));
    let status = Command::new(program)
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(tree.root())
        .status()
        .with_context(|| format!("starting {program}"))?;
    anyhow::ensure!(status.success(), "{program} {}: {status}", arguments.join(" "));
    Ok(())
}

/// Runs `program` in the root of the tree and returns what it printed.
///
/// # Errors
/// It cannot be started, ends with anything but success, or prints something else than UTF-8.
pub(crate) fn read(tree: &Tree, program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(tree.root())
        .output()
        .with_context(|| format!("starting {program}"))?;
    anyhow::ensure!(
        output.status.success(),
        "{program} {}: {}: {}",
        arguments.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    String::from_utf8(output.stdout).with_context(|| format!("reading what {program} printed"))
}

/// Steps that all run, whatever became of the ones before, so that one look shows all that is
/// wrong.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    failed: Vec<&'static str>,
}

impl Steps {
    /// Notes how a step ended.
    pub(crate) fn note(&mut self, name: &'static str, outcome: anyhow::Result<()>) {
        if let Err(err) = outcome {
            eprintln!("error: {name}: {err:#}");
            self.failed.push(name);
        }
    }

    /// Fails if any step did.
    ///
    /// # Errors
    /// At least one step failed; the text names them.
    pub(crate) fn conclude(self) -> anyhow::Result<()> {
        anyhow::ensure!(self.failed.is_empty(), "failed: {}", self.failed.join(", "));
        Ok(())
    }
}
