//! The four programs as people run them, found beside this one, and what they say as JSON.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

/// Where the programs are.
#[derive(Debug, Clone)]
pub struct Programs {
    folder: PathBuf,
    /// Another build of the agent.
    agent: Option<PathBuf>,
}

/// The programs.
pub const NAMES: [&str; 4] = ["lazaret-server", "lazaret-agent", "lazaret-keys", "lazaret"];

impl Programs {
    /// The programs of the build that this program belongs to: `target/debug` or `target/release`.
    ///
    /// # Errors
    /// One of them has not been built.
    pub fn beside_this_one() -> anyhow::Result<Self> {
        let mut folder = std::env::current_exe().context("this program has no path")?;
        folder.pop();
        if folder.ends_with("deps") {
            folder.pop();
        }
        for name in NAMES {
            let path = folder.join(name);
            ensure!(
                path.is_file(),
                "expected the program {}, there is none: run `cargo build` first",
                path.display()
            );
        }
        Ok(Self { folder, agent: None })
    }

    /// The same programs with another build of the agent.
    #[must_use]
    pub fn with_agent(self, agent: PathBuf) -> Self {
        Self { agent: Some(agent), ..self }
    }

    /// One of the programs, ready to get its arguments.
    #[must_use]
    pub fn command(&self, name: &str) -> Command {
        Command::new(self.path(name))
    }

    /// Where a program is.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        match &self.agent {
            Some(agent) if name == "lazaret-agent" => agent.clone(),
            _ => self.folder.join(name),
        }
    }
}

/// Runs a command to its end.
///
/// # Errors
/// It cannot be started.
pub fn output(command: &mut Command) -> anyhow::Result<Output> {
    command.output().with_context(|| format!("{command:?} cannot be run"))
}

/// Runs a command that must succeed, and gives what it printed as JSON; null where it printed
/// nothing.
///
/// # Errors
/// It fails, and then all that it said is in the error; or it prints something else than JSON.
pub fn json(command: &mut Command) -> anyhow::Result<Value> {
    let output = output(command)?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?} ended with {}\n{said}{errors}", output.status);
    }
    if said.trim().is_empty() {
        return Ok(Value::Null);
    }
    // Key ceremonies print one object a step; the last one is the outcome.
    let last = said.trim().lines().last().unwrap_or_default();
    serde_json::from_str(said.trim())
        .or_else(|_| serde_json::from_str(last))
        .with_context(|| format!("{command:?} printed no JSON:\n{said}"))
}

/// A path as an argument.
#[must_use]
pub fn arg(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
