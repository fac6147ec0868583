//! `lazaret policy ...`: the policies that are shipped, and whether one's own can be used. Needs no
//! server: the rules are the server's own.

use std::path::Path;

use anyhow::Context as _;
use clap::Subcommand;
use lazaret_server_domain::rollout::policy::{POLICY_BYTES_MAX, Policy, SHIPPED};

use super::Session;

mod check;
mod list;
mod show;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Say everything that is wrong with a policy
    Check(check::Args),
    /// List the policies that are shipped
    List(list::Args),
    /// Print a shipped policy, to begin one's own from
    Show(show::Args),
}

impl Command {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<()> {
        match self {
            Self::Check(args) => check::run(&args, session),
            Self::List(args) => list::run(&args, session),
            Self::Show(args) => show::run(&args, session),
        }
    }
}

/// The text of a policy: a shipped one by its name, otherwise a file.
pub(crate) fn text(name: &str) -> anyhow::Result<String> {
    if let Some((_, text)) = SHIPPED.iter().find(|(known, _)| *known == name) {
        return Ok((*text).to_owned());
    }
    let names: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
    let wanted = || format!("expected one of {} or a file, got {name:?}", names.join(", "));
    let length = std::fs::metadata(Path::new(name)).with_context(wanted)?.len();
    anyhow::ensure!(
        length <= u64::try_from(POLICY_BYTES_MAX)?,
        "{name}: expected a policy of at most {POLICY_BYTES_MAX} bytes, got {length}"
    );
    std::fs::read_to_string(name).with_context(|| format!("cannot read {name}"))
}

/// A policy that can be used.
pub(crate) fn usable(name: &str) -> anyhow::Result<Policy> {
    let policy: Policy =
        toml::from_str(&text(name)?).with_context(|| format!("{name}: no policy"))?;
    let problems = policy.check();
    if !problems.is_empty() {
        let list: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow::bail!("{name} cannot be used: {}", list.join("; "));
    }
    Ok(policy)
}

#[cfg(test)]
mod tests;
